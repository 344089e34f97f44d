"""The extension module: the C core behind NumPy arrays.

Token ids are int32, losses nats. Every call releases the GIL while it computes,
answers Ctrl-C, and may be made from several threads at once. Arrays are taken as they
are: a number with a fraction is no integer, a boolean neither, and a text ends at no NUL.
"""

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

class ModelError(ValueError):
    """A model folder is not what it should be, or holds a model that is not supported."""

def kernels(precision: str) -> tuple[str, ...]:
    """Names of the kernels of "fp32", "bf16" or "int8" on this CPU, the fastest first.

    A name is that of the instructions of products with weights and, after a "+", of
    attention where they differ. "portable" is plain C, "openblas" the library.
    """

def choose_kernel(precision: str, kernel: str | None) -> tuple[str, str]:
    """The precision and the kernel of a model opened with these two, named in full.

    ValueError for ones that cannot be, OSError without OpenBLAS where it is asked for.
    """

class Gguf(TypedDict):
    """What GGUF files hold, besides the values of their tensors."""

    metadata: dict[str, int | float | bool | str | list[str] | list[bool] | NDArray[Any]]
    tensors: list[tuple[str, str, tuple[int, ...]]]
    files: list[str]

def read_gguf(path: str) -> Gguf:
    """A GGUF file, or all files of a model whose first it is.

    metadata is by key: a number, a boolean or a text, a list of texts or booleans, or an array
    of numbers of their own type. Of texts that are no UTF-8, those of ``tokenizer.ggml`` are
    refused and others read with U+FFFD. tensors are by name, each with its type as ggml calls
    it ("Q4_K") and its shape [out, ..., in]; files are absolute paths, the first one first.

    Raises OSError when a file cannot be read, ModelError when one is not what the format
    demands, is big-endian or of version 1, or when `path` is another than the first of several.
    """

def read_gguf_tensor(path: str, name: str) -> NDArray[np.float32]:
    """The values of a tensor, float32[out, ..., in], as a model's weights are read.

    Raises KeyError where there is none of that name, ModelError for a type that is not read and
    for values that are not finite; else as `read_gguf`.
    """

class Model:
    """An opened model: immutable, shared by any number of threads.

    path is a model folder, or a GGUF file, of several the first. precision is
    "auto" ("bf16" where the CPU has instructions for it, else "fp32"), "fp32", "bf16" or
    "int8"; kernel is one of `kernels(precision)`, or what a model's `kernel` says
    of OpenBLAS, None for the fastest. packed, where it is given: a file of packed weights to
    map in place of reading tensors, `packed_header(key)` and `packed` of such a model.
    Ctrl-C while it opens leaves nothing behind.

    Raises OSError when a file cannot be read, ModelError when one is not what its
    format demands or the model is not supported, MemoryError when there is no room,
    ValueError for a precision or kernel that cannot be.
    """

    def __new__(
        cls,
        path: str,
        precision: str = "auto",
        kernel: str | None = None,
        *,
        packed: str = ...,
        key: str = "",
    ) -> Model: ...
    @property
    def n_layers(self) -> int: ...
    @property
    def n_heads(self) -> int: ...
    @property
    def n_kv_heads(self) -> int: ...
    @property
    def head_dim(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def intermediate_size(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def max_position_embeddings(self) -> int: ...
    @property
    def rope_theta(self) -> float:
        """Base of the rotary frequencies; 0: nothing turns."""

    @property
    def window_rope_theta(self) -> float:
        """That of windowed layers; 0: the same."""

    @property
    def rope_factor(self) -> float:
        """The factor of `rope_type`; 1 where it has none."""

    @property
    def rope_original_context(self) -> int:
        """The context before it was stretched; 0: `rope_type` knows of none."""

    @property
    def rotary_dim(self) -> int:
        """Dimensions of a head that turn with their position; 0: none do."""

    @property
    def window(self) -> int:
        """Keys that a row of a windowed layer sees, its own included; 0: no layer has one."""

    @property
    def n_windowed_layers(self) -> int: ...
    @property
    def n_unrotated_layers(self) -> int:
        """Layers whose queries and keys do not turn with their position."""

    @property
    def n_experts(self) -> int:
        """Experts of a layer that has some; 0: no layer has."""

    @property
    def experts_per_token(self) -> int: ...
    @property
    def n_parameters(self) -> int:
        """Values of the tensors read; a tied matrix counts once."""

    @property
    def layer_weights(self) -> int:
        """Weights of matrices that a token meets in all layers, of experts those it takes."""

    @property
    def weight_bytes(self) -> int:
        """Memory that the weights take."""

    @property
    def fp32_bytes(self) -> int:
        """What they take, or would take, in this precision; as the next two."""

    @property
    def bf16_bytes(self) -> int: ...
    @property
    def int8_bytes(self) -> int: ...
    @property
    def model_type(self) -> str: ...
    @property
    def rope_type(self) -> str:
        """As in config.json, of layers without a window where they differ; or ``none``."""

    @property
    def tied(self) -> bool: ...
    @property
    def precision(self) -> str:
        """``fp32``, ``bf16`` or ``int8``."""

    @property
    def kernel(self) -> str:
        """The kernel as `kernels` names it, OpenBLAS as ``openblas-0.3.34.481.3-SkylakeX``."""

    @property
    def packed(self) -> NDArray[np.uint8]:
        """uint8[weight_bytes], read-only: the weights in memory, as the kernel wants them."""

    def packed_header(self, key: str) -> bytes:
        """4096 bytes that, with `packed` behind them, are a file to open the model from.

        ValueError for a key, which says whose weights they are, of more than 127 bytes or
        with a NUL in it.
        """

    def run(
        self,
        ids: Sequence[NDArray[np.int32]],
        *,
        first_scored: ArrayLike | None = None,
        variants: NDArray[np.bool_] | None = None,
        mask: str = "uniform",
        n_threads: int = 1,
    ) -> list[NDArray[np.float32]]:
        """Losses of each document, read as it is and once for each variant.

        variants is [n_variants, n_layers, n_heads], True where masked. first_scored
        is the first token, one number a document, whose loss is wanted (default 1).
        Returns, for each document, float32[1 + n_variants, n_tokens - first_scored]
        in nats, row 0 the base reading. A document's losses are the same bits whatever
        else is in the call, in whatever order and on however many threads.

        Raises ValueError for ids outside the vocabulary, fewer than 2 tokens or shapes
        that do not fit, TypeError for ids or first_scored that are no integers and
        variants that are no booleans, MemoryError when there is no room.
        """

    def copies(
        self,
        ids: Sequence[NDArray[np.int32]],
        answers: ArrayLike,
        needles: ArrayLike,
        *,
        n_threads: int = 1,
    ) -> tuple[NDArray[np.int32], list[NDArray[np.int32]]]:
        """How often each head copies (METHOD.md section 2).

        answers and needles are [n_documents, 2] spans of tokens (start, stop); an answer
        ends with its document. Returns copies int32[n_documents, n_layers, n_heads], over
        the steps that predict the answer's tokens, and for each document the most likely
        token at each of those steps, int32[answer length].
        """

    def logits(
        self,
        ids: NDArray[np.int32],
        variant: NDArray[np.bool_] | None = None,
        mask: str = "uniform",
        n_threads: int = 1,
    ) -> NDArray[np.float32]:
        """Logits float32[n_tokens, vocab_size], with the variant's heads masked."""

    def attention(
        self, ids: NDArray[np.int32], layer: int, head: int, n_threads: int = 1
    ) -> NDArray[np.float32]:
        """Attention weights float32[n_tokens, n_tokens] of one head, 0 above the diagonal."""
