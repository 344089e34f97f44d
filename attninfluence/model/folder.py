"""Why a folder is no model that can be opened, where what it holds tells."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from attninfluence._core import ModelError
from attninfluence.base.gguf import first_files, of_several
from attninfluence.base.json_values import JSONError, read_json_object

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_MOST_SHOWN = 200  # characters of a name
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")


def has_weights(folder: str | Path) -> bool:
    """Whether the folder has weights that the core looks for, in one file or in several."""
    return any(Path(folder, name).exists() for name in _WEIGHTS)


def check_folder(folder: str) -> None:
    """ModelError, with what to do, for a folder without config.json or weights of a known kind.

    Nothing is read of a folder that has both. Of any other that is not known here the core names
    the missing file.
    """
    path = Path(os.path.abspath(folder))
    if (path / "config.json").exists() and has_weights(folder):
        return
    names = sorted(os.listdir(folder))
    for tell in _CAUSES:
        cause = tell(path, names)
        if cause:
            raise ModelError(f"{folder!r} is no model folder: {cause}")


def _adapter(path: Path, names: list[str]) -> str:
    if "adapter_config.json" not in names:
        return ""
    try:
        settings = read_json_object(path / "adapter_config.json")
        base = repr(str(settings["base_model_name_or_path"])[:_MOST_SHOWN])
    except (OSError, JSONError, KeyError):
        base = "another model"
    return (
        f"it holds an adapter (LoRA or another of PEFT's) of {base}; merge the two once: "
        "peft.AutoPeftModelForCausalLM.from_pretrained(FOLDER).merge_and_unload()"
        ".save_pretrained(NEW), and save the tokenizer there"
    )


def _hub_cache(path: Path, names: list[str]) -> str:
    """The folder of a repository in the hub's cache, or the cache itself."""
    if {"snapshots", "blobs"} <= set(names):
        hub_id = path.name.removeprefix("models--").replace("--", "/")
        there = sorted(os.listdir(path / "snapshots"))
        named = f", or {str(path / 'snapshots' / there[0])!r}" if there else ""
        return f"it is the hub's cache of {hub_id!r}; name that id{named}"
    found = [name for name in names if name.startswith("models--")]
    if found:
        hub_id = found[0].removeprefix("models--").replace("--", "/")
        return f"it is a cache of the hub; name a hub id, such as {hub_id!r}"
    return ""


def _dangling(path: Path, names: list[str]) -> str:
    for name in ("config.json", *_WEIGHTS):
        link = path / name
        if link.is_symlink() and not link.exists():
            return (
                f"its {name} is a link to {os.readlink(link)!r}, which is not there; copy a "
                "snapshot of the hub's cache with its links followed (cp -rL), or download it"
            )
    return ""


def _unfinished(path: Path, names: list[str]) -> str:
    """A download that was interrupted, into this folder."""
    partial = [*path.glob("*.incomplete"), *path.glob(".cache/huggingface/download/*.incomplete")]
    if not partial:
        return ""
    missing = "weights" if "config.json" in names else "config.json"
    return f"its download was interrupted before it had its {missing}; begin it again"


def _inner(path: Path, names: list[str]) -> str:
    """A folder of folders that are models, such as a trainer's."""
    inner = [name for name in names if os.path.isfile(path / name / "config.json")]
    inner.sort(key=lambda name: [int(part) for part in re.findall(r"\d+", name)])
    if "config.json" in names or not inner:
        return ""
    others = f" (of {len(inner)})" if len(inner) > 1 else ""
    return f"it holds others that may be; name {str(path / inner[-1])!r}{others}"


def _shards_alone(path: Path, names: list[str]) -> str:
    shards = [name for name in names if _SHARD.fullmatch(name)]
    if not shards:
        return ""
    return (
        f"it has {shards[0]}, but no model.safetensors.index.json that says which tensors are in "
        "which file; download that file too"
    )


def _training_state(path: Path, names: list[str]) -> str:
    states = [name for name in names if re.match(r"global_step\d+$|pytorch_model_fsdp_", name)]
    if not states:
        return ""
    return (
        f"its weights are in {states[0]}, as a trainer's state in shards (DeepSpeed or FSDP); "
        "let the trainer save the whole model as safetensors, or convert them: zero_to_fp32.py "
        "--safe_serialization, or accelerate merge-weights"
    )


def _gguf_files(path: Path, names: list[str]) -> str:
    files = first_files(names)
    if not files:
        return ""
    return f"it holds GGUF files; name one, {str(path / files[0])!r}{of_several(files)}"


def _other_format(path: Path, names: list[str]) -> str:
    """Weights that are there and in no format that is read."""
    for pattern, what, remedy in _FORMATS:
        found = [name for name in names if re.search(pattern, name)]
        if found:
            return f"its weights, {found[0]}, are {what}; {remedy}"
    return ""


_FORMATS = (
    (
        r"^consolidated.*\.(pth|safetensors)$",
        "in their maker's own format",
        "take the version of the model for transformers, with config.json and model.safetensors",
    ),
    (
        r"^pytorch_model.*\.bin$",
        "pickled, which may run code when it is read",
        "save the model as safetensors: AutoModelForCausalLM.from_pretrained(folder)"
        ".save_pretrained(NEW)",
    ),
    (r"^(tf_model\.h5|flax_model\.msgpack)$", "of another framework", "save it as safetensors"),
    (
        r"^(?!model\.safetensors$).*\.safetensors$",
        "not called model.safetensors",
        "give the file that name, if it holds the whole model",
    ),
)

_CAUSES: tuple[Callable[[Path, list[str]], str], ...] = (
    _adapter,
    _hub_cache,
    _dangling,
    _unfinished,
    _inner,
    _shards_alone,
    _training_state,
    _gguf_files,
    _other_format,
)
