"""A model opened for reading: weights, configuration, tokenizer, heads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attninfluence._core import Model as Core
from attninfluence._core import ModelError
from attninfluence.base.gguf import is_gguf, name_of
from attninfluence.base.json_values import JSONError, read_json_object
from attninfluence.base.whole_number import as_whole_number
from attninfluence.model.description import (
    Described,
    describe_arithmetic,
    describe_heads,
    describe_shape,
    describe_tokenizer,
)
from attninfluence.model.fingerprint import digest_files, digest_stamps, stamp_files
from attninfluence.model.gguf_file import describe_file, read_metadata
from attninfluence.model.lines import lines_of
from attninfluence.model.masking import check_mask
from attninfluence.model.own_heads import own_heads_file
from attninfluence.model.place import Place
from attninfluence.model.threads import default_threads
from attninfluence.tokenizer.ids import as_ids
from attninfluence.tokenizer.source import has_tokenizer
from attninfluence.tokenizer.tokenizer import Tokenizer
from attninfluence.views.facts import facts_view
from attninfluence.views.saving import Shown

if TYPE_CHECKING:
    from attninfluence.heads.head_scores import HeadScores
    from attninfluence.probe.samples import Sample
    from attninfluence.views.view import View

# The files are read once for the fingerprint; beyond this, only when somebody asks for it.
QUICK_BYTES = 2e9

EXPLICIT_PRECISIONS = ("fp32", "bf16", "int8")
PRECISIONS = ("auto", *EXPLICIT_PRECISIONS)


class Model(Shown):
    """An opened model. Immutable; any number of threads may share it.

    Made by `load`. Pickles as path, options and fingerprint: it is opened again where it
    is unpickled, once a process (`attninfluence.model.shared`), in the same precision and
    with the same kernel. A path that holds other weights by then is refused, and so is
    a machine that does not have the kernel.

    Attributes:
        path: the folder or GGUF file.
        commit: the hub commit, or None.
        config: config.json; of a GGUF file its metadata but for arrays.
        n_layers: layers.
        n_heads: query heads a layer.
        vocab_size: ids are below it.
        context: tokens it can read at once.
        precision: "fp32", "bf16" or "int8".
        kernel: the matrix kernel.
        core: the `_core.Model`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        precision: str = "auto",
        kernel: str | None = None,
        threads: int | None = None,
        hub_id: str | os.PathLike[str] | None = None,
        commit: str | None = None,
        core: Core | None = None,
        fingerprint: str | None = None,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        """core, fingerprint, tokenizer: of that path's content, where they are there already."""
        _check_precision(precision)
        self.path = os.path.abspath(path)
        self.commit = commit
        self._hub_id = None if commit is None or hub_id is None else os.fspath(hub_id)
        self._threads_asked = threads
        self._threads = (os.getpid(), default_threads(threads))
        self._stamps = stamp_files(self.path)
        self.core = core or Core(self.path, precision=precision, kernel=kernel)
        self.config: dict[str, Any] = _read_config(self.path)
        self._tokenizer = tokenizer
        self._fingerprint = fingerprint

    def __repr__(self) -> str:
        return (
            f"Model({self.path!r}, {self.core.model_type}, {self.n_layers} layers x "
            f"{self.n_heads} heads, context {self.context}, {self.precision}, {self.kernel})"
        )

    def view(self) -> View:
        """What the model is and how it reads, as `attninfluence inspect` says it.

        It computes the fingerprint of weights below 2 GB only; `fingerprint` computes any.
        """
        is_quick = self._fingerprint is not None or self.core.bf16_bytes <= QUICK_BYTES
        try:
            lines = lines_of(self.describe(fingerprint=is_quick))
        except ModelError as error:
            lines = [("model", repr(self)), ("not described", str(error))]
        lines.append(("threads", str(self.threads)))
        title = self.place.hub_id or name_of(self.path)
        return facts_view(f"Model {title}", "Facts of the model", lines)

    def describe(self, *, fingerprint: bool = True) -> Described:
        """What `attninfluence inspect` prints, in JSON values; None for what it does not have.

        fingerprint: False leaves it None; it takes a reading of every file, once.
        ModelError when the tokenizer or the heads.json cannot be read.
        """
        found, file = self.heads, self.heads_file
        return {
            "path": self.path,
            "commit": self.commit,
            "fingerprint": self.fingerprint if fingerprint else None,
            **describe_file(self.path),
            **describe_shape(self.core),
            **describe_tokenizer(self.tokenizer if self.has_tokenizer else None),
            **describe_arithmetic(self.core),
            **describe_heads(found, file),
        }

    @property
    def n_layers(self) -> int:
        return int(self.core.n_layers)

    @property
    def n_heads(self) -> int:
        return int(self.core.n_heads)

    @property
    def vocab_size(self) -> int:
        return int(self.core.vocab_size)

    @property
    def context(self) -> int:
        return int(self.core.max_position_embeddings)

    @property
    def threads(self) -> int:
        """Threads a call uses; a forked worker, unless some were asked for, uses one."""
        process = os.getpid()
        if self._threads[0] != process:
            self._threads = (process, default_threads(self._threads_asked))
        return self._threads[1]

    @property
    def precision(self) -> str:
        return str(self.core.precision)

    @property
    def kernel(self) -> str:
        return str(self.core.kernel)

    @property
    def has_tokenizer(self) -> bool:
        """Whether it comes with a tokenizer that this library can read."""
        return has_tokenizer(self.path)

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer; ModelError, saying what is missing, without one."""
        if self._tokenizer is None:
            tokenizer = Tokenizer(self.path)
            self._check_unchanged()
            self._tokenizer = tokenizer
        return self._tokenizer

    @property
    def heads_file(self) -> Path | None:
        """The heads.json of the model, or else the one that the package has for it, or None.

        Of `NAME.gguf` it is the `NAME.heads.json` beside it, or else the heads.json there where
        that is this model's. The package has those of a few published models.
        """
        return own_heads_file(self.path, lambda: self.fingerprint, (self.n_layers, self.n_heads))

    @property
    def heads(self) -> HeadScores | None:
        """The heads of `heads_file`, or None without one."""
        path = self.heads_file
        if path is None:
            return None
        from attninfluence.heads.head_scores import HeadScores

        return HeadScores.load(path)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over configuration, weights and tokenizer, as 64 hexadecimal digits.

        Computed on first use. ModelError when its files have changed since
        the model was opened: the digest would not be that of the weights in memory.
        """
        if self._fingerprint is None:
            digest = digest_files(self.path)
            self._check_unchanged()
            self._fingerprint = digest
        return self._fingerprint

    @property
    def place(self) -> Place:
        """Where it was opened, and the threads asked for."""
        stamp = digest_stamps(self._stamps)
        return Place(self.path, self._hub_id, self.commit, stamp, self._threads_asked)

    def in_precision(self, precision: str) -> Model:
        """This model in a precision: itself, or the same files opened anew beside it.

        ModelError when its files have changed since the model was opened.
        """
        if self.precision == precision:
            return self
        model = Model(
            self.path,
            precision=precision,
            threads=self.threads,
            hub_id=self._hub_id,
            commit=self.commit,
        )
        if model._stamps != self._stamps:
            raise ModelError(f"{self.path!r} has changed since the model was opened")
        return model

    def losses(
        self,
        token_ids: ArrayLike,
        masked_heads: Iterable[tuple[int, int]] | HeadScores | None = None,
        mask: str = "uniform",
    ) -> NDArray[np.float32]:
        """float32[T-1]: the loss in nats of each token but the first (METHOD.md section 1).

        Args:
            token_ids: T >= 2 ids, read as they are, beyond the model's context too: there the
                rotary angles go on, as in transformers.
            masked_heads: (layer, head) pairs whose attention is replaced by `mask`.
            mask: "uniform" or "zero" (section 3).

        Raises:
            ValueError: the model does not have such an id, head or mask, or it learned its
                positions and the ids go beyond its context.
        """
        ids = self._ids(token_ids)
        check_mask(mask)
        variants = None if masked_heads is None else self.mask_matrix(masked_heads)[np.newaxis]
        readings = self.core.run([ids], variants=variants, mask=mask, n_threads=self.threads)[0]
        wanted: NDArray[np.float32] = readings[-1]
        return wanted

    def logits(
        self,
        token_ids: ArrayLike,
        masked_heads: Iterable[tuple[int, int]] | HeadScores | None = None,
        mask: str = "uniform",
    ) -> NDArray[np.float32]:
        """float32[T, vocab]: row t predicts token t + 1. Arguments as in `losses`."""
        variant = None if masked_heads is None else self.mask_matrix(masked_heads)
        check_mask(mask)
        return self.core.logits(self._ids(token_ids), variant, mask, self.threads)

    def attention(self, token_ids: ArrayLike, layer: int, head: int) -> NDArray[np.float32]:
        """float32[T, T]: row t holds the weights of query t over keys 0..t, else 0."""
        layer, head = self._check_head(layer, head)
        return self.core.attention(self._ids(token_ids), layer, head, self.threads)

    def view_attention(
        self,
        document: str | bytes | ArrayLike | Sample,
        layer: int,
        head: int,
        *,
        query: int | Iterable[int] | None = None,
        max_tokens: int | None = 1024,
    ) -> View:
        """One head at work: its attention as a picture, and the tokens it looks at.

        Args:
            document: a text, token ids read as they are, or a `probe.Sample`, of which needle and
                answer are marked and each answer step is told: whether the head copies the token.
            layer: of the head, counted from 0.
            head: counted from 0 within the layer.
            query: the places in a text whose rows are looked at closely, negative from its end;
                None is the last token.
            max_tokens: of a longer text the first ones are read; None reads all, and takes
                4 T x T bytes.

        Raises:
            ValueError: for a head, query or id that there is not, and for a sample of more tokens.
            ModelError: it has no tokenizer for a text, or lacks ids that its tokenizer gives.
        """
        from attninfluence.heads.attention_view import attention_view
        from attninfluence.heads.reading import read_head

        return attention_view(read_head(self, document, layer, head, query, max_tokens))

    def mask_matrix(self, heads: Iterable[tuple[int, int]] | HeadScores) -> NDArray[np.bool_]:
        """bool[n_layers, n_heads], True at each (layer, head) given; ValueError out of range."""
        pairs: Any = getattr(heads, "selected", heads)
        matrix = np.zeros((self.n_layers, self.n_heads), dtype=np.bool_)
        for layer, head in pairs:
            matrix[self._check_head(layer, head)] = True
        return matrix

    def _check_unchanged(self) -> None:
        if stamp_files(self.path) != self._stamps:
            raise ModelError(f"{self.path!r} has changed since the model was opened")

    def _check_head(self, layer: int, head: int) -> tuple[int, int]:
        layer, head = as_whole_number("layer", layer), as_whole_number("head", head)
        if not (0 <= layer < self.n_layers and 0 <= head < self.n_heads):
            raise ValueError(
                f"head ({layer}, {head}) is out of range: the model has {self.n_layers} layers "
                f"of {self.n_heads} heads, both counted from 0"
            )
        return layer, head

    def _ids(self, token_ids: ArrayLike) -> NDArray[np.int32]:
        return as_ids(token_ids, self.vocab_size)


def _check_precision(precision: str) -> None:
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")


def _read_config(path: str) -> dict[str, Any]:
    if is_gguf(path):
        return read_metadata(path)
    file = Path(path, "config.json")
    try:
        return read_json_object(file)
    except JSONError as error:
        raise ModelError(f"{file}: {error}") from None
