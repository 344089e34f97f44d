"""Opening model folders: the hostile ones are refused by name, quickly, and the good ones read."""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from attninfluence._core import Model, ModelError
from tests.core import hostile
from tests.kit.child import run_python
from tests.kit.tiny_models import encode, make_llama_folder, random_ids, write_safetensors

CASES = hostile.ALL


def spoil(case: hostile.Hostile, folder: Path) -> Path:
    hostile.make_good_folder(folder, case.shards)
    case.build(folder)
    return folder


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every hostile folder, by the case's name."""
    base = tmp_path_factory.mktemp("hostile")
    return {case.name: spoil(case, base / str(i)) for i, case in enumerate(CASES)}


@pytest.mark.parametrize("shards", [1, 3])
def test_the_folder_that_is_spoilt_opens(tmp_path: Path, shards: int) -> None:
    model = Model(str(hostile.make_good_folder(tmp_path / "good", shards)))
    assert (model.n_layers, model.n_heads, model.vocab_size) == (2, 2, 20)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_hostile_folder_is_refused_by_name(
    case: hostile.Hostile, spoilt: dict[str, Path]
) -> None:
    with pytest.raises(case.error) as caught:
        Model(str(spoilt[case.name]))
    message = str(caught.value)
    assert case.names in message
    assert "\n" not in message
    assert type(caught.value) is not MemoryError


OPEN_ALL = """
import resource, sys, time
from attninfluence._core import Model

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

Model(sys.argv[1])  # what opening takes once is in the peak from here on
before, slowest = peak(), 0.0
for _ in range(3):
    for folder in sys.argv[2:]:
        start = time.process_time()
        try:
            Model(folder)
            sys.exit(f"{folder} was opened")
        except (ValueError, OSError):
            pass
        slowest = max(slowest, time.process_time() - start)
print(slowest, peak() - before)
"""


def test_hostile_folders_take_neither_time_nor_memory(
    spoilt: dict[str, Path], tmp_path: Path
) -> None:
    good = hostile.make_good_folder(tmp_path / "good")
    slowest, grown = run_python(OPEN_ALL, good, *spoilt.values()).split()
    assert float(slowest) < 1  # seconds of a processor, whatever else it does meanwhile
    assert int(grown) < 64 * 1024  # KiB


def test_a_sparse_file_of_a_terabyte_is_refused_unread(tmp_path: Path) -> None:
    folder = hostile.make_good_folder(tmp_path / "sparse")
    file = folder / hostile.WEIGHTS
    size = file.stat().st_size
    os.truncate(file, 1 << 40)
    with pytest.raises(ModelError, match=f"{(1 << 40) - size}|bytes follow the header"):
        Model(str(folder))
    file.write_bytes(struct.pack("<Q", 1 << 30))
    os.truncate(file, 1 << 40)
    with pytest.raises(ModelError, match="at most 100000000"):
        Model(str(folder))


def test_no_code_of_a_folder_runs(tmp_path: Path) -> None:
    """CVE-2024-34359: a template, a module or an `auto_map` in the folder is not ours to run."""
    folder = hostile.make_good_folder(tmp_path / "code")
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w').close()"
    (folder / "modeling_evil.py").write_text(code)
    (folder / "__init__.py").write_text(code)
    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    hostile.config_with({"auto_map": {"AutoModelForCausalLM": "modeling_evil.Evil"}})(folder)
    assert Model(str(folder)).n_layers == 2
    assert not marker.exists()


def test_refusing_gives_the_files_back(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("counts open files in /proc")
    folder = spoil(hostile.SHARDS[-1], tmp_path / "shards")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(ModelError):
            Model(str(folder))
    assert len(os.listdir("/proc/self/fd")) == before


# ---- Random damage ----


def damage(raw: bytes, source: random.Random) -> bytes:
    """A few bytes changed, cut, doubled or replaced by a telling word."""
    words = (b"0", b"-1", b"18446744073709551615", b"{", b"]", b'"', b",", b"null", b"\xff", b"")
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(raw) + 1)
        cut = at + source.choice((0, 1, 1, 8, 64))
        raw = raw[:at] + source.choice((*words, raw[at : at + 40])) + raw[cut:]
    return raw


OPEN_DAMAGED = """
import sys
from pathlib import Path
from attninfluence._core import Model
from tests.core.test_loading import damaged_files

folder, opened = Path(sys.argv[1]), 0
for name, content in damaged_files(folder, int(sys.argv[2])):
    (folder / name).write_bytes(content)
    try:
        Model(str(folder))
        opened += 1
    except (ValueError, OSError) as error:
        assert "\\n" not in str(error)
print(opened)
"""


def damaged_files(folder: Path, runs: int) -> list[tuple[str, bytes]]:
    """(name, content) of `runs` damaged headers and configs, each followed by the good file."""
    source = random.Random(20250507)
    good = {name: (folder / name).read_bytes() for name in ("config.json", hostile.WEIGHTS)}
    weights = good[hostile.WEIGHTS]
    (length,) = struct.unpack("<Q", weights[:8])
    files: list[tuple[str, bytes]] = []
    for _ in range(runs):
        name = source.choice(sorted(good))
        if name == "config.json":
            content = damage(good[name], source)
        else:
            header = damage(weights[8 : 8 + length], source)
            content = struct.pack("<Q", len(header)) + header + weights[8 + length :]
        files += [(name, content), (name, good[name])]
    return files


def test_random_damage_never_crashes(tmp_path: Path) -> None:
    folder = hostile.make_good_folder(tmp_path / "damaged")
    opened = int(run_python(OPEN_DAMAGED, folder, 400))
    # Every second file is the good one; damage that leaves a value as it was is no damage.
    assert 400 <= opened < 600


# ---- Good folders ----


def losses(folder: Path) -> NDArray[np.float32]:
    return Model(str(folder)).run([random_ids(1, 40, 20)])[0]


def rounded(tensors: dict[str, Any], dtype: str) -> dict[str, NDArray[np.float32]]:
    """float32 arrays of what `tensors` are in a narrower dtype."""

    def widen(array: NDArray[np.float32]) -> NDArray[np.float32]:
        raw = np.frombuffer(encode(array, dtype), "<f2" if dtype == "float16" else "<u2")
        if dtype == "float16":
            return raw.astype(np.float32).reshape(array.shape)
        return (raw.astype(np.uint32) << 16).view(np.float32).reshape(array.shape)

    return {name: widen(array) for name, array in tensors.items()}


def arrays(file: Path) -> dict[str, NDArray[np.float32]]:
    header, data = hostile.read_weights(file)
    return {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__"
    }


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_weights_are_read_exactly(tmp_path: Path, dtype: str) -> None:
    wide = hostile.make_good_folder(tmp_path / "wide")
    tensors = arrays(wide / hostile.WEIGHTS)
    write_safetensors(wide / hostile.WEIGHTS, rounded(tensors, dtype))
    narrow = hostile.make_good_folder(tmp_path / "narrow")
    write_safetensors(narrow / hostile.WEIGHTS, tensors, dtype=dtype)
    np.testing.assert_array_equal(losses(narrow), losses(wide))


def reorder(tensors: dict[str, Any]) -> None:
    for name in sorted(tensors, reverse=True):
        tensors[name] = tensors.pop(name)


def add_buffer(tensors: dict[str, Any]) -> None:
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    tensors[name] = ("F32", [4], bytes(16))


def wrap(wrapper: str, tensors: dict[str, Any]) -> None:
    for name in list(tensors):
        tensors[wrapper + name] = tensors.pop(name)


WRAPPERS = ("module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod.")


@pytest.mark.parametrize(
    "edit", [reorder, add_buffer, *(partial(wrap, wrapper) for wrapper in WRAPPERS)]
)
def test_harmless_differences_make_none(
    tmp_path: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    plain = hostile.make_good_folder(tmp_path / "plain")
    other = hostile.make_good_folder(tmp_path / "other")
    hostile.rewrite(other, edit)
    np.testing.assert_array_equal(losses(other), losses(plain))


def test_shards_read_as_one_file(tmp_path: Path) -> None:
    single = hostile.make_good_folder(tmp_path / "single")
    shards = hostile.make_good_folder(tmp_path / "shards", 3)
    np.testing.assert_array_equal(losses(shards), losses(single))


def test_a_tied_model_may_store_its_head_too(tmp_path: Path) -> None:
    options: dict[str, Any] = {"hidden_size": 16, "vocab_size": 20, "tokenizer": False}
    tied = make_llama_folder(tmp_path / "tied", tied=True, **options)
    both = make_llama_folder(tmp_path / "both", tied=True, **options)
    tensors = arrays(both / hostile.WEIGHTS)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    write_safetensors(both / hostile.WEIGHTS, tensors)
    assert Model(str(both)).tied
    np.testing.assert_array_equal(losses(both), losses(tied))


def test_links_out_of_the_folder_are_followed(tmp_path: Path) -> None:
    """As the cache of huggingface_hub has them."""
    folder = hostile.make_good_folder(tmp_path / "snapshot")
    blob = (folder / hostile.WEIGHTS).rename(tmp_path / "blob")
    (folder / hostile.WEIGHTS).symlink_to(blob)
    assert Model(str(folder)).n_layers == 2
