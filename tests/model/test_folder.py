"""Folders that are no model: what they are is named, and what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import attninfluence as ai
from attninfluence.model.hub import resolve_model
from attninfluence.model.shared import open_shared
from tests.kit.tiny_models import make_llama_folder

LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4096\n"


def write(folder: Path, *names: str, text: str = "") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def adapter(folder: Path) -> None:
    settings = {"peft_type": "LORA", "base_model_name_or_path": "owner/base"}
    write(folder, "adapter_config.json", text=json.dumps(settings))
    write(folder, "adapter_model.safetensors", "tokenizer.json", "README.md")


def adapter_of_a_long_name(folder: Path) -> None:
    settings = {"base_model_name_or_path": "owner/" + 10**6 * "b"}
    write(folder, "adapter_config.json", text=json.dumps(settings))


def broken_adapter(folder: Path) -> None:
    write(folder, "adapter_config.json", "adapter_model.bin")


def hub_repository(folder: Path) -> None:
    write(folder, "refs/main", "blobs/00", "snapshots/abc/config.json")


def hub_cache(folder: Path) -> None:
    write(folder, "models--owner--name/refs/main", "version.txt")


def dangling(folder: Path) -> None:
    (folder / "config.json").symlink_to("../../blobs/00")


def interrupted(folder: Path) -> None:
    write(folder, "config.json", ".cache/huggingface/download/a.incomplete")


def interrupted_blob(folder: Path) -> None:
    write(folder, "model.safetensors.incomplete")


def of_a_trainer(folder: Path) -> None:
    write(folder, *(f"checkpoint-{step}/config.json" for step in (500, 1000)), "training_args.bin")


def shards_alone(folder: Path) -> None:
    write(folder, "config.json", "model-00001-of-00002.safetensors")


def of_deepspeed(folder: Path) -> None:
    write(folder, "config.json", "global_step500/mp_rank_00_model_states.pt", "zero_to_fp32.py")


def gguf(folder: Path) -> None:
    write(folder, "name-Q4_K_M.gguf", "README.md")


def ggufs(folder: Path) -> None:
    write(folder, "b.gguf", "a-00001-of-00002.gguf", "a-00002-of-00002.gguf")


def gguf_beside_a_config(folder: Path) -> None:
    write(folder, "config.json", "tokenizer.json", "b.gguf")


def of_its_maker(folder: Path) -> None:
    write(folder, "consolidated.00.pth", "params.json", "tokenizer.model")


def pickled(folder: Path) -> None:
    write(folder, "config.json", "pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json")


def of_another_framework(folder: Path) -> None:
    write(folder, "config.json", "tf_model.h5")


def of_another_name(folder: Path) -> None:
    write(folder, "config.json", "my-model.safetensors")


CASES: list[tuple[Callable[[Path], None], str]] = [
    (adapter, "an adapter (LoRA or another of PEFT's) of 'owner/base'; merge the two once: peft."),
    (adapter_of_a_long_name, f"of PEFT's) of 'owner/{194 * 'b'}'; merge the two once: peft."),
    (broken_adapter, "an adapter (LoRA or another of PEFT's) of another model; merge"),
    (hub_repository, "the hub's cache of 'owner/name'; name that id, or '"),
    (hub_cache, "a cache of the hub; name a hub id, such as 'owner/name'"),
    (dangling, "config.json is a link to '../../blobs/00', which is not there"),
    (interrupted, "download was interrupted before it had its weights; begin it again"),
    (interrupted_blob, "download was interrupted before it had its config.json"),
    (of_a_trainer, "/checkpoint-1000' (of 2)"),
    (shards_alone, "model-00001-of-00002.safetensors, but no model.safetensors.index.json"),
    (of_deepspeed, "in global_step500, as a trainer's state in shards"),
    (gguf, "it holds GGUF files; name one, '{folder}/name-Q4_K_M.gguf'"),
    (ggufs, "it holds GGUF files; name one, '{folder}/a-00001-of-00002.gguf' (of 2)"),
    (gguf_beside_a_config, "it holds GGUF files; name one, '{folder}/b.gguf'"),
    (of_its_maker, "consolidated.00.pth, are in their maker's own format; take the version"),
    (pickled, "pytorch_model-00001-of-00002.bin, are pickled"),
    (of_another_framework, "tf_model.h5, are of another framework; save it as safetensors"),
    (of_another_name, "my-model.safetensors, are not called model.safetensors"),
]


@pytest.mark.parametrize(("build", "sentence"), CASES, ids=[build.__name__ for build, _ in CASES])
def test_what_a_folder_is_instead(
    tmp_path: Path, build: Callable[[Path], None], sentence: str
) -> None:
    folder = tmp_path / "models--owner--name"
    folder.mkdir()
    build(folder)
    for opener in (ai.load, open_shared):
        with pytest.raises(ai.ModelError) as caught:
            opener(folder)
        told = str(caught.value)
        assert told.startswith(f"{str(folder)!r} is no model folder: ")
        assert sentence.replace("{folder}", str(folder)) in told
        assert "\n" not in told


def test_the_current_folder_is_told_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models--owner--name"
    hub_repository(folder)
    monkeypatch.chdir(folder)
    with pytest.raises(ai.ModelError, match="the hub's cache of 'owner/name'"):
        ai.load(".")


def test_a_folder_that_tells_nothing_is_left_to_the_core(tmp_path: Path) -> None:
    write(tmp_path, "README.md")
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        ai.load(tmp_path)
    write(tmp_path, "model.safetensors")
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        ai.load(tmp_path)


def test_what_a_training_run_leaves_beside_a_model_is_no_matter(tmp_path: Path) -> None:
    folder = make_llama_folder(tmp_path / "checkpoint-500")
    write(folder, "optimizer.pt", "pytorch_model.bin", "adapter_config.json", "a.gguf")
    write(folder, "global_step500/x.pt", "b.incomplete", "checkpoint-500/config.json")
    assert ai.load(folder).n_layers == 3


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_git_lfs_pointer_is_named(tmp_path: Path, name: str) -> None:
    folder = make_llama_folder(tmp_path / "model")
    write(folder, name, text=LFS_POINTER)
    with pytest.raises(ai.ModelError, match=rf"{name}' is a Git LFS pointer.*git lfs pull"):
        ai.score(["the"], model=folder, heads=[(0, 0)])


@pytest.mark.parametrize("name", ["tokenizer_config.json", "added_tokens.json"])
def test_a_git_lfs_pointer_beside_a_tokenizer_is_named(tmp_path: Path, name: str) -> None:
    folder = make_llama_folder(tmp_path / "model")
    (folder / "tokenizer_config.json").unlink()
    write(folder, name, text=LFS_POINTER)
    with pytest.raises(ai.ModelError, match=rf"{name}' is a Git LFS pointer"):
        _ = ai.load(folder).tokenizer


def test_a_file_in_place_of_its_folder(tmp_path: Path) -> None:
    folder = make_llama_folder(tmp_path / "model")
    with pytest.raises(ai.ModelError, match=rf"weights: name '{folder}'"):
        resolve_model(folder / "model.safetensors")


@pytest.mark.parametrize("way", ["resolve", "blob"])
def test_the_address_of_a_file_names_it(way: str) -> None:
    address = f"https://huggingface.co/owner/name/{way}/main/sub/a.gguf?download=true"
    with pytest.raises(ai.ModelError, match="nor a hub id such as 'owner/name/sub/a.gguf'$"):
        resolve_model(address)


@pytest.mark.parametrize(
    "address",
    ["https://huggingface.co/owner/name", "huggingface.co/owner/name/tree/main"]
    + ["hf://owner/name", "http://hf.co/owner/name?x=1"],
)
def test_the_address_of_a_model_names_its_id(address: str) -> None:
    with pytest.raises(ai.ModelError, match="nor a hub id such as 'owner/name'$"):
        resolve_model(address)


def test_the_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    folder = make_llama_folder(tmp_path / "model")
    assert ai.load("~/model").path == open_shared(Path("~/model")).path == str(folder)
    with pytest.raises(ai.ModelError, match=rf"no model '{tmp_path}/missing'"):
        ai.load("~/missing")


def test_a_hub_model_without_safetensors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    def download(name: str, **options: object) -> str:
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda self, *_, **__: ["a.bin"])
    write(tmp_path, "config.json")
    with pytest.raises(ai.ModelError, match=r"'owner/name' has no model\.safetensors in"):
        resolve_model("owner/name")
    adapter(tmp_path)
    with pytest.raises(ai.ModelError, match="an adapter .* of 'owner/base'"):
        resolve_model("owner/name")
    shutil.rmtree(tmp_path)
