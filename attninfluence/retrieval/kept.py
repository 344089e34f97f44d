"""Readings kept in a file while a search lasts, so that one that was interrupted can go on.

A line a sample, behind one that says what the file is. A line names by a digest what it is of,
model, arithmetic and sample, so that readings of anything else are never found, and a line that
was cut off is one less.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from attninfluence.base.json_values import JSONError, parse_json_object
from attninfluence.base.paths import expand_home
from attninfluence.base.regular_file import UnreadableFileError, open_in_place
from attninfluence.retrieval.reading import SampleReading

if TYPE_CHECKING:
    from attninfluence.model.model import Model
    from attninfluence.probe.samples import Sample

HEADER = '{"format": "attninfluence-readings", "version": 1}\n'
_MOST_LINE = 1 << 22  # characters; 16,384 heads take a tenth of it


class KeptReadings:
    """The readings of samples by one model, in a file that grows with each batch.

        with KeptReadings("heads.json.readings", model, "teacher_forced") as kept:
            readings = kept.read(samples, lambda missing: ...)

    ValueError where the file is another's or no regular file, or another search has it; OSError
    where it cannot be written. The file is left, if anything was read: who has saved what came of
    it may remove it.
    """

    def __init__(self, path: str | os.PathLike[str], model: Model, decoding: str) -> None:
        self._shape = (model.n_layers, model.n_heads)
        self._of = f"{model.fingerprint} {model.precision} {model.kernel} {decoding}"
        self._path = Path(expand_home(path))
        self._file = _open(self._path)
        self._found: dict[str, SampleReading] = {}
        try:
            self._lock()
            self._load()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> KeptReadings:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._found:
            self._path.unlink(missing_ok=True)
        with suppress(OSError):  # of what could not be written, which was told
            self._file.close()

    def read(
        self, samples: list[Sample], read: Callable[[list[Sample]], list[SampleReading]]
    ) -> list[SampleReading]:
        """The readings of the samples: those kept, and of the others what `read` makes, kept."""
        names = [self._name(sample) for sample in samples]
        missing = [place for place, name in enumerate(names) if name not in self._found]
        if missing:
            fresh = read([samples[place] for place in missing])
            made = dict(zip([names[place] for place in missing], fresh, strict=True))
            self._found |= made
            self._write("".join(_line(name, reading) for name, reading in made.items()))
        return [self._found[name] for name in names]

    def _write(self, lines: str) -> None:
        try:
            self._file.write(lines)
            self._file.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from None

    def _name(self, sample: Sample) -> str:
        spans = f"{self._of} {sample.needle} {sample.answer} {sample.value} "
        return hashlib.sha256(spans.encode() + sample.ids.tobytes()).hexdigest()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{self._path}: another search is writing to it") from None
        except OSError:  # a file system without locks; whole lines can be added by two
            return

    def _load(self) -> None:
        self._file.seek(0)
        header = self._file.readline(len(HEADER))
        if header not in ("", HEADER):
            raise ValueError(f"{self._path}: not the readings of a search for heads")
        last = header
        while line := self._file.readline(_MOST_LINE):
            last = line
            self._take(last)
        if not header:
            self._file.write(HEADER)
        elif not last.endswith("\n"):
            self._file.write("\n")  # behind what was cut off

    def _take(self, line: str) -> None:
        """Takes in a line, unless it is not whole or of a model of another shape."""
        try:
            content = parse_json_object(line)
            ratio = np.array(content["ratio"], dtype=np.float64)
            reading = SampleReading(ratio, float(content["recall"]), content["success"] is True)
            name = str(content["of"])
        except (JSONError, KeyError, TypeError, ValueError):
            return
        if ratio.shape == self._shape and ((ratio >= 0) & (ratio <= 1)).all():
            self._found[name] = reading


def _open(path: Path) -> TextIO:
    """The file to be read and added to, made where there is none.

    No link, and no device: a file of which nothing came is removed again.
    """
    try:
        descriptor = open_in_place(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    except UnreadableFileError as error:
        raise ValueError(f"{path}: {error}") from None
    return open(descriptor, "a+", encoding="utf-8", errors="replace")


def _line(name: str, reading: SampleReading) -> str:
    content: dict[str, Any] = {
        "of": name,
        "ratio": reading.ratio.tolist(),
        "recall": reading.recall,
        "success": reading.success,
    }
    return json.dumps(content) + "\n"
