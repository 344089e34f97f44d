"""Experts of 4-bit floats, as gpt-oss is published, against transformers' own unpacking."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from attninfluence import _core
from tests.kit.family_models import make_family_folder, read_folder, write_folder
from tests.kit.tiny_models import encode, random_ids

SETTINGS = {"hidden_size": 64, "intermediate_size": 96}
BYTES = NDArray[np.uint8]


def packed(random: np.random.Generator, shape: tuple[int, int, int]) -> tuple[BYTES, BYTES]:
    """Random blocks [experts, n, k / 32, 16] and scales [experts, n, k / 32] around 1/16."""
    experts, n, k = shape
    blocks = random.integers(0, 256, (experts, n, k // 32, 16), dtype=np.uint8)
    scales = random.integers(121, 125, (experts, n, k // 32), dtype=np.uint8)
    return blocks, scales


def write_mixed(file: Path, tensors: dict[str, NDArray[Any]]) -> None:
    """A safetensors file of float32 and uint8 tensors."""
    header: dict[str, Any] = {}
    data = b""
    for name, array in tensors.items():
        is_bytes = array.dtype == np.uint8
        part = array.tobytes() if is_bytes else encode(array, "float32")
        offsets = [len(data), len(data) + len(part)]
        kind = "U8" if is_bytes else "F32"
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": offsets}
        data += part
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A gpt_oss folder with packed experts, and one with the same experts unpacked."""
    import torch
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    root = tmp_path_factory.mktemp("mxfp4")
    make_family_folder(root / "made", "gpt_oss", "alternating", settings=SETTINGS)
    config, tensors = read_folder(root / "made")
    random = np.random.default_rng(4)
    short: dict[str, NDArray[Any]] = dict(tensors)
    long = dict(tensors)
    for name in [name for name in tensors if name.endswith(("gate_up_proj", "down_proj"))]:
        experts, k, n = tensors[name].shape
        blocks, scales = packed(random, (experts, n, k))
        unpacked = convert_moe_packed_tensors(
            torch.from_numpy(blocks), torch.from_numpy(scales), dtype=torch.float32
        )
        assert unpacked.shape == tensors[name].shape
        long[name] = unpacked.numpy()
        del short[name]
        short |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
    write_folder(root / "long", config, long)
    (root / "short").mkdir()
    quantization = {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}
    text = json.dumps({**config, "quantization_config": quantization})
    (root / "short" / "config.json").write_text(text)
    write_mixed(root / "short" / "model.safetensors", short)
    return root / "short", root / "long"


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_packed_experts_are_the_unpacked_ones(folders: tuple[Path, Path], precision: str) -> None:
    short, long = (_core.Model(str(folder), precision) for folder in folders)
    ids = [random_ids(n, n, short.vocab_size) for n in (2, 40, 130)]
    masked = np.random.default_rng(0).random((1, short.n_layers, short.n_heads)) < 0.4
    for found, expected in zip(
        short.run(ids, variants=masked), long.run(ids, variants=masked), strict=True
    ):
        assert np.isfinite(found).all() and np.array_equal(found, expected)


def changed(folder: Path, path: Path, ending: str, change: Any) -> Path:
    """A copy of the packed folder with the first tensor of that ending changed."""
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model.safetensors")
    name = min(name for name in tensors if name.endswith(ending))
    tensors[name] = change(tensors[name])
    write_mixed(path / "model.safetensors", tensors)
    (path / "config.json").write_bytes((folder / "config.json").read_bytes())
    return path


def test_packed_experts_that_do_not_fit_are_refused(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    def refusal(ending: str, change: Any) -> str:
        with pytest.raises(_core.ModelError) as error:
            _core.Model(str(changed(folders[0], tmp_path, ending, change)), "fp32")
        return str(error.value)

    def widest(scales: BYTES) -> BYTES:
        return np.full_like(scales, 255)

    assert "down_proj_scales' holds a scale that makes" in refusal("down_proj_scales", widest)
    assert "expected shape" in refusal("down_proj_blocks", lambda blocks: blocks[:, :, :, :8])
    floats = refusal("down_proj_scales", lambda scales: scales.astype(np.float32))
    assert "expected dtype U8, found F32" in floats
