"""How far a run over a corpus has come: what a checkpoint stores beside the examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from attninfluence.base.json_shapes import ListOf, MapOf, Object, OrNull, Text, Whole, expect
from attninfluence.output.contents import COUNT, DOMAINS, SECONDS
from attninfluence.output.tally import Tally

_NUMBER = Text("0|[1-9][0-9]{0,8}", "the number of an input file")
_FILE_TOTALS = Object(
    {
        "digest": Text(),
        "modified": OrNull(Whole(-(1 << 63), 1 << 63)),
        "rows": COUNT,
        "tokens": COUNT,
    },
    {"bytes": OrNull(COUNT), "no_label": MapOf(COUNT)},
)
_STATE = Object(
    {
        "next": ListOf(COUNT, 2),
        "totals": Object({"domains": DOMAINS}),
        "files": MapOf(_FILE_TOTALS, _NUMBER),
        "bad_files": MapOf(Text(), _NUMBER),
        "kernels": MapOf(COUNT),
        "seconds": SECONDS,
    }
)


@dataclass
class FileTotals:
    """One input file of which rows were written.

    digest, modified  of its stored bytes, and when they were last changed (ns; None: not known)
    bytes  how many are stored; None in what older versions wrote
    no_label  by column, how many rows of the file hold no id or domain there but something else
    """

    digest: str
    modified: int | None
    rows: int = 0
    tokens: int = 0
    bytes: int | None = None
    no_label: dict[str, int] = field(default_factory=dict)


@dataclass
class RunState:
    """What is known when the rows before `(file, row)` are all published.

    file, row  the place of the next row: the number of its file among the inputs, and its row there
    files      the input files that were begun, by number
    bad_files  those that were left out, and why
    kernels    rows by the matrix kernel that scored them
    seconds    spent so far, in all sessions
    """

    file: int = 0
    row: int = 0
    tally: Tally = field(default_factory=Tally)
    files: dict[int, FileTotals] = field(default_factory=dict)
    bad_files: dict[int, str] = field(default_factory=dict)
    kernels: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {
            "next": [self.file, self.row],
            "totals": self.tally.summary(),
            "files": {str(at): vars(totals) for at, totals in self.files.items()},
            "bad_files": {str(at): reason for at, reason in self.bad_files.items()},
            "kernels": self.kernels,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any], inputs: int) -> RunState:
        """The state that `to_json` described, of a run over so many inputs.

        ShapeError for values that it cannot have.
        """
        _STATE.check(value)
        for number in (value["next"][0], *map(int, (*value["files"], *value["bad_files"]))):
            expect(number < max(inputs, 1), "an input", f"one of {inputs}, from 0", number)
        state = cls(
            file=value["next"][0],
            row=value["next"][1],
            tally=Tally.from_summary(value["totals"]),
            files={int(at): _file_totals(totals) for at, totals in value["files"].items()},
            bad_files={int(at): reason for at, reason in value["bad_files"].items()},
            kernels=value["kernels"],
            seconds=value["seconds"],
        )
        state._check_sums()
        return state

    def _check_sums(self) -> None:
        """ShapeError unless the files add up to the totals, and none was read and left out."""
        for name, total in (("rows", self.tally.rows), ("tokens", self.tally.tokens)):
            found = sum(getattr(one, name) for one in self.files.values())
            expect(found == total, "files", f"of {total} {name}, as its domains are", found)
        both = sorted(self.files.keys() & self.bad_files.keys())
        expect(not both, "bad_files", "files of which nothing was read", both)


def _file_totals(value: dict[str, Any]) -> FileTotals:
    names = [one.name for one in fields(FileTotals) if one.name in value]
    return FileTotals(**{name: value[name] for name in names})


def no_label_totals(files: Iterable[tuple[str, Mapping[str, int]]]) -> list[dict[str, Any]]:
    """By column, rows and files with a value that is no id or domain, and the first such file.

    files: the name of each, and by column its rows with such a value
    """
    found: dict[str, dict[str, Any]] = {}
    for name, no_label in files:
        for column, rows in no_label.items():
            first = {"column": column, "rows": 0, "files": 0, "first_file": name}
            entry = found.setdefault(column, first)
            entry["rows"] += rows
            entry["files"] += 1
    return list(found.values())
