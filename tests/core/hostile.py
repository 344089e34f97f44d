"""Model folders that must be refused: each case takes a good folder and spoils it.

The good folder is a Llama of 2 layers with an output projection of its own, in
`model.safetensors` (or in 3 shards); a case says which exception opening it must raise and
what its message must name. Cases named after a CVE are that class of bug in this format.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attninfluence._core import ModelError
from tests.kit.tiny_models import make_llama_folder

Build = Callable[[Path], None]
Header = dict[str, Any]

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
DOWN = "model.layers.1.mlp.down_proj.weight"
NORM = "model.norm.weight"
KEY = "model.layers.0.self_attn.k_proj.weight"


@dataclass(frozen=True)
class Hostile:
    """A way to spoil a folder and what opening it must say."""

    name: str
    build: Build
    names: str  # what the message must contain
    error: type[Exception] = ModelError
    shards: int = 1


def make_good_folder(path: Path, shards: int = 1) -> Path:
    """The folder that the cases spoil; it opens."""
    return make_llama_folder(
        path, n_layers=2, hidden_size=16, n_heads=2, intermediate_size=12, vocab_size=20,
        shards=shards, tokenizer=False,
    )  # fmt: skip


# ---- Parts of a folder ----


def read_weights(file: Path) -> tuple[Header, bytes]:
    """Header and tensor bytes of a safetensors file."""
    raw = file.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def write_weights(file: Path, header: Header | bytes, data: bytes) -> None:
    """A safetensors file of this header, whatever it says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data)


def header_edit(edit: Callable[[Header], None]) -> Build:
    """A case that changes the header's members and leaves the tensors alone."""

    def build(folder: Path) -> None:
        header, data = read_weights(folder / WEIGHTS)
        edit(header)
        write_weights(folder / WEIGHTS, header, data)

    return build


def header_text(replace: Callable[[bytes], bytes], extra: bytes = b"") -> Build:
    """A case that changes the header as text; `extra` follows the tensors."""

    def build(folder: Path) -> None:
        header, data = read_weights(folder / WEIGHTS)
        write_weights(folder / WEIGHTS, replace(json.dumps(header).encode()), data + extra)

    return build


def set_field(tensor: str, field: str, value: Any) -> Build:
    def edit(header: Header) -> None:
        header[tensor][field] = value

    return header_edit(edit)


def file_bytes(change: Callable[[bytes], bytes], name: str = WEIGHTS) -> Build:
    """A case that changes a file's bytes."""

    def build(folder: Path) -> None:
        file = folder / name
        file.write_bytes(change(file.read_bytes()))

    return build


def data_value(tensor: str, index: int, value: float) -> Build:
    """A case that puts `value` at flat `index` of a float32 tensor, in whichever file it is."""

    def build(folder: Path) -> None:
        for file in sorted(folder.glob("*.safetensors")):
            header, data = read_weights(file)
            if tensor in header:
                place = header[tensor]["data_offsets"][0] + 4 * index
                data = data[:place] + struct.pack("<f", value) + data[place + 4 :]
                write_weights(file, header, data)

    return build


def config_with(fields: Mapping[str, Any]) -> Build:
    """A case that sets fields of config.json; None deletes one."""

    def build(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        config = {key: value for key, value in {**config, **fields}.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(config))

    return build


def rope(**settings: Any) -> Build:
    return config_with({"rope_parameters": {"rope_theta": 10000.0, **settings}})


def text_file(name: str, text: str | bytes) -> Build:
    def build(folder: Path) -> None:
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    return build


def index_with(edit: Callable[[dict[str, Any]], None]) -> Build:
    """A case that changes the weight_map of a sharded folder."""

    def build(folder: Path) -> None:
        index = json.loads((folder / INDEX).read_text())
        edit(index["weight_map"])
        (folder / INDEX).write_text(json.dumps(index))

    return build


def place(tensor: str, file: object) -> Build:
    def edit(weight_map: dict[str, Any]) -> None:
        weight_map[tensor] = file

    return index_with(edit)


def instead(name: str, make: Callable[[Path], object]) -> Build:
    """A case with something else than a file at `name`."""

    def build(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return build


def remove(name: str) -> Build:
    return instead(name, lambda path: None)


def renamed(name: str, other: str) -> Build:
    """A tensor under another name."""
    return header_edit(lambda header: header.update({other: header.pop(name)}))


def without(tensor: str) -> Build:
    """A case whose file is whole, but for this tensor."""

    def build(folder: Path) -> None:
        rewrite(folder, lambda tensors: tensors.pop(tensor))

    return build


def beside(tensor: str) -> Build:
    """A case with a further tensor [16]."""

    def build(folder: Path) -> None:
        rewrite(folder, lambda tensors: tensors.update({tensor: ("F32", [16], bytes(64))}))

    return build


def rewrite(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Rewrites the weights after `edit` of {name: (dtype, shape, bytes)}, well-formed again."""
    header, data = read_weights(folder / WEIGHTS)
    header.pop("__metadata__", None)
    tensors = {
        name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
        for name, entry in header.items()
    }
    edit(tensors)
    new: Header = {}
    parts: list[bytes] = []
    offset = 0
    for name, (dtype, shape, part) in tensors.items():
        end = offset + len(part)
        new[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        parts.append(part)
        offset = end
    write_weights(folder / WEIGHTS, new, b"".join(parts))


def as_dtype(tensor: str, dtype: str, width: int) -> Build:
    """A case whose file is whole and well-formed, with one tensor of another dtype."""

    def edit(tensors: dict[str, Any]) -> None:
        _, shape, _ = tensors[tensor]
        tensors[tensor] = (dtype, shape, bytes(int(np.prod(shape)) * width))

    return lambda folder: rewrite(folder, edit)


# ---- The cases ----


def overlap(header: Header) -> None:
    size = header[NORM]["data_offsets"][1] - header[NORM]["data_offsets"][0]
    header[NORM]["data_offsets"] = [0, size]


def hole(folder: Path) -> None:
    """Four bytes between the first tensor and the others."""
    header, data = read_weights(folder / WEIGHTS)
    for entry in header.values():
        if "data_offsets" in entry and entry["data_offsets"][0] > 0:
            entry["data_offsets"] = [offset + 4 for offset in entry["data_offsets"]]
    write_weights(folder / WEIGHTS, header, data + bytes(4))


def wrapping_sum(header: Header) -> None:
    """Two tensors whose sizes add up to 0 in 64 bits."""
    half = 1 << 63
    header["a"] = {"dtype": "U8", "shape": [half], "data_offsets": [0, half]}
    header["b"] = {"dtype": "U8", "shape": [half], "data_offsets": [half, 1 << 64]}


def many_tensors(header: Header) -> None:
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header.update({f"t{i}": empty for i in range(20000)})


def twice(text: bytes) -> bytes:
    entry = json.dumps({NORM: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}).encode()
    return text[:-1] + b"," + entry[1:]


def twice_in_entry(text: bytes) -> bytes:
    return text.replace(b'{"dtype"', b'{"dtype": "F32", "dtype"', 1)


DEEP = "[" * 200_000

LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4096\n"

FILES = [
    Hostile("Git LFS pointer", text_file(WEIGHTS, LFS_POINTER), f"{WEIGHTS}' is a Git LFS pointer"),
    Hostile("Git LFS pointer as config", text_file("config.json", LFS_POINTER), "git lfs pull"),
    Hostile("Git LFS pointer as index", text_file(INDEX, LFS_POINTER), "git lfs pull", shards=3),
    Hostile("missing file", remove(WEIGHTS), WEIGHTS, FileNotFoundError),
    Hostile("missing config", remove("config.json"), "config.json", FileNotFoundError),
    Hostile("directory", instead(WEIGHTS, Path.mkdir), WEIGHTS, IsADirectoryError),
    Hostile("directory as config", instead("config.json", Path.mkdir), "config.json", OSError),
    Hostile("named pipe", instead(WEIGHTS, os.mkfifo), "not a regular file"),
    Hostile("dangling link", instead(WEIGHTS, lambda p: p.symlink_to("gone")), WEIGHTS, OSError),
    Hostile("link to itself", instead(WEIGHTS, lambda p: p.symlink_to(p)), WEIGHTS, OSError),
    Hostile("empty file", file_bytes(lambda raw: b""), "has 0 bytes"),
    Hostile("7 bytes", file_bytes(lambda raw: raw[:7]), "has 7 bytes"),
    Hostile("only a length", file_bytes(lambda raw: raw[:8]), "truncated"),
    Hostile("truncated header", file_bytes(lambda raw: raw[:200]), "truncated"),
    Hostile("truncated tensors", file_bytes(lambda raw: raw[:-1]), "header: it is cut short; copy"),
    Hostile("one byte more", file_bytes(lambda raw: raw + b"\0"), "bytes follow the header"),
    Hostile("a GGUF file", file_bytes(lambda raw: b"GGUF\3\0\0\0" + raw), "safetensors"),
    Hostile("empty config", text_file("config.json", ""), "config.json"),
    Hostile("truncated config", file_bytes(lambda raw: raw[:-9], "config.json"), "config.json"),
]

HEADERS = [
    Hostile("missing tensor", without(DOWN), DOWN),
    Hostile(
        "wrapper of a layer",
        renamed(DOWN, DOWN.replace("mlp", "_orig_mod.mlp")),
        "a wrapper left '_orig_mod.' in names of others: save the model that it wraps",
    ),
    Hostile("missing head", without("lm_head.weight"), "lm_head.weight"),
    Hostile("unexpected tensor", beside("model.layers.2.input_layernorm.weight"), "layers.2"),
    Hostile("unexpected bias", beside("model.layers.0.self_attn.o_proj.bias"), "o_proj.bias"),
    Hostile("wrong shape", set_field(DOWN, "shape", [12, 16]), "expected shape [16, 12]"),
    Hostile("wrong rank", set_field(NORM, "shape", [16, 1]), "expected shape [16], found [16, 1]"),
    Hostile("integers", as_dtype(NORM, "I32", 4), "I32"),
    Hostile("float64", as_dtype(NORM, "F64", 8), "F64"),
    Hostile("unknown dtype", set_field(NORM, "dtype", "F31"), "F31"),
    Hostile("NaN", data_value(KEY, 17, float("nan")), f"{KEY}' holds "),
    Hostile("infinity", data_value(NORM, 15, float("inf")), f"{NORM}' holds inf at [15]"),
    Hostile("minus infinity", data_value(DOWN, 13, float("-inf")), "-inf at [1, 1]"),
    Hostile("overlap", header_edit(overlap), "overlaps"),
    Hostile("hole", hole, "hole"),
    Hostile("backward offsets", set_field(NORM, "data_offsets", [64, 0]), NORM),
    Hostile("three offsets", set_field(NORM, "data_offsets", [0, 64, 0]), NORM),
    Hostile("duplicate key", header_text(twice), f"{NORM}' occurs twice"),
    Hostile("duplicate key in a tensor", header_text(twice_in_entry), "'dtype' occurs twice"),
    Hostile("list as header", header_text(lambda text: b"[]"), "begin with '{'"),
    Hostile("not JSON", header_text(lambda text: text.replace(b":", b";")), "not valid JSON"),
    Hostile("invalid UTF-8", header_text(lambda text: text.replace(b"norm", b"no\xff")), "UTF-8"),
    Hostile("overlong UTF-8", header_text(lambda t: t.replace(b"norm", b"\xc0\xaf")), "UTF-8"),
    Hostile("lone surrogate", header_text(lambda t: t.replace(b"norm", b"\\ud800")), "surrogate"),
    Hostile("NUL in a name", header_text(lambda t: t.replace(b".norm", b"\\u0000")), "NUL"),
    Hostile("more after JSON", header_text(lambda text: text + b"{}"), "after the value"),
]

SIZES: dict[str, dict[str, Any]] = {
    "no layers": {"num_hidden_layers": 0},
    "negative heads": {"num_attention_heads": -2},
    "fractional hidden size": {"hidden_size": 16.5},
    "text as a size": {"vocab_size": "20"},
    "no size": {"intermediate_size": None},
    "no context": {"max_position_embeddings": None},
    "heads that do not divide": {"num_key_value_heads": 3},
    "odd head_dim": {"head_dim": 7},
    "another head_dim": {"head_dim": 4},
    "more layers than there are": {"num_hidden_layers": 3},
    "another vocabulary": {"vocab_size": 21},
}
SIZE_NAMES = {"odd head_dim": "odd", "another head_dim": "q_proj", "another vocabulary": "[21, 16]"}
SIZE_NAMES |= {"more layers than there are": "model.layers.2", "no context": "max_position"}

CONFIGS = [
    *(
        Hostile(name, config_with(fields), SIZE_NAMES.get(name, "".join(fields)))
        for name, fields in SIZES.items()
    ),
    Hostile("unknown model_type", config_with({"model_type": "mamba"}), "'mamba'"),
    Hostile("no model_type", config_with({"model_type": None}), "model_type"),
    Hostile("another activation", config_with({"hidden_act": "mish"}), "'mish'"),
    Hostile("quantized", config_with({"quantization_config": {"bits": 4}}), "quantization_config"),
    Hostile("sliding window", config_with({"sliding_window": 512}), "sliding_window"),
    Hostile("wrong tying", config_with({"tie_word_embeddings": True}), "tie_word_embeddings"),
    Hostile("bias announced", config_with({"attention_bias": True}), "q_proj.bias"),
    Hostile("unknown rope type", rope(rope_type="spiral", factor=2.0), "'spiral'"),
    Hostile("longrope without factors", rope(rope_type="longrope"), "short_factor"),
    Hostile("rope without a factor", rope(rope_type="linear"), "'factor'"),
    Hostile("rope of layer types", rope(full_attention={"rope_type": "default"}), "layer type"),
    Hostile("theta of one", config_with({"rope_parameters": {"rope_theta": 1}}), "rope_theta"),
    Hostile("duplicate key in config", text_file("config.json", '{"a": 1, "a": 2}'), "'a'"),
    Hostile("config with NaN", text_file("config.json", '{"rms_norm_eps": NaN}'), "config.json"),
    Hostile("deep config", text_file("config.json", DEEP), "nested"),
]

SHARDS = [
    Hostile("missing shard", place(NORM, "gone.safetensors"), "gone.safetensors", OSError, 3),
    Hostile("tensor not in its shard", place("more.weight", "model-00001-of-00003.safetensors"),
            "more.weight", shards=3),
    Hostile("tensor not in the index", index_with(lambda m: m.pop(NORM)), NORM, shards=3),
    Hostile("escape upwards", place(NORM, "../x.safetensors"), "same folder", shards=3),
    Hostile("escape to the root", place(NORM, "/etc/passwd"), "same folder", shards=3),
    Hostile("escape by a backslash", place(NORM, "..\\x"), "same folder", shards=3),
    Hostile("shard named ..", place(NORM, ".."), "same folder", shards=3),
    Hostile("no shard name", place(NORM, ""), "same folder", shards=3),
    Hostile("number as shard", place(NORM, 3), "same folder", shards=3),
    Hostile("no weight_map", text_file(INDEX, "{}"), "weight_map", shards=3),
    Hostile("empty weight_map", text_file(INDEX, '{"weight_map": {}}'), "missing", shards=3),
    Hostile("deep index", text_file(INDEX, DEEP), "nested", shards=3),
    Hostile("duplicate in the index", text_file(INDEX, '{"weight_map": {"a": "x", "a": "x"}}'),
            "'a'", shards=3),
    Hostile("NaN in a shard", data_value(NORM, 3, float("nan")), NORM, shards=3),
]  # fmt: skip

MOST = (1 << 64) - 1

# Mistakes of other loaders of model files, by the ids under which they became known.
CVES = [
    # A count or length from the file is believed.
    Hostile("CVE-2024-21802 dimensions", set_field(NORM, "shape", [1] * 5000), "8 dimensions"),
    Hostile("CVE-2024-21825 length of the header",
            file_bytes(lambda raw: struct.pack("<Q", len(raw)) + raw[8:]), "announces"),
    Hostile("CVE-2024-21836 number of tensors", header_edit(many_tensors), "'t0'"),
    Hostile("CVE-2024-23496 length of all bits",
            file_bytes(lambda raw: struct.pack("<Q", MOST) + raw[8:]), "announces"),
    Hostile("CVE-2024-23605 number of metadata", header_edit(
        lambda h: h.update(__metadata__={str(i): i for i in range(5000)})), "__metadata__"),
    Hostile("CVE-2024-25664 header of 4 GiB",
            file_bytes(lambda raw: struct.pack("<Q", 1 << 32) + raw[8:]), "announces"),
    Hostile("block_count above an array", config_with({"num_hidden_layers": 1 << 20}), "1024"),
    # The arithmetic of sizes wraps.
    Hostile("CVE-2025-53630 sum of sizes", header_edit(wrapping_sum), "'a' lies at bytes"),
    Hostile("CVE-2026-27940 offset of all bits", set_field(NORM, "data_offsets", [0, MOST]), NORM),
    Hostile("CVE-2026-33298 product of dimensions",
            set_field(NORM, "shape", [1 << 32, 1 << 32, 16]), NORM),
    Hostile("CVE-2026-33298 exabyte tensor", set_field(NORM, "shape", [1 << 60]), NORM),
    Hostile("CVE-2026-33298 zero among them",
            set_field(NORM, "shape", [1 << 62, 1 << 62, 0]), NORM),
    # A signed or narrow cast.
    Hostile("CVE-2025-49847 vocabulary of 2^32", config_with({"vocab_size": (1 << 32) + 20}),
            "vocab_size"),
    Hostile("CVE-2025-49847 vocabulary of 2^31", config_with({"vocab_size": 1 << 31}),
            "vocab_size"),
    Hostile("CVE-2025-52566 context of 2^31", config_with({"max_position_embeddings": 1 << 31}),
            "max_position_embeddings"),
    Hostile("CVE-2025-49847 number above 64 bits", config_with({"hidden_size": 1 << 70}),
            "hidden_size"),
    # The error path uses what was not made yet: spoilt last, after all else was read.
    Hostile("CVE-2024-32878 last value of the last tensor",
            data_value("lm_head.weight", 319, float("nan")), "[19, 15]"),
    Hostile("CVE-2024-41130 missing last tensor", without("lm_head.weight"), "lm_head.weight"),
    # Content is trusted after it was parsed.
    Hostile("negative dimension", set_field(NORM, "shape", [-16]), "sizes"),
    Hostile("negative offset", set_field(NORM, "data_offsets", [-64, 0]), NORM),
    Hostile("element type of an array", set_field(NORM, "shape", ["16"]), "sizes"),
    Hostile("CVE-2026-7482 more declared than there is",
            file_bytes(lambda raw: raw[:-4096]), "bytes that follow the header"),
    # Depth and complexity.
    Hostile("nested arrays", header_text(lambda text: b'{"a":' + DEEP.encode()), "nested"),
    Hostile("nested objects", header_text(lambda text: b'{"a":' * 100_000), "nested"),
    Hostile("number of a million digits", header_text(lambda t: b'{"a":' + b"1" * 1_000_000),
            "128 characters"),
    Hostile("a million values", set_field(NORM, "shape", [0] * 1_000_000), NORM),
]  # fmt: skip

ALL = [*FILES, *HEADERS, *CONFIGS, *SHARDS, *CVES]
