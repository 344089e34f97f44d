"""The files of a mix, named many at a time.

A file appears under its final name only when it is complete and on disk, as everywhere
(`attninfluence.output.folder`). A disk is waited for once for the contents of many files and once
for the names in their folder, since a wait for each costs more than writing a small file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from attninfluence.base.replacing import beside, give_names, make_new
from attninfluence.output.files import OutputError

GROUP_FILES = 1000  # that wait for their names at most
GROUP_BYTES = 256 << 20  # and what they hold, but for the last


class NewFiles:
    """A block in which files are written; those that wait have their names when it succeeds.

    If it does not, they are removed.
    """

    def __init__(self) -> None:
        self._finals: dict[Path, Path] = {}
        self._bytes = 0

    def __enter__(self) -> NewFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._publish()
        finally:
            for temporary in self._finals:
                with suppress(OSError):
                    temporary.unlink()

    @contextmanager
    def new_file(self, final: Path) -> Iterator[Path]:
        """A file to write to, which waits for the name `final` when this block succeeds."""
        temporary = beside(final)
        make_new(temporary)
        self._finals[temporary] = final
        yield temporary
        self._bytes += temporary.stat().st_size
        if len(self._finals) >= GROUP_FILES or self._bytes >= GROUP_BYTES:
            self._publish()

    def _publish(self) -> None:
        """Give the files that wait their names, durably. An existing file is kept."""
        for final in self._finals.values():
            if final.exists():
                raise OutputError(
                    f"{final}: already exists; another run is writing into {final.parent}"
                )
        give_names(self._finals)
        self._finals.clear()
        self._bytes = 0
