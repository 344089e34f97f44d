"""The tokenizers in two published GGUF files, beside transformers' reading of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import pre_tokenizers

from attninfluence.tokenizer.tokenizer import Tokenizer
from tests.tokenizer.tokenizer_kinds import NASTY, random_texts

MODELS = Path(__file__).parents[2] / "build" / "models"
SMOLLM2, GEMMA3 = "SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-Q4_K_M.gguf"

Encode = Callable[[str], list[int]]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [*NASTY, *random_texts(1200)]


def file_of(name: str) -> Path:
    path = MODELS / name
    if not path.is_file():
        pytest.skip(f"{name} is not in build/models: `make real-models` brings it")
    return path


def library_of(path: Path) -> Any:
    """The `tokenizers.Tokenizer` that transformers makes of the file."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name).backend_tokenizer


def differing(path: Path, library: Any, texts: list[str], special: str) -> list[str]:
    library.encode_special_tokens = special == "text"
    theirs = [one.ids for one in library.encode_batch(texts, add_special_tokens=False)]
    ours = Tokenizer(path).encode(texts, special=special, bos="never", offsets=False)
    pairs = zip(texts, ours, theirs, strict=True)
    return [text[:80] for text, one, other in pairs if one.ids.tolist() != other]


@pytest.mark.parametrize("special", ["text", "control"])
def test_gemma_3(texts: list[str], special: str) -> None:
    path = file_of(GEMMA3)
    assert differing(path, library_of(path), texts, special) == []
    assert Tokenizer(path).bos_ids() == [2]


@pytest.mark.parametrize("special", ["text", "control"])
def test_smollm2(texts: list[str], special: str) -> None:
    """transformers takes GPT-2's split, having no row for "smollm"; with what the model's
    tokenizer.json has in its place, Digits and then ByteLevel, the ids are the same.
    """
    path = file_of(SMOLLM2)
    library = library_of(path)
    wrong = differing(path, library, texts, special)
    assert 0.1 * len(texts) < len(wrong) and any("1999" in text for text in wrong)
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    assert differing(path, library, texts, special) == []
    assert Tokenizer(path).bos_ids() == []
