"""A tokenizer as the library has it, whatever it was opened from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from attninfluence._core import ModelError

MODEL_SETTINGS = (
    "alpha byte_fallback continuing_subword_prefix dropout end_of_word_suffix ignore_merges "
    "nbest_size unk_token"
).split()


@dataclass(frozen=True, slots=True)
class Opened:
    """A tokenizer as transformers would have it.

    backend: the `tokenizers.Tokenizer`, its post-processor included. model: the settings of its
    model, as tokenizer.json has them, without vocabulary and merges. bos_ids: what is put
    before each text. bos_token: the BOS token that the model names, or that its class
    has by default. splits_special: text that looks like a special token is text.
    """

    backend: Any
    model: dict[str, Any]
    bos_ids: list[int]
    bos_token: str | None
    splits_special: bool


def check_added(source: str, backend: Any) -> None:
    """ModelError where the library would look for nothing beside other texts, without an end.

    source: the folder or file that it is of.
    """
    added = backend.get_added_tokens_decoder().values()
    texts = [token.content for token in added if token.normalized]
    if backend.normalizer is None or len(texts) < 2:
        return
    for text in texts:
        if not backend.normalizer.normalize_str(text):
            raise ModelError(
                f"{source!r}: the normalizer of its tokenizer leaves nothing of the added token "
                f"{text[:80]!r}, which is to be looked for in normalized text"
            )


def model_settings(model: Any) -> dict[str, Any]:
    """What the library says of a model, which of a Unigram model is not all."""
    own = {name: getattr(model, name) for name in MODEL_SETTINGS if hasattr(model, name)}
    return own | {"type": type(model).__name__}
