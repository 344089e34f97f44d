"""GGUF files of random weights, written by the gguf package: of any type, split or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize
from numpy.typing import NDArray

# Types that are read, with the bytes of a block at which its float16 numbers stand.
SCALES: Mapping[str, Sequence[int]] = {
    "F32": (),
    "F16": (0,),
    "BF16": (),
    "Q8_0": (0,),
    "Q4_0": (0,),
    "Q4_1": (0, 2),
    "Q5_0": (0,),
    "Q5_1": (0, 2),
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
    "IQ4_NL": (0,),
    "IQ4_XS": (0,),
    "MXFP4": (),
}
_F16_EXPONENT = np.uint16(0x7C00)


class Typed(NamedTuple):
    """A value of metadata of a type of its own; of an array, the type of its items."""

    value: Any
    kind: GGUFValueType
    items: GGUFValueType | None = None


def block_size(kind: str) -> tuple[int, int]:
    """The values and the bytes of a block."""
    return GGML_QUANT_SIZES[GGMLQuantizationType[kind]]


def random_blocks(
    kind: str, shape: Sequence[int], chance: np.random.Generator
) -> NDArray[np.uint8]:
    """uint8[..., bytes of a row]: a tensor of that shape, any bits whose values are finite."""
    values, size = block_size(kind)
    blocks = chance.integers(0, 256, (int(np.prod(shape)) // values, size), np.uint8)
    for at in SCALES.get(kind, ()):
        halves = blocks[:, at : at + 2].copy().view(np.uint16)
        too_large = (halves & _F16_EXPONENT) == _F16_EXPONENT
        blocks[:, at : at + 2] = np.where(too_large, halves ^ 0x4000, halves).view(np.uint8)
    if kind in ("F32", "BF16"):  # the exponent's last bit but one, where all of them are set
        high = blocks[:, -2:].copy().view(np.uint16)
        blocks[:, -2:] = np.where((high & 0x7F80) == 0x7F80, high ^ 0x4000, high).view(np.uint8)
    if kind == "MXFP4":
        blocks[:, 0] = np.minimum(blocks[:, 0], 252)
    return blocks.reshape(*shape[:-1], shape[-1] // values * size)


def values_of(kind: str, blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32[shape]: what the gguf package makes of them."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(dequantize(blocks, GGMLQuantizationType[kind]), np.float32)


def write_gguf(
    path: Path,
    tensors: Mapping[str, tuple[str, NDArray[Any]]],
    metadata: Mapping[str, Any] | None = None,
    *,
    architecture: str = "llama",
    most_tensors: int = 0,
    alignment: int | None = None,
) -> Path:
    """Write a file, or with `most_tensors` several of so many tensors; returns the first's path.

    Tensors are a type and its blocks, uint8[out, ..., bytes of a row], or "F32" or "F16" and values
    of that type. Metadata values that are not `Typed` get the type that the package gives them.
    """
    writer = GGUFWriter(path, architecture, split_max_tensors=most_tensors)
    if alignment is not None:
        writer.add_custom_alignment(alignment)
    for key, value in (metadata or {}).items():
        typed = value if isinstance(value, Typed) else Typed(value, GGUFValueType.get_type(value))
        writer.add_key_value(key, typed.value, typed.kind, typed.items)
    for name, (kind, values) in tensors.items():
        writer.add_tensor(name, values, raw_dtype=GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return first_of(path)


def first_of(path: Path) -> Path:
    """The file itself, or the first of those that it was split into."""
    parts = sorted(path.parent.glob(f"{path.stem}-00001-of-*.gguf"))
    return path if path.exists() or not parts else parts[0]
