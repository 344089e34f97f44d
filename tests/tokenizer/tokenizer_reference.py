"""transformers' AutoTokenizer as the tokenizer that ours must agree with."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path


class Reference:
    """AutoTokenizer of a folder; an EOS that it appends is dropped."""

    def __init__(self, folder: str | Path) -> None:
        from transformers import AutoTokenizer

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
        bare = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        full = self.tokenizer("a")["input_ids"]
        self.n_bos = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
        self.bos_ids = full[: self.n_bos]
        self.n_eos = len(full) - self.n_bos - len(bare)

    @property
    def class_name(self) -> str:
        return type(self.tokenizer).__name__

    def encode(self, texts: Sequence[str], special: str | None = None) -> list[list[int]]:
        """Ids of each text; special: "text", "control" or None for the folder's own way."""
        splits = None if special is None else special == "text"
        found = self.tokenizer(list(texts), split_special_tokens=splits)["input_ids"]
        return [ids[: len(ids) - self.n_eos] for ids in found]
