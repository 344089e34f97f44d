"""What the extension module takes: values that are none of the kind asked for are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attninfluence import _core

IDS = np.arange(8, dtype=np.int32)


@pytest.fixture(scope="module")
def core(plain_folder: Path) -> _core.Model:
    return _core.Model(str(plain_folder), "fp32")


NO_INTEGERS: list[Any] = [
    [1.5],
    [1.0],
    np.array([1.5]),
    np.array([2.0], dtype=np.float16),
    [True],
    np.array([True]),
    ["1"],
    [b"1"],
    [None],
    [object()],
    [1 + 0j],
    [2**70],
    np.array([1], dtype=np.uint64),
    np.array([1], dtype="m8[s]"),
    np.array([1], dtype=object),
]


@pytest.mark.parametrize("values", NO_INTEGERS, ids=repr)
def test_arrays_of_something_else_than_integers(core: _core.Model, values: Any) -> None:
    """One value a document, a pair, or the ids themselves."""
    pair = [[values[0], values[0]]] if isinstance(values, list) else np.stack([values, values], 1)
    found = r": expected integers that int64 holds, found \S+"
    with pytest.raises(TypeError, match="^first_scored" + found):
        core.run([IDS], first_scored=values)
    with pytest.raises(TypeError, match="^answers" + found):
        core.copies([IDS], pair, [(2, 4)])
    with pytest.raises(TypeError, match="^needles" + found):
        core.copies([IDS], [(4, 8)], pair)
    with pytest.raises(TypeError, match="^ids of document 1" + found):
        core.run([IDS, values])
    with pytest.raises(TypeError, match="^ids of document 0" + found):
        core.logits(values)
    with pytest.raises(TypeError, match="^ids of document 0" + found):
        core.attention(values, 0, 0)


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**40, 2**32 + 1])
def test_ids_beyond_32_bits(core: _core.Model, value: int) -> None:
    for ids in ([1, value, 2], np.array([1, value, 2])):
        with pytest.raises(ValueError, match=f"^ids of document 1: {value} is no integer of 32"):
            core.run([IDS, ids])


@pytest.mark.parametrize("kind", ["int8", "uint16", "int32", "uint32", "int64", ">i4", "list"])
def test_integers_of_any_width(core: _core.Model, kind: str) -> None:
    def convert(array: Any) -> Any:
        return array.tolist() if kind == "list" else array.astype(kind)

    expected = core.run([IDS], first_scored=[3])[0]
    found = core.run([convert(IDS)], first_scored=convert(np.array([3])))[0]
    assert np.array_equal(expected, found)
    strided = convert(np.repeat(IDS, 2))[::2]
    assert np.array_equal(expected, core.run([strided], first_scored=[3])[0])


@pytest.mark.parametrize("value", [1, 0, 0.5, "x", None])
def test_variants_that_are_no_booleans(core: _core.Model, value: Any) -> None:
    rows = [[value] * core.n_heads] * core.n_layers
    for variants in (rows, [rows], np.array([rows])):
        with pytest.raises(TypeError, match="^variants: expected booleans, found "):
            core.run([IDS], variants=variants)  # type: ignore[arg-type]


def test_texts_with_a_nul(core: _core.Model, plain_folder: Path, tmp_path: Path) -> None:
    """Each would be read as what stands before it."""
    folder = str(plain_folder)
    kernel = core.kernel + "\0x"
    with pytest.raises(ValueError, match="null character"):
        core.packed_header("k\0x")
    with pytest.raises(ValueError, match=r"'fp32\\x00x'"):
        _core.kernels("fp32\0x")
    with pytest.raises(ValueError, match=r"'fp32\\x00x'"):
        _core.choose_kernel("fp32\0x", None)
    with pytest.raises(ValueError, match="null character"):
        _core.choose_kernel("fp32", kernel)
    with pytest.raises(ValueError, match="null byte"):
        _core.Model(folder + "\0x")
    with pytest.raises(ValueError, match=r"'fp32\\x00x'"):
        _core.Model(folder, "fp32\0x")
    with pytest.raises(ValueError, match="null character"):
        _core.Model(folder, "fp32", kernel)
    with pytest.raises(ValueError, match="null byte"):
        _core.Model(folder, packed=f"{tmp_path}/packed\0x", key="k")
    with pytest.raises(ValueError, match="null character"):
        _core.Model(folder, packed=f"{tmp_path}/packed", key="k\0x")
    with pytest.raises(ValueError, match="null character"):
        core.run([IDS], mask="zero\0x")
    with pytest.raises(ValueError, match="null character"):
        core.logits(IDS, None, "zero\0x")


@pytest.mark.parametrize("key", [b"k", 3, None])
def test_a_key_that_is_no_text(core: _core.Model, key: Any) -> None:
    with pytest.raises(TypeError, match="packed_header"):
        core.packed_header(key)
