"""A model's tokenizer: what makes it, what its class changes, how texts become ids."""

from __future__ import annotations

from attninfluence.tokenizer.tokenizer import Tokenizer, TokenizerError

__all__ = ["Tokenizer", "TokenizerError"]
