"""Several finished score runs as one: the shards of a run, or runs over different files.

A corpus that many machines scored lies in many folders. Their rows are one table, in the order of
the input, when everything that decides a score is the same; what is not the same is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attninfluence.corpus.files import RealPlaces
from attninfluence.output.contents import JOINED_RUN, JOINED_SUCCESS, check_content
from attninfluence.output.differences import (
    Difference,
    differences,
    in_words,
    with_count,
    without_kernel,
)
from attninfluence.output.files import RUN_NAME, SUCCESS_NAME, OutputError
from attninfluence.output.finished import FinishedRun, open_finished
from attninfluence.output.tally import Tally
from attninfluence.views.words import listed

if TYPE_CHECKING:
    import pyarrow as pa

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class ScoreRuns:
    """Finished score runs in the order of their rows; at least one.

    missing  shards that are not among them, when that was allowed
    """

    runs: list[FinishedRun]
    missing: list[int]

    @property
    def name(self) -> str:
        """The folders, for messages."""
        more = len(self.runs) - 1
        return f"{self.runs[0].path}" + (f" and {more} more" if more else "")

    @property
    def common(self) -> dict[str, Any]:
        """What the runs share: the run.json of the first, without what is of one run alone."""
        own = ("run_id", "shard", "limit", "folder", "inputs")
        return {name: value for name, value in self.runs[0].run.items() if name not in own}

    @property
    def kernels(self) -> list[str]:
        """The kernels that scored rows, each once; of a run without rows the one it would take."""
        found: dict[str, None] = {}
        for run in self.runs:
            began_with = run.run.get("scoring", {}).get("kernel")
            for kernel in run.totals.get("kernels") or (began_with,):
                found |= {} if kernel is None else {kernel: None}
        return list(found)

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """The files that were read, in order: `file`, `bytes`, and `folder`, where names start."""
        found: dict[str, dict[str, Any]] = {}
        for run in self.runs:
            read = {entry["file"]: entry for entry in run.totals.get("files", [])}
            for entry in run.run.get("inputs", []):
                name = entry["file"]
                if name in read:
                    size = read[name].get("bytes", entry["bytes"])
                    place = {key: run.run[key] for key in ("folder",) if key in run.run}
                    found.setdefault(name, {"file": name, "bytes": size, **place})
        return list(found.values())

    @property
    def totals(self) -> dict[str, Any]:
        """The totals of all runs together, as a run's _SUCCESS has them.

        Of several runs the repeated ids are not known. A bad file on the border of shards is named
        by each of them, and here once; one that another run read whole is bad no more.
        """
        if len(self.runs) == 1:
            return self.runs[0].totals
        tally = Tally()
        files: dict[str, dict[str, Any]] = {}
        bad_files: dict[str, dict[str, Any]] = {}
        places = RealPlaces()
        read_whole = self._read_whole(places)
        for run in self.runs:
            tally.merge(Tally.from_summary(run.totals))
            for entry in run.totals["files"]:
                count = files.setdefault(entry["file"], {**entry, "rows": 0, "tokens": 0})
                count["rows"] += entry["rows"]
                count["tokens"] += entry["tokens"]
            for bad in run.totals.get("bad_files", []):
                if places.of(bad["file"], run.run["folder"]) not in read_whole:
                    bad_files.setdefault(bad["file"], bad)
        return {
            **tally.summary(),
            "files": list(files.values()),
            "bad_files": list(bad_files.values()),
            "seconds": round(sum(run.totals.get("seconds", 0) for run in self.runs), 3),
        }

    def _read_whole(self, places: RealPlaces) -> set[str]:
        """Where the files are that a run read to the end, which a shard may not."""
        whole = [run for run in self.runs if not run.run.get("shard") and not run.run.get("limit")]
        return {
            places.of(entry["file"], run.run["folder"])
            for run in whole
            for entry in run.totals["files"]
        }

    def schema(self) -> pa.Schema:
        """The columns of the rows; none when there are no rows."""
        import pyarrow as pa

        return next((run.schema() for run in self.runs if run.parts), pa.schema([]))

    def tables(self, columns: list[str] | None = None, rows: int = 32768) -> Iterator[pa.Table]:
        """All rows in order, at most `rows` at a time."""
        names = self.schema().names if columns is None else columns
        for run in self.runs:
            for table in run.tables(columns, rows):
                yield table.select(names)

    def rows_at(self, positions: Iterable[int]) -> dict[int, dict[str, Any]]:
        """The rows at some positions among all rows, all columns, by position."""
        wanted = set(positions)
        found: dict[int, dict[str, Any]] = {}
        start = 0
        for run in self.runs:
            rows = run.rows_at(at - start for at in wanted if start <= at)
            found |= {start + at: row for at, row in rows.items()}
            start += run.totals["rows"]
        return found

    def describe(self) -> dict[str, Any]:
        """What another folder's run.json says of these runs."""
        described = {
            "runs": [
                {
                    "path": os.path.abspath(run.path),
                    "run_id": run.run["run_id"],
                    "shard": run.run.get("shard"),
                    "limit": run.run.get("limit"),
                }
                for run in self.runs
            ],
            "kernels": self.kernels,
            "missing_shards": self.missing,
        }
        return {**self.common, **described, "inputs": self.inputs}


def open_scores(
    paths: Paths, *, mixed_kernels: bool = False, allow_missing_shards: bool = False
) -> ScoreRuns:
    """Open the folders of one or several finished score runs as one.

    Shards come in their order, other runs after them as given. Runs must agree in model, tokenizer,
    every scoring option, heads and columns, and have no input file in common; shards must be all
    those of one run, each once: of the same files in the same order, of which the same was read.
    OutputError says what is not so.

    mixed_kernels  allow different kernels, which differ in the last bits, between runs or in one
    allow_missing_shards  allow shards to be missing
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not given:
        raise ValueError("name at least one folder that `attninfluence score` wrote")
    runs = [open_finished(path, "scores") for path in given]
    for run in runs if len(runs) > 1 else ():
        check_content(run.path / RUN_NAME, run.run, JOINED_RUN)
        check_content(run.path / SUCCESS_NAME, run.totals, JOINED_SUCCESS)
    _check_distinct(runs)
    _check_alike(runs, mixed_kernels)
    shards, missing = _in_order([run for run in runs if run.run.get("shard")])
    runs = [*shards, *(run for run in runs if not run.run.get("shard"))]
    _check_disjoint(runs)
    if missing and not allow_missing_shards:
        raise OutputError(
            f"{runs[0].path}: shards {listed(missing)} of {runs[0].run['shard']['count']} are"
            " missing; name their folders too, or allow it (--allow-missing-shards)"
        )
    joined = ScoreRuns(runs, missing)
    if len(joined.kernels) > 1 and not mixed_kernels:
        raise OutputError(
            f"{joined.name}: scored by several kernels ({', '.join(joined.kernels)}), which differ"
            " in the last bits; allow it (--mixed-kernels) if that may be"
        )
    return joined


def _check_distinct(runs: list[FinishedRun]) -> None:
    seen: dict[str, FinishedRun] = {}
    for run in runs:
        other = seen.setdefault(run.run["run_id"], run)
        if other is not run:
            same = os.path.realpath(run.path) == os.path.realpath(other.path)
            what = "is named twice" if same else f"is a copy of {other.path}"
            raise OutputError(f"{run.path}: {what}; its rows would count twice")


def _check_alike(runs: list[FinishedRun], mixed_kernels: bool) -> None:
    """OutputError when two runs differ in what decides a score, or in their columns."""
    first, with_rows = runs[0], [run for run in runs if run.parts]
    for run in runs[1:]:
        found = differences(_scoring(first), _scoring(run))
        if mixed_kernels:
            found = without_kernel(found)
        hint = "" if without_kernel(found) else "; allow it (--mixed-kernels) if that may be"
        _refuse(run, first, found, hint)
    for run in with_rows[1:]:
        _refuse(run, with_rows[0], differences(_columns(with_rows[0]), _columns(run)))


def _refuse(run: FinishedRun, first: FinishedRun, found: list[Difference], hint: str = "") -> None:
    if found:
        raise OutputError(f"{run.path} cannot be joined to {first.path}: {in_words(found)}{hint}")


def _scoring(run: FinishedRun) -> dict[str, Any]:
    model = run.run.get("model", {})
    return {
        "model": {name: model.get(name) for name in ("fingerprint", "tokenizer")},
        "scoring": with_count(run.run.get("scoring", {})),
    }


def _columns(run: FinishedRun) -> dict[str, Any]:
    return {"columns": {field.name: str(field.type) for field in run.schema()}}


def _check_disjoint(runs: list[FinishedRun]) -> None:
    """OutputError when a file was read by two runs, or two files have one name.

    Shards of a run have files in common, of which each has rows of its own.
    """
    by_name: dict[str, FinishedRun] = {}
    by_place: dict[str, FinishedRun] = {}
    places = RealPlaces()
    for run in runs if len(runs) > 1 else ():
        for entry in run.totals["files"]:
            name, place = entry["file"], places.of(entry["file"], run.run["folder"])
            other = by_place.get(place)
            if other is not None and other.run.get("shard") and run.run.get("shard"):
                continue
            if other is not None:
                raise OutputError(
                    f"{run.path}: the input file {place} is also in {other.path}; its"
                    " documents would count twice"
                )
            if name in by_name:
                raise OutputError(
                    f"{run.path}: the name {name!r} is that of another file in"
                    f" {by_name[name].path}; score the files of both folders by names that differ"
                )
            by_name[name] = by_place[place] = run


def _in_order(runs: list[FinishedRun]) -> tuple[list[FinishedRun], list[int]]:
    """Shards of one run by number, and the numbers that are missing."""
    count = runs[0].run["shard"]["count"] if runs else 0
    by_number: dict[int, FinishedRun] = {}
    for run in runs:
        shard = run.run["shard"]
        if shard["index"] >= shard["count"]:
            raise OutputError(f"{run.path}: is {_shard_name(run)}, which does not exist")
        if shard["count"] != count:
            raise OutputError(
                f"{run.path} is {_shard_name(run)}, and {runs[0].path} {_shard_name(runs[0])};"
                " expected the shards of one run"
            )
        other = by_number.setdefault(shard["index"], run)
        if other is not run:
            raise OutputError(f"{run.path}: is {_shard_name(run)}, as {other.path} is")
        _check_same_inputs(runs[0], run)
    _check_same_files(runs)
    missing = [index for index in range(count) if index not in by_number]
    return [by_number[index] for index in sorted(by_number)], missing


def _check_same_inputs(first: FinishedRun, other: FinishedRun) -> None:
    """OutputError for shards of different inputs, which divide other rows among them."""
    told = f"{other.path} is no shard of the run of {first.path}"
    there, here = (
        {item["file"]: item["bytes"] for item in run.run.get("inputs", ())}
        for run in (first, other)
    )
    if found := differences(there, here):
        raise OutputError(f"{told}: its input files (bytes) differ: {in_words(found)}")
    for name, own in zip(there, here, strict=True):
        if name != own:
            raise OutputError(
                f"{told}: its input files come in another order, with {own!r} where that has"
                f" {name!r}"
            )
    if found := differences(_read(first), _read(other)):
        raise OutputError(f"{told}: {in_words(found)}")


def _read(run: FinishedRun) -> dict[str, Any]:
    """What a run reads of its inputs, and keeps."""
    return {name: run.run.get(name) for name in ("columns", "keep_text", "limit")}


def _check_same_files(runs: list[FinishedRun]) -> None:
    """OutputError when a file that shards divide was not the same for all of them."""
    seen: dict[str, tuple[str, FinishedRun]] = {}
    for run in runs:
        for entry in run.totals["files"]:
            if digest := entry.get("digest"):
                first, other = seen.setdefault(entry["file"], (digest, run))
                if digest != first:
                    raise OutputError(
                        f"{run.path}: the file {entry['file']!r} is not the one that {other.path}"
                        f" has: its digest is {digest} here, {first} there"
                    )


def _shard_name(run: FinishedRun) -> str:
    return f"shard {run.run['shard']['index']} of {run.run['shard']['count']}"
