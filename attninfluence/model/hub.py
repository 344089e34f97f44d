"""From a path or a Hugging Face hub id to a model on this machine: a folder, or a GGUF file."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from attninfluence._core import ModelError
from attninfluence.base.gguf import first_files, is_gguf, of_several, parts_of
from attninfluence.base.paths import expand_home
from attninfluence.base.stderr import for_libraries
from attninfluence.model.folder import check_folder, has_weights
from attninfluence.model.own_heads import heads_files

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
_PAGE = re.compile(
    r"(?:hf://|(?:https?://)?(?:huggingface\.co|hf\.co)/)([\w.-]+/[\w.-]+)"
    r"(?:/(?:resolve|blob)/[^/]+(/[^?]+\.gguf))?"
)


def resolve_model(
    path_or_id: str | os.PathLike[str],
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> tuple[str, str | None]:
    """(absolute path of a folder or GGUF file, hub commit); the commit is None for a local one.

    A folder or GGUF file that exists is taken as it is. Anything else is a hub id, or that
    of a GGUF file within one ("owner/name/file.gguf", all parts of it), downloaded
    (or found in the cache) at `revision`: a branch, a tag or a commit.
    `local_files_only`, or HF_HUB_OFFLINE=1 in the environment, looks only into the
    cache. A name may begin with ~. ModelError when there is neither such a path nor
    such a hub model, or a folder is known to be no model (`check_folder`); ValueError
    for a revision of a local model.
    """
    name = expand_home(path_or_id)
    if os.path.isdir(name) or (os.path.exists(name) and is_gguf(name)):
        if revision is not None:
            what = "folder" if os.path.isdir(name) else "file"
            raise ValueError(
                f"revision={revision!r} names a version of a hub model, but {name!r} is a local "
                f"{what}; leave revision out"
            )
        if os.path.isdir(name):
            check_folder(name)
        return os.path.abspath(name), None
    hub_id, file = _split_file(name)
    _check_hub_id(name, hub_id)
    if file:
        wanted = [*map(str, parts_of(file)), *map(str, heads_files(file))]
    else:
        wanted = _WANTED
    hub = _Hub(name, hub_id, revision, token, cache_dir, local_files_only)
    folder, commit = hub.download(wanted)
    if not file:
        hub.check_downloaded(folder)
        return folder, commit
    hub.check_parts(folder, file)
    return os.path.join(folder, file), commit


def _split_file(name: str) -> tuple[str, str]:
    """(hub id, GGUF file within it), the file "" where the name has none."""
    parts = name.split("/")
    if len(parts) > 2 and all(parts) and is_gguf(name):
        return "/".join(parts[:2]), "/".join(parts[2:])
    return name, ""


def _check_hub_id(name: str, hub_id: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    if is_gguf(name) and hub_id == name:
        raise ModelError(
            f"no model {name!r}: there is no such file, and it does not name one of the hub, as "
            "owner/name/file.gguf does"
        )
    if os.path.exists(name):
        raise ModelError(
            f"{name!r} is a file; a model is a folder with config.json and weights"
            + _folder_of(name)
        )
    try:
        validate_repo_id(hub_id)
    except HFValidationError:
        page = _PAGE.match(name)
        example = page[1] + (page[2] or "") if page else "owner/name"
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


@dataclass(frozen=True, slots=True)
class _Hub:
    """A model asked of the hub: the name that was given, its id, and how it is to be had."""

    name: str
    hub_id: str
    revision: str | None
    token: str | bool | None
    cache_dir: str | os.PathLike[str] | None
    local_files_only: bool

    def download(self, wanted: list[str]) -> tuple[str, str | None]:
        """(folder, commit) with the files that match, as far as there are such."""
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError

        try:
            with for_libraries():
                folder = snapshot_download(
                    self.hub_id,
                    revision=self.revision,
                    token=self.token,
                    cache_dir=None if self.cache_dir is None else expand_home(self.cache_dir),
                    local_files_only=self.local_files_only,
                    allow_patterns=wanted,
                    ignore_patterns=_UNWANTED,
                )
        except (HfHubHTTPError, FileNotFoundError, ConnectionError, ValueError) as error:
            at = "" if self.revision is None else f" at revision {self.revision!r}"
            raise ModelError(
                f"no model {self.name!r}: no such {self._kind} exists, and the hub model "
                f"{self.hub_id!r}{at} could not be had ({_reason(error, self.local_files_only)})"
            ) from error
        commit = Path(folder).name
        return os.path.abspath(folder), commit if re.fullmatch(r"[0-9a-f]{40}", commit) else None

    @property
    def _kind(self) -> str:
        return "folder" if self.name == self.hub_id else "file"

    def check_downloaded(self, folder: str) -> None:
        """ModelError where what was downloaded is no model, or has weights that are not read."""
        check_folder(folder)
        if has_weights(folder):
            return
        files = self._gguf_files()
        if files:
            raise ModelError(
                f"the hub model {self.name!r} has no model.safetensors, but GGUF files: name one, "
                f"{self.name + '/' + files[0]!r}{of_several(files)}"
            )
        if os.path.exists(os.path.join(folder, "config.json")):
            raise ModelError(
                f"the hub model {self.name!r} has no model.safetensors in {folder!r}: weights in "
                "other formats are not downloaded; take a version of it in safetensors or GGUF"
                + (", or load without local_files_only" if self.local_files_only else "")
            )

    def check_parts(self, folder: str, file: str) -> None:
        """ModelError where the hub does not have a GGUF file, or one that belongs to it."""
        for part in parts_of(file):
            if os.path.exists(os.path.join(folder, part)):
                continue
            files = self._gguf_files()
            there = f"; it has {files[0]!r}{of_several(files)}" if files else ""
            raise ModelError(
                f"no model {self.name!r}: no such file exists, and the hub model {self.hub_id!r} "
                f"has no {str(part)!r}{there}" + (" in the cache" if self.local_files_only else "")
            )

    def _gguf_files(self) -> list[str]:
        """The GGUF models of a hub model, by the first file of each; none where nobody tells."""
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError

        if self.local_files_only:
            return []
        try:
            names = HfApi(token=self.token).list_repo_files(self.hub_id, revision=self.revision)
        except (HfHubHTTPError, OSError, ValueError):
            return []
        return first_files(names)


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
