"""GGUF files through the bindings, beside the gguf package's own reading of them."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFEndian, GGUFReader, GGUFValueType

from attninfluence import _core
from tests.kit.gguf.made import SCALES, Typed, block_size, random_blocks, values_of, write_gguf

ROOT = Path(__file__).resolve().parents[2]
REAL = sorted((ROOT / "build" / "models").glob("*.gguf"))
UNREAD = sorted({kind.name for kind in GGMLQuantizationType} - set(SCALES))


def bits(values: Any) -> Any:
    """The bits of float32 numbers, of which -0 and 0 are two."""
    return np.ascontiguousarray(values, np.float32).view(np.uint32)


# ------------------------------------------------------------------------------- values


@pytest.mark.parametrize("kind", SCALES)
def test_values_are_the_bits_that_the_gguf_package_gives(kind: str, tmp_path: Path) -> None:
    """Any bits of blocks: subnormal scales, negative ones, zeros of both signs."""
    chance = np.random.default_rng(len(kind))
    values, _ = block_size(kind)
    shapes = [(values,), (3, 2 * values), (2, 3, values), (2, 2, 2, values), (41, 25 * values)]
    blocks = {str(shape): random_blocks(kind, shape, chance) for shape in shapes}
    path = write_gguf(tmp_path / "t.gguf", {name: (kind, b) for name, b in blocks.items()})
    described = _core.read_gguf(str(path))["tensors"]
    assert sorted(described) == sorted((str(shape), kind, shape) for shape in shapes)
    for shape in shapes:
        found = _core.read_gguf_tensor(str(path), str(shape))
        expected = values_of(kind, blocks[str(shape)])
        assert found.shape == expected.shape == shape and found.dtype == np.float32
        assert np.array_equal(bits(found), bits(expected))


@pytest.mark.parametrize("kind", UNREAD)
def test_other_types_are_refused_by_their_name(kind: str, tmp_path: Path) -> None:
    values, _ = block_size(kind)
    tensors = {"t": (kind, random_blocks(kind, (2, values), np.random.default_rng(0)))}
    path = write_gguf(tmp_path / "t.gguf", tensors)
    assert _core.read_gguf(str(path))["tensors"] == [("t", kind, (2, values))]
    with pytest.raises(_core.ModelError, match=f"'t' in .*: expected dtype F32, .* found {kind}$"):
        _core.read_gguf_tensor(str(path), "t")


@pytest.mark.parametrize("kind", [kind for kind in SCALES if kind != "MXFP4"])
def test_values_that_are_not_finite_are_refused(kind: str, tmp_path: Path) -> None:
    values, size = block_size(kind)
    blocks = random_blocks(kind, (3, 2 * values), np.random.default_rng(1))
    # The second block of the second row: its scale is infinite, or its value.
    infinite = b"\x80\x7f" if kind in ("F32", "BF16") else b"\x00\x7c"
    at = size + (SCALES[kind][0] if SCALES[kind] else size - 2)
    blocks[1, at : at + 2] = np.frombuffer(infinite, np.uint8)
    path = write_gguf(tmp_path / "t.gguf", {"t": (kind, blocks)})
    with pytest.raises(_core.ModelError, match=r"tensor 't' holds -?(inf|nan) at \[1, \d+\]") as no:
        _core.read_gguf_tensor(str(path), "t")
    first = int(np.argmin(np.isfinite(values_of(kind, blocks)[1])))
    assert f"at [1, {first}], expected finite values" in str(no.value)


def test_mxfp4_that_overflows_is_refused(tmp_path: Path) -> None:
    blocks = np.full((1, 17), 0x77, np.uint8)  # 6 times
    blocks[0, 0] = 254  # 2 to the power of 127
    path = write_gguf(tmp_path / "t.gguf", {"t": ("MXFP4", blocks)})
    with pytest.raises(_core.ModelError, match=r"tensor 't' holds inf at \[0, 0\]"):
        _core.read_gguf_tensor(str(path), "t")


def test_a_tensor_that_is_not_there(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "t.gguf", {"t": ("F32", np.zeros((1, 2), np.float32))})
    with pytest.raises(KeyError, match="has no tensor 'u'"):
        _core.read_gguf_tensor(str(path), "u")


@pytest.mark.skipif(not REAL, reason="needs the models that `make real-models` brings")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_every_tensor_of_a_published_file(path: Path) -> None:
    read = _core.read_gguf(str(path))
    tensors = GGUFReader(path).tensors
    assert {name for name, _, _ in read["tensors"]} == {tensor.name for tensor in tensors}
    for tensor in tensors:
        found = _core.read_gguf_tensor(str(path), tensor.name)
        expected = gguf.dequantize(tensor.data, tensor.tensor_type)
        assert np.array_equal(bits(found), bits(expected)), tensor.name


# ----------------------------------------------------------------------------- metadata

NUMBERS = {
    "UINT8": (255, np.uint8),
    "INT8": (-128, np.int8),
    "UINT16": (65535, np.uint16),
    "INT16": (-32768, np.int16),
    "UINT32": (2**32 - 1, np.uint32),
    "INT32": (-(2**31), np.int32),
    "FLOAT32": (0.1, np.float32),
    "UINT64": (2**64 - 1, np.uint64),
    "INT64": (-(2**63), np.int64),
    "FLOAT64": (0.1, np.float64),
}


def array(values: list[Any], kind: str) -> Typed:
    return Typed(values, GGUFValueType.ARRAY, GGUFValueType[kind])


def texts(*values: bytes) -> Typed:
    return array(list(values), "STRING")


def test_metadata_of_every_type(tmp_path: Path) -> None:
    metadata: dict[str, Any] = {"text": "a\u00e9\U0001f600", "empty": "", "yes": True}
    metadata |= {"texts": ["a", "", "\u4e00"], "flags": [True, False]}
    for name, (value, _) in NUMBERS.items():
        metadata[name] = Typed(value, GGUFValueType[name])
        metadata[f"{name}s"] = array([value, 0, 1], name)
    found = _core.read_gguf(str(write_gguf(tmp_path / "t.gguf", {}, metadata)))["metadata"]
    assert found.keys() == metadata.keys() | {"general.architecture"}
    for name in ("text", "empty", "yes", "texts", "flags"):
        assert found[name] == metadata[name] and type(found[name]) is type(metadata[name])
    for name, (value, dtype) in NUMBERS.items():
        assert found[name] == dtype(value).item() and type(found[name]) in (int, float)
        several = found[f"{name}s"]
        assert isinstance(several, np.ndarray) and several.dtype == dtype
        assert several.tolist() == np.array([value, 0, 1], dtype).tolist()


def test_texts_that_are_no_utf_8(tmp_path: Path) -> None:
    bad = {"general.name": Typed(b"a\xffb", GGUFValueType.STRING), "general.tags": texts(b"\xff")}
    found = _core.read_gguf(str(write_gguf(tmp_path / "t.gguf", {}, bad)))["metadata"]
    assert found["general.name"] == "a\ufffdb" and found["general.tags"] == ["\ufffd"]
    for key, value in (
        ("tokenizer.ggml.model", Typed(b"a\xff", GGUFValueType.STRING)),
        ("tokenizer.ggml.tokens", texts(b"a", b"a\xff")),
    ):
        path = write_gguf(tmp_path / "u.gguf", {}, {key: value})
        why = rf"u\.gguf': '{key}' holds a text that is no UTF-8: b'a"
        with pytest.raises(_core.ModelError, match=why):
            _core.read_gguf(str(path))


# -------------------------------------------------------------------------------- files


def test_files_of_a_split_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {name: ("F32", np.full((2, 3), i, np.float32)) for i, name in enumerate("dacb")}
    first = write_gguf(tmp_path / "m.gguf", tensors, {"a.b": 7}, most_tensors=2)
    monkeypatch.chdir(tmp_path)
    read = _core.read_gguf(first.name)
    assert read["files"] == [str(first), str(tmp_path / "m-00002-of-00002.gguf")]
    assert read["tensors"] == [(name, "F32", (2, 3)) for name in "abcd"]
    assert read["metadata"]["a.b"] == 7
    for name, (_, values) in tensors.items():
        assert np.array_equal(_core.read_gguf_tensor(str(first), name), values)
    with pytest.raises(
        _core.ModelError, match="file 2 of 2 of a model: open the first, 'm-00001-of"
    ):
        _core.read_gguf("m-00002-of-00002.gguf")
    os.rename("m-00002-of-00002.gguf", "elsewhere.gguf")
    with pytest.raises(FileNotFoundError) as missing:
        _core.read_gguf(first.name)
    assert missing.value.filename == "m-00002-of-00002.gguf"


def test_another_alignment(tmp_path: Path) -> None:
    tensors = {name: ("F32", np.full((1, 3), i, np.float32)) for i, name in enumerate("ab")}
    path = write_gguf(tmp_path / "t.gguf", tensors, alignment=1024)
    for name, (_, values) in tensors.items():
        assert np.array_equal(_core.read_gguf_tensor(str(path), name), values)


def test_files_that_are_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "t.gguf", {"t": ("F32", np.zeros((1, 8), np.float32))})
    good = path.read_bytes()
    big = gguf.GGUFWriter(tmp_path / "big.gguf", "llama", endianess=GGUFEndian.BIG)
    big.write_header_to_file()
    big.write_kv_data_to_file()
    big.close()
    for damaged, why in (
        ((tmp_path / "big.gguf").read_bytes(), "is a big-endian GGUF file"),
        (good[:4] + struct.pack("<I", 1) + good[8:], "has version 1 of GGUF, expected 2 or 3"),
        (good[:-1], "lies at bytes .* it is cut short"),
        (
            good[:30],
            "tensors: a count of 1, expected at most 0 in a file of 30 bytes: it is cut short",
        ),
        (good[:90], "left in the file: it is cut short or damaged"),
        (b"PK" + good[2:], "is no GGUF file"),
        (b"", "0 are left"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(_core.ModelError, match=rf"t\.gguf.*{why}"):
            _core.read_gguf(str(path))
    for call in (_core.read_gguf, lambda name: _core.read_gguf_tensor(name, "t")):
        with pytest.raises(FileNotFoundError):
            call(str(tmp_path / "absent.gguf"))
        with pytest.raises(IsADirectoryError):
            call(str(tmp_path))
        with pytest.raises(ValueError, match="null"):
            call(f"{path}\0")
        with pytest.raises(TypeError):
            call(7)  # type: ignore[arg-type]


def test_what_is_damaged_is_read_or_refused(tmp_path: Path) -> None:
    """Each byte of a header, made the largest there is or one less."""
    metadata = {"a": [1, 2], "b": ["x", "yz"], "c": True, "general.alignment": 32}
    tensors = {"t": ("Q4_K", random_blocks("Q4_K", (2, 256), np.random.default_rng(2)))}
    path = write_gguf(tmp_path / "t.gguf", tensors, metadata)
    good, n_refused = path.read_bytes(), 0
    for at in range(len(good) - 300):
        for byte in (255, (good[at] - 1) % 256):
            path.write_bytes(good[:at] + bytes([byte]) + good[at + 1 :])
            why = _refusal(path)
            assert why is None or str(path) in why
            n_refused += why is not None
    assert n_refused > 300


def _refusal(path: Path) -> str | None:
    """Why a file, or one of its tensors, is refused."""
    try:
        for name, _, _ in _core.read_gguf(str(path))["tensors"]:
            _core.read_gguf_tensor(str(path), name)
    except _core.ModelError as error:
        return str(error)
    return None
