"""The small files of an output folder, and how a file there gets its name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attninfluence.base.json_values import MOST_OWN_BYTES, STRICT, JSONError, read_json_object
from attninfluence.base.replacing import beside, give_name, make_new, naming
from attninfluence.base.version import __version__
from attninfluence.corpus.files import is_url

RUN_NAME = "run.json"
SUCCESS_NAME = "_SUCCESS"
SUMMARY_NAME = "summary.json"  # of a selection, and of a mix
RUN_ID_KEY = b"attninfluence.run_id"
FORMAT_VERSION = 2
# Of run.json: what comes of scores tells of their inputs again, a selection as much as twice.
MOST_RUN_BYTES = {
    "scores": MOST_OWN_BYTES // 4,
    "selection": MOST_OWN_BYTES,
    "mix": MOST_OWN_BYTES,
}


class OutputError(ValueError):
    """An output folder cannot be used, or does not hold what it should; the message names it."""


def check_is_folder(path: str | os.PathLike[str], wanted: str = "a folder") -> None:
    """OutputError for a URL and for a file, in place of which `wanted` is to be named."""
    given, folder = os.fspath(path), Path(path)
    if is_url(given):
        raise OutputError(f"{given}: an output folder is local or mounted, not a URL")
    if folder.is_symlink() and not folder.exists():
        raise OutputError(f"{folder}: is a link that leads nowhere; name {wanted} for the output")
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; name {wanted} for the output")


def format_name(kind: str) -> str:
    """What run.json calls a folder of scores, of a selection or of a mix."""
    return f"attninfluence-{kind}"


def write_run(folder: Path, kind: str, run_id: str, given: dict[str, Any]) -> None:
    """Write run.json: what every run's begins with, and what this one was given.

    OutputError where it is so large that what comes of it, which names the files again, could not
    be read.
    """
    head = {
        "format": format_name(kind),
        "version": FORMAT_VERSION,
        "attninfluence": __version__,
        "run_id": run_id,
    }
    write_json(folder / RUN_NAME, {**head, **given}, MOST_RUN_BYTES[kind])


def write_success(folder: Path, run_id: str, parts: int, totals: dict[str, Any]) -> None:
    """Write _SUCCESS: every part is published and the totals are these."""
    write_json(folder / SUCCESS_NAME, {"run_id": run_id, "parts": parts, **totals})


def publish(temporary: Path, final: Path) -> None:
    """Give a finished temporary file its final name, durably. An existing file is kept."""
    if final.exists():
        raise OutputError(f"{final}: already exists; another run is writing into {final.parent}")
    give_name(temporary, final)


@contextmanager
def new_file(final: Path) -> Iterator[Path]:
    """A file to write to, which is published as `final` when the block succeeds."""
    temporary = beside(final)
    make_new(temporary)
    try:
        yield temporary
        publish(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any, most_bytes: int | None = None) -> None:
    """Write a new JSON file whole or not at all. NaN is refused, since JSON has none.

    OutputError for one of more than `most_bytes`; None: however large.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    data = text.encode("utf-8", "backslashreplace")
    if most_bytes is not None and len(data) > most_bytes:
        raise OutputError(
            f"{path}: would have {len(data) >> 20:,} MiB, and {most_bytes >> 20:,} are read; divide"
            " the input, or put its files together"
        )
    with new_file(path) as temporary, naming(temporary):
        temporary.write_bytes(data)


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file of an output folder."""
    try:
        return read_json_object(path, MOST_OWN_BYTES, **STRICT)
    except JSONError as error:
        raise OutputError(f"{path}: {error}") from error


def part_name(index: int) -> str:
    return f"part-{index:05d}.parquet"
