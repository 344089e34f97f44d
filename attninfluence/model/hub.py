"""From a path or a Hugging Face hub id to a folder on this machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

from attninfluence._core import ModelError
from attninfluence.base.paths import expand_home
from attninfluence.base.stderr import for_libraries
from attninfluence.model.folder import check_folder, has_weights

# What a model needs, and nothing that holds the same weights a second time.
_WANTED = [
    "config.json",
    "adapter_config.json",
    "generation_config.json",
    "heads.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "*.safetensors",
    "*.safetensors.index.json",
]
_UNWANTED = ["original/*", "consolidated*", "onnx/*"]

# The address of a model, as a browser shows it or fsspec takes it.
_PAGE = re.compile(r"(?:hf://|(?:https?://)?(?:huggingface\.co|hf\.co)/)([\w.-]+/[\w.-]+)")


def resolve_folder(
    path_or_id: str | os.PathLike[str],
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> tuple[str, str | None]:
    """(absolute folder, hub commit); the commit is None for a local folder.

    A folder that exists is taken as it is. Anything else is a hub id, downloaded
    (or found in the cache) at `revision`: a branch, a tag or a commit.
    `local_files_only`, or HF_HUB_OFFLINE=1 in the environment, looks only into the
    cache. A name may begin with ~. ModelError when there is neither such a folder nor
    such a hub model, or a folder is known to be no model (`check_folder`); ValueError
    for a revision of a local folder.
    """
    name = expand_home(path_or_id)
    if os.path.isdir(name):
        if revision is not None:
            raise ValueError(
                f"revision={revision!r} names a version of a hub model, but {name!r} is a local "
                "folder; leave revision out"
            )
        check_folder(name)
        return os.path.abspath(name), None
    _check_hub_id(name)
    folder, commit = _download(name, revision, token, cache_dir, local_files_only)
    _check_downloaded(name, folder, local_files_only)
    return folder, commit


def _check_hub_id(name: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    if os.path.exists(name):
        raise ModelError(
            f"{name!r} is a file; a model is a folder with config.json and weights"
            + _folder_of(name)
        )
    try:
        validate_repo_id(name)
    except HFValidationError:
        page = _PAGE.match(name)
        example = page[1] if page else "owner/name"
        raise ModelError(
            f"no model {name!r}: it is neither an existing folder nor a hub id such as {example!r}"
        ) from None


def _folder_of(file: str) -> str:
    """What to name in place of a model's file."""
    folder = os.path.dirname(file) or "."
    if os.path.isfile(os.path.join(folder, "config.json")):
        return f": name {folder!r}"
    if file.endswith(".gguf"):
        return ": name the one that this file in GGUF was converted from"
    return ""


def _download(
    name: str,
    revision: str | None,
    token: str | bool | None,
    cache_dir: str | os.PathLike[str] | None,
    local_files_only: bool,
) -> tuple[str, str | None]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        with for_libraries():
            folder = snapshot_download(
                name,
                revision=revision,
                token=token,
                cache_dir=None if cache_dir is None else expand_home(cache_dir),
                local_files_only=local_files_only,
                allow_patterns=_WANTED,
                ignore_patterns=_UNWANTED,
            )
    except (HfHubHTTPError, FileNotFoundError, ConnectionError, ValueError) as error:
        at = "" if revision is None else f" at revision {revision!r}"
        raise ModelError(
            f"no model {name!r}: no such folder exists, and the hub model {name!r}{at} could not "
            f"be had ({_reason(error, local_files_only)})"
        ) from error
    commit = Path(folder).name
    return os.path.abspath(folder), commit if re.fullmatch(r"[0-9a-f]{40}", commit) else None


def _check_downloaded(name: str, folder: str, local_files_only: bool) -> None:
    """ModelError where what was downloaded is no model, or has weights that are not read."""
    check_folder(folder)
    if os.path.exists(os.path.join(folder, "config.json")) and not has_weights(folder):
        raise ModelError(
            f"the hub model {name!r} has no model.safetensors in {folder!r}: weights in other "
            "formats are not downloaded; take a version of it in safetensors"
            + (", or load without local_files_only" if local_files_only else "")
        )


def _reason(error: Exception, local_files_only: bool) -> str:
    """The cause in a few words, without the library's own advice."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.GatedRepoError):
        return "access to it must be granted on its page, and a token given"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "the hub has none of that name, or it needs a token"
    if isinstance(error, errors.RevisionNotFoundError):
        return "it has no such revision"
    if local_files_only or constants.HF_HUB_OFFLINE:
        return "offline, and it is not in the cache"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return "the hub cannot be reached, and it is not in the cache"
    return str(error).strip().splitlines()[0]
