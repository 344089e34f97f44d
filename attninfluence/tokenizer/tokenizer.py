"""Text to token ids and back, with a model's own tokenizer.

All tokenisation is done by the `tokenizers` library, set up from a folder's files as
transformers does it (files.py), or from what a GGUF file says (gguf.py). This module
knows what to ask of it: no truncation, no padding, which BOS, what to do with text that
looks like a special token, and offsets in characters.

Texts are encoded one at a time: it starts no threads (so a later fork is safe),
and a text that makes the library panic fails alone. Reading a text costs thousands
of times more than splitting it. Long ones are encoded in pieces (pieces.py), where
it is proven that they have the tokens of the whole (cuts.py).
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attninfluence._core import ModelError
from attninfluence.base.json_values import parse_json
from attninfluence.tokenizer.cuts import Cuts
from attninfluence.tokenizer.pieces import PIECE, Part, encode_long
from attninfluence.tokenizer.source import digest_source, open_source

BOS_POLICIES = ("auto", "always", "never")
SPECIAL_POLICIES = ("text", "control")


class TokenizerError(ValueError):
    """A text that the tokenizer cannot encode; the message says why."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """One text as tokens.

    ids: int32[T], the BOS included.
    offsets: int64[T, 2], each token's (start, stop) in characters of the text; (0, 0)
        for the BOS. None when they were not asked for.
    n_bos: how many of the first ids were put before the text.
    n_characters: of the text, from its beginning, of which these are the tokens.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64] | None
    n_bos: int
    n_characters: int


class Tokenizer:
    """The tokenizer of a model folder or GGUF file.

    ModelError when a folder has no readable `tokenizer.json`, nor a `vocab.json` and
    `merges.txt` that transformers reads for its class, and for a class whose tokens
    would be a guess; when a GGUF file has none, or one that is not known here. Pickles as
    the path. Any number of threads may share one.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(path)
        opened = open_source(self.path)
        self._auto_bos = opened.bos_ids
        self._bos_token = opened.bos_token
        self._model = opened.model
        self._plain = _without_extras(opened.backend)
        self._plain.encode_special_tokens = True

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokenizer, (self.path,)

    def __repr__(self) -> str:
        return f"Tokenizer({self.path!r}, vocab_size={self.vocab_size})"

    @functools.cached_property
    def _control(self) -> Any:
        opened = open_source(self.path)
        opened.backend.encode_special_tokens = opened.splits_special
        return _without_extras(opened.backend)

    @functools.cached_property
    def _cuts(self) -> Cuts:
        normalizer = self._plain.normalizer
        normalize = str if normalizer is None else normalizer.normalize_str
        vocab = self._plain.get_vocab(with_added_tokens=False)
        added = self._plain.get_added_tokens_decoder().values()
        settings = {
            "added_tokens": [{"content": token.content} for token in added],
            "normalizer": _settings_of(normalizer),
            "pre_tokenizer": _settings_of(self._plain.pre_tokenizer),
            "model": {**self._model, "vocab": vocab},
        }
        return Cuts(settings, normalize)

    @functools.cached_property
    def vocab_size(self) -> int:
        """One more than the largest token id."""
        return max(self._plain.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    @functools.cached_property
    def kind(self) -> str:
        """The algorithm: "byte-level BPE", "BPE with byte fallback", "Unigram", "WordPiece", ..."""
        kind = str(self._model["type"])
        if kind == "BPE" and '"ByteLevel"' in json.dumps(_settings_of(self._plain.decoder)):
            return "byte-level BPE"
        return kind + (" with byte fallback" if self._model.get("byte_fallback") else "")

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over what decides the tokens, as 64 hexadecimal digits (`digest_source`)."""
        return digest_source(self.path)

    def bos_ids(self, bos: str = "auto") -> list[int]:
        """The ids that the policy puts before each text (METHOD.md section 4).

        "auto": what transformers' tokenizer of the folder puts there. With a
        `tokenizer.json` that is decided by its post-processor: transformers 5 ignores
        `add_bos_token` of tokenizer_config.json then, and reads it only without one.
        "always": the same, or else the BOS token that the folder names or its class has
        by default; ValueError if there is none. "never": none.
        """
        if bos not in BOS_POLICIES:
            raise ValueError(f"bos must be one of {', '.join(BOS_POLICIES)}, got {bos!r}")
        if bos == "never":
            return []
        if bos == "auto" or self._auto_bos:
            return list(self._auto_bos)
        return [self._named_bos()]

    def encode(
        self,
        texts: Sequence[str],
        *,
        bos: str = "auto",
        special: str = "text",
        offsets: bool = True,
        enough: int | None = None,
    ) -> list[Encoding]:
        """Each text as tokens; no EOS is appended, nothing is cut.

        `special="text"` reads text that looks like a special token ("<|endoftext|>")
        as the characters it is; "control" turns it into the special token, as
        transformers does. `offsets=False` leaves them out, which saves 16 bytes a token.
        With `enough` a text of more than 262,144 characters need not be read to its end once
        there are so many tokens; `Encoding.n_characters` says how far it was read, which
        depends on the text alone. TokenizerError for a text that cannot be encoded.
        """
        prefix, backend = self.bos_ids(bos), self._backend(special)
        encode = functools.partial(_encode_part, backend, offsets)
        return [self._encode_one(text, encode, prefix, enough) for text in texts]

    def _encode_one(
        self, text: str, encode: Callable[[str], Part], prefix: list[int], enough: int | None
    ) -> Encoding:
        n_bos = len(prefix)
        if len(text) <= PIECE:
            parts, end = [encode(text)], len(text)
        else:
            still = None if enough is None else enough - n_bos
            parts, end = encode_long(text, encode, self._cuts, still)
        before = np.zeros((n_bos, 2), dtype=np.int64)
        offsets = [part[1] for part in parts if part[1] is not None]
        return Encoding(
            np.concatenate([np.array(prefix, dtype=np.int32), *(part[0] for part in parts)]),
            np.concatenate([before, *offsets]) if offsets else None,
            n_bos,
            end,
        )

    def encode_piece(self, text: str) -> list[int]:
        """The ids of `text` alone: no BOS, special-looking text as plain text."""
        return [int(token) for token in self.encode([text], bos="never", offsets=False)[0].ids]

    def decode(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> str:
        """The text of the ids, special tokens included; ModelError where the decoder fails."""
        try:
            return str(self._plain.decode([int(token) for token in ids], skip_special_tokens=False))
        except (Exception, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # the library's panics are no Exceptions
            raise ModelError(
                f"the tokenizer in {self.path!r} cannot decode its tokens ({error})"
            ) from error

    def token_strings(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> list[str]:
        """Each token's text by itself, its leading space kept.

        Part of a character that several tokens spell shows as U+FFFD, and an id that the
        tokenizer does not have, as those beyond it in a padded embedding, as its number.
        """
        return [self._token_string(int(token)) for token in ids]

    def check_fits(self, ids: Sequence[int] | NDArray[np.integer[Any]], vocab_size: int) -> None:
        """ModelError, with both sizes, for ids that a model of `vocab_size` ids does not have.

        A folder is not refused for its sizes: texts may never use what a tokenizer has more, and
        embeddings are often padded.
        """
        largest = int(np.max(ids, initial=0))
        if largest >= vocab_size:
            raise ModelError(
                f"token id {largest} is outside the model's vocabulary of {vocab_size} ids, and "
                f"the tokenizer in {self.path!r} has {self.vocab_size}: put the tokenizer there "
                "that the weights were trained with, or weights whose embedding was resized for "
                "this one"
            )

    def _backend(self, special: str) -> Any:
        if special not in SPECIAL_POLICIES:
            names = ", ".join(SPECIAL_POLICIES)
            raise ValueError(f"special must be one of {names}, got {special!r}")
        return self._plain if special == "text" else self._control

    def _token_string(self, token: int) -> str:
        piece = self._plain.id_to_token(token)
        if piece is None:
            return str(token)
        text = self.decode([token])
        return " " + text if piece.startswith("\u2581") and not text.startswith(" ") else text

    def _named_bos(self) -> int:
        bos = self._bos_token
        token = None if bos is None else self._plain.token_to_id(bos)
        if token is None:
            raise ValueError(
                f"bos='always', but the tokenizer in {self.path!r} has no BOS token; "
                "use bos='auto' or bos='never'"
            )
        return int(token)


def _settings_of(step: Any) -> Any:
    """A normalizer, pre-tokenizer or decoder as tokenizer.json has it; None for none."""
    return None if step is None else parse_json(step.__getstate__())


def _without_extras(backend: Any) -> Any:
    """Without its post-processor, whose trimming would change the offsets."""
    backend.post_processor = None
    return backend


def _encode_part(backend: Any, with_offsets: bool, text: str) -> Part:
    encoding = _guarded_encode(backend, text)
    ids = np.array(encoding.ids, dtype=np.int32)
    if not with_offsets:
        return ids, None
    return ids, np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)


def _guarded_encode(backend: Any, text: str) -> Any:
    try:
        return backend.encode(text, add_special_tokens=False)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # the library's panics are no Exceptions
        raise TokenizerError(f"the tokenizer failed: {error}") from error
