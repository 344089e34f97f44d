"""The folders of the package and of the core as rooms: who stands below whom, in figures.

    python tools/rooms.py

A room is a folder; `bench.py` and `_core` are rooms of one file. An arrow is an import, for
annotations and inside functions too, or an include. From a room it goes to one that stands before
it in its tuple, and arrows between files, of one room too, close no circle.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "attninfluence"
CORE = ROOT / "csrc" / "core"

ROOMS = (
    "_core",
    "base",
    "tokenizer",
    "corpus",
    "texts",
    "views",
    "probe",
    "output",
    "heads",
    "select",
    "model",
    "scores",
    "mix",
    "retrieval",
    "scoring",
    "verify",
    "bench",
    "run",
    "report",
    "integrations",
    "demo",
    "cli",
)
CORE_ROOMS = (
    "base",
    "gguf",
    "config",
    "checkpoint",
    "vector",
    "kernel",
    "model",
    "batch",
    "forward",
    "run",
)

Arrows = Mapping[str, set[str]]  # from each file, or room, to those that it needs


@dataclass(frozen=True)
class House:
    """Files, named by their path in the house ("heads/file"), and the order of their rooms."""

    rooms: tuple[str, ...]
    files: Arrows

    @cached_property
    def between(self) -> Arrows:
        """The arrows from room to room."""
        found: dict[str, set[str]] = {room_of(file): set() for file in self.files}
        for file, needed in self.files.items():
            found[room_of(file)] |= {room_of(other) for other in needed} - {room_of(file)}
        return found

    def upward(self) -> list[str]:
        """Every arrow from a room to one that stands after it, or in no tuple."""
        place = {room: number for number, room in enumerate(self.rooms)}
        return [
            f"{file} needs {other}"
            for file, needed in sorted(self.files.items())
            for other in sorted(needed)
            if room_of(file) != room_of(other)
            and place.get(room_of(other), len(place)) >= place.get(room_of(file), -1)
        ]

    def circle(self) -> list[str]:
        """The files of one circle, the first again at the end; empty where there is none."""
        try:
            TopologicalSorter(self.files).prepare()
        except CycleError as error:
            circle: list[str] = error.args[1]
            return circle[::-1]
        return []

    def floors(self) -> dict[str, int]:
        """The floor of each room, from 1: above all that it needs."""
        height: dict[str, int] = {}
        for room in TopologicalSorter(self.between).static_order():
            height[room] = 1 + max(
                (height[below] for below in self.between.get(room, ())), default=0
            )
        return height


def room_of(file: str) -> str:
    return file.partition("/")[0]


def package_house(package: Path = PACKAGE) -> House:
    """The Python package; its own `__init__`, the face of all rooms, is none of its files."""
    files = {_file(package, path): set(_imports(path)) for path in sorted(package.rglob("*.py"))}
    files.pop("__init__")
    known = {*files, "_core"}
    arrows = {
        file: {_resolve(name, known) for name in needed} - {file} for file, needed in files.items()
    }
    return House(ROOMS, arrows)


def _file(folder: Path, path: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _imports(path: Path) -> Iterator[str]:
    """What a file imports of the package, as "heads/file" or "heads/file/name"."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names: Iterable[str] = (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            if top == PACKAGE.name:
                yield rest.replace(".", "/")


def _resolve(name: str, known: set[str]) -> str:
    """The file behind an import: a module, else the face of a folder, or of the package itself."""
    parts = name.split("/")
    for length in range(len(parts), 0, -1):
        module = "/".join(parts[:length])
        for file in (module, f"{module}/__init__"):
            if file in known:
                return file
    return "__init__"


def core_house(core: Path = CORE) -> House:
    """The C core, each file by its whole name; ati.h, which all may see, is left out."""
    arrows: dict[str, set[str]] = {}
    for path in sorted(core.glob("*/*.[ch]")):
        text = path.read_text(encoding="utf-8")
        headers = re.findall(r'^\s*#\s*include "([^"]+)"', text, re.MULTILINE)
        arrows[path.relative_to(core).as_posix()] = set(headers) - {"ati.h"}
    return House(CORE_ROOMS, arrows)


def figures(name: str, house: House) -> str:
    rooms = len({room_of(file) for file in house.files})
    arrows = sum(map(len, house.between.values()))
    circle = " -> ".join(house.circle()) or "none"
    floors = max(house.floors().values())
    return (
        f"{name}: {rooms} rooms on {floors} floors, {arrows} arrows between them, "
        f"{len(house.upward())} of them upwards; circle: {circle}"
    )


def main() -> None:
    for folder, house in ((PACKAGE, package_house()), (CORE, core_house())):
        try:
            print(figures(folder.relative_to(ROOT).as_posix(), house))
        except CycleError as error:
            print(folder.name, "circle of rooms:", " -> ".join(error.args[1]))
        print(*house.upward(), sep="\n")


if __name__ == "__main__":
    main()
