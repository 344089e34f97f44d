"""From a name to a folder: local folders, the hub's cache, and clear refusals. No network."""

from __future__ import annotations

import shutil
import sys

import pytest

import attninfluence as ai
from attninfluence.model.hub import resolve_folder

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
    assert resolve_folder(tiny_folder) == (str(tiny_folder), None)
    monkeypatch.chdir(tiny_folder.parent)
    assert resolve_folder(tiny_folder.name) == (str(tiny_folder), None)


@pytest.mark.parametrize("revision", [None, "main", "v1", COMMIT])
def test_a_hub_id_is_found_in_the_cache(cache, revision):
    folder, commit = resolve_folder(
        "owner/tiny", revision=revision, cache_dir=cache, local_files_only=True
    )
    assert folder == str(cache / "models--owner--tiny" / "snapshots" / COMMIT)
    assert commit == COMMIT


def test_hf_hub_offline_is_enough(cache, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    assert resolve_folder("owner/tiny", cache_dir=cache)[1] == COMMIT


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
        resolve_folder("owner/other", cache_dir=cache, local_files_only=True)


def test_a_revision_that_is_not_cached(cache):
    with pytest.raises(ai.ModelError, match="'owner/tiny' at revision 'v2' could not be had"):
        resolve_folder("owner/tiny", revision="v2", cache_dir=cache, local_files_only=True)


@pytest.mark.parametrize(
    "name", ["./missing", "/no/such/folder", "a/b/c", "~/no-such-folder/x", ""]
)
def test_what_is_neither_a_folder_nor_a_hub_id(name):
    with pytest.raises(ai.ModelError, match="neither an existing folder nor a hub id"):
        resolve_folder(name)


def test_a_file_is_no_model(tiny_folder):
    with pytest.raises(ai.ModelError, match="is a file; a model is a folder"):
        resolve_folder(tiny_folder / "config.json")


def test_a_local_folder_has_no_revision(tiny_folder):
    with pytest.raises(ValueError, match="revision='main' names a version of a hub model"):
        resolve_folder(tiny_folder, revision="main")


def test_what_is_downloaded(monkeypatch, tmp_path):
    """The files a model needs, with the caller's revision and token; never a second copy."""
    import huggingface_hub

    asked = {}

    def download(name, **options):
        asked.update(options, name=name)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    resolve_folder("owner/name", revision="r", token="t")
    assert (asked["name"], asked["revision"], asked["token"]) == ("owner/name", "r", "t")
    files = ["config.json", "model.safetensors", "model-00001-of-00002.safetensors"]
    files += ["model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json"]
    files += ["special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"]
    files += ["pytorch_model.bin", "original/consolidated.00.pth", "consolidated.safetensors"]
    filtered = huggingface_hub.utils.filter_repo_objects(
        files, allow_patterns=asked["allow_patterns"], ignore_patterns=asked["ignore_patterns"]
    )
    assert list(filtered) == files[:10]


def test_a_download_needs_no_stderr(monkeypatch, tiny_folder):
    import huggingface_hub
    from huggingface_hub.utils import tqdm

    def download(name, **options):
        with tqdm(total=1, disable=False) as bar:
            bar.update(1)
        return str(tiny_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(sys, "stderr", None)
    assert resolve_folder("owner/tiny") == (str(tiny_folder), None)
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
            resolve_folder("owner/name")
