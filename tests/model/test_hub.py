"""From a name to a folder: local folders, the hub's cache, and clear refusals. No network."""

from __future__ import annotations

import shutil
import sys

import pytest

import attninfluence as ai
from attninfluence.model.hub import resolve_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path, tiny_folder):
    """A hub cache with the tiny model as owner/tiny, branch main and tag v1."""
    repository = tmp_path / "cache" / "models--owner--tiny"
    shutil.copytree(tiny_folder, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    for name in ("main", "v1"):
        (repository / "refs" / name).write_text(COMMIT)
    return tmp_path / "cache"


def test_a_local_folder_is_itself(tiny_folder, tmp_path, monkeypatch):
    assert resolve_model(tiny_folder) == (str(tiny_folder), None)
    monkeypatch.chdir(tiny_folder.parent)
    assert resolve_model(tiny_folder.name) == (str(tiny_folder), None)


@pytest.mark.parametrize("revision", [None, "main", "v1", COMMIT])
def test_a_hub_id_is_found_in_the_cache(cache, revision):
    folder, commit = resolve_model(
        "owner/tiny", revision=revision, cache_dir=cache, local_files_only=True
    )
    assert folder == str(cache / "models--owner--tiny" / "snapshots" / COMMIT)
    assert commit == COMMIT


def test_hf_hub_offline_is_enough(cache, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    assert resolve_model("owner/tiny", cache_dir=cache)[1] == COMMIT


def test_load_by_hub_id(cache):
    import pickle

    model = ai.load("owner/tiny", cache_dir=cache, local_files_only=True)
    assert model.commit == COMMIT
    assert model.path.endswith(COMMIT)
    again = pickle.loads(pickle.dumps(model))
    assert again.commit == COMMIT
    assert again.fingerprint == model.fingerprint


def test_a_hub_id_that_is_not_cached(cache):
    sentence = (
        "no model 'owner/other': no such folder exists, and the hub model 'owner/other' could not "
        r"be had \(offline, and it is not in the cache\)"
    )
    with pytest.raises(ai.ModelError, match=sentence):
        resolve_model("owner/other", cache_dir=cache, local_files_only=True)


def test_a_revision_that_is_not_cached(cache):
    with pytest.raises(ai.ModelError, match="'owner/tiny' at revision 'v2' could not be had"):
        resolve_model("owner/tiny", revision="v2", cache_dir=cache, local_files_only=True)


@pytest.mark.parametrize(
    "name", ["./missing", "/no/such/folder", "a/b/c", "~/no-such-folder/x", ""]
)
def test_what_is_neither_a_folder_nor_a_hub_id(name):
    with pytest.raises(ai.ModelError, match="neither an existing folder nor a hub id"):
        resolve_model(name)


def test_a_file_is_no_model(tiny_folder):
    with pytest.raises(ai.ModelError, match="is a file; a model is a folder"):
        resolve_model(tiny_folder / "config.json")


def test_a_local_folder_has_no_revision(tiny_folder):
    with pytest.raises(ValueError, match="revision='main' names a version of a hub model"):
        resolve_model(tiny_folder, revision="main")


def test_what_is_downloaded(monkeypatch, tmp_path):
    """The files a model needs, with the caller's revision and token; never a second copy."""
    import huggingface_hub

    asked = {}

    def download(name, **options):
        asked.update(options, name=name)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    resolve_model("owner/name", revision="r", token="t")
    assert (asked["name"], asked["revision"], asked["token"]) == ("owner/name", "r", "t")
    files = ["config.json", "model.safetensors", "model-00001-of-00002.safetensors"]
    files += ["model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json"]
    files += ["special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"]
    files += ["pytorch_model.bin", "original/consolidated.00.pth", "consolidated.safetensors"]
    filtered = huggingface_hub.utils.filter_repo_objects(
        files, allow_patterns=asked["allow_patterns"], ignore_patterns=asked["ignore_patterns"]
    )
    assert list(filtered) == files[:10]


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What the hub is asked for; it gives an empty folder and has no files to list."""
    import huggingface_hub

    asked = {}

    def download(name, **options):
        asked.update(options, name=name)
        return str(tmp_path / COMMIT)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda self, *_, **__: [])
    (tmp_path / COMMIT).mkdir()
    return asked


def test_a_file_of_the_hub(asked, tmp_path):
    """All parts of it, and heads that lie with it; nothing of its other files."""
    import huggingface_hub

    parts = [f"sub/a-{at:05}-of-00002.gguf" for at in (1, 2)]
    (tmp_path / COMMIT / "sub").mkdir()
    for part in parts:
        (tmp_path / COMMIT / part).write_bytes(b"")
    found = resolve_model(f"owner/name/{parts[0]}", revision="r", token="t", cache_dir="~/cache")
    assert found == (str(tmp_path / COMMIT / parts[0]), COMMIT)
    assert (asked["name"], asked["revision"], asked["token"]) == ("owner/name", "r", "t")
    files = [*parts, "sub/a.heads.json", "sub/heads.json"]
    others = ["config.json", "heads.json", "sub/b.gguf", "a-00001-of-00002.gguf", "README.md"]
    filtered = huggingface_hub.utils.filter_repo_objects(
        [*files, *others], allow_patterns=asked["allow_patterns"]
    )
    assert list(filtered) == files


def test_a_file_that_the_hub_does_not_have(asked, tmp_path, monkeypatch):
    import huggingface_hub

    with pytest.raises(ai.ModelError, match="the hub model 'owner/name' has no 'a.gguf'$"):
        resolve_model("owner/name/a.gguf")
    there = ["README.md", "b-00001-of-00002.gguf", "b-00002-of-00002.gguf", "c.gguf"]
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda self, *_, **__: there)
    sentence = r"has no 'a.gguf'; it has 'b-00001-of-00002.gguf' \(of 2\)$"
    with pytest.raises(ai.ModelError, match=sentence):
        resolve_model("owner/name/a.gguf")
    sentence = r"has no model.safetensors, but GGUF files: name one, 'owner/name/b-00001-of-00002"
    with pytest.raises(ai.ModelError, match=sentence):
        resolve_model("owner/name")
    (tmp_path / COMMIT / "b-00001-of-00002.gguf").write_bytes(b"")
    with pytest.raises(ai.ModelError, match="'owner/name' has no 'b-00002-of-00002.gguf'"):
        resolve_model("owner/name/b-00001-of-00002.gguf")


@pytest.mark.parametrize("name", ["a.gguf", "x/a.gguf", "./a.gguf", "/x/y/a.gguf", "x//a.gguf"])
def test_a_file_that_is_not_there(name):
    with pytest.raises(ai.ModelError, match="there is no such file, and it does not name one of"):
        resolve_model(name)


def test_a_local_file_is_itself(tmp_path, monkeypatch):
    """By its name or, as Ollama keeps them, by its first bytes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sha256-0").write_bytes(b"GGUF")
    (tmp_path / "a.GGUF").write_bytes(b"")
    for name in ("sha256-0", "a.GGUF"):
        assert resolve_model(name) == (str(tmp_path / name), None)
        with pytest.raises(ValueError, match="'main' names a version .* is a local file; leave"):
            resolve_model(name, revision="main")


def test_a_download_needs_no_stderr(monkeypatch, tiny_folder):
    import huggingface_hub
    from huggingface_hub.utils import tqdm

    def download(name, **options):
        with tqdm(total=1, disable=False) as bar:
            bar.update(1)
        return str(tiny_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(sys, "stderr", None)
    assert resolve_model("owner/tiny") == (str(tiny_folder), None)
    assert sys.stderr is None


def test_a_gated_model_says_so(monkeypatch):
    from types import SimpleNamespace

    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    response = SimpleNamespace(headers={}, request=None)
    for error, words in [
        (GatedRepoError("gated", response=response), "access to it must be granted"),
        (RepositoryNotFoundError("none", response=response), "the hub has none of that name"),
    ]:

        def refuse(name, error=error, **options):
            raise error

        monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
        with pytest.raises(ai.ModelError, match=words):
            resolve_model("owner/name")
