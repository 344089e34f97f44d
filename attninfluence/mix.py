"""The training mix: the whole corpus plus the selected subset (METHOD.md 5).

    MIX/corpus/00000-<name>     the input files as they are, copied (not with `recipe_only`)
    MIX/selected/00000-<name>   their selected rows, in the same format and order
    MIX/recipe.json             the sources: their files, documents, tokens and weights
    MIX/summary.json            tokens in all, tokens selected, share by domain

A selected document is thus seen twice. The recipe's sources are what
`datasets.interleave_datasets` asks for; names of files are relative to the recipe's folder:

    recipe = json.load(open("MIX/recipe.json"))
    sources = [
        load_dataset(s["builder"], data_files=[os.path.join("MIX", f) for f in s["files"]],
                     split="train", streaming=True)
        for s in recipe["sources"]
    ]
    interleave_datasets(sources, probabilities=[s["probability"] for s in recipe["sources"]],
                        seed=0, stopping_strategy="all_exhausted")
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attninfluence.corpus.extract import extract_rows
from attninfluence.corpus.files import file_format, file_size, is_url, open_binary
from attninfluence.finished import FinishedRun, open_finished
from attninfluence.output import OutputError, OutputFolder, publish, write_json

RECIPE_NAME = "recipe.json"
SUMMARY_NAME = "summary.json"
Ints = NDArray[np.int64]


@dataclass
class Count:
    """Documents and their tokens."""

    documents: int = 0
    tokens: int = 0

    def add(self, documents: int, tokens: int) -> None:
        self.documents += documents
        self.tokens += tokens


@dataclass
class Chosen:
    """The selected documents: rows of each file, ascending, and their counts."""

    rows: dict[str, Ints] = field(default_factory=dict)
    by_file: dict[str, Count] = field(default_factory=dict)
    by_domain: dict[str | None, Count] = field(default_factory=dict)


def mix(
    selection: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    recipe_only: bool = False,
    root: str | os.PathLike[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Write the mix of a finished selection into the new folder `output`; returns its summary.

    recipe_only  leave the corpus where it is: write the selected documents and the recipe only
    root         the folder that relative names of the input files start from; default: the one
                 that `score` ran in
    progress     called with the name of each input file before it is read

    Raises OutputError when an input file is not the one that was scored, by its size or its rows.
    """
    run = open_finished(selection, "selection")
    folder = OutputFolder(output, "mix")
    folder.check_unused()
    inputs = _inputs(run, root)
    chosen = _read_chosen(run)
    folder.start({"recipe_only": recipe_only, "inputs": inputs, "selection": run.run})
    sources = _Sources()
    rows_of = {entry["file"]: entry for entry in run.run["scores_totals"]["files"]}
    for index, (name, path) in enumerate(inputs.items()):
        if progress is not None:
            progress(name)
        target = f"{index:05d}-{path.rsplit('/', 1)[-1]}"
        stored = path
        if not recipe_only:
            stored = f"corpus/{target}"
            _copy(path, folder.path / stored)
        sources.add("corpus", stored, Count(rows_of[name]["rows"], rows_of[name]["tokens"]))
        if name in chosen.rows:
            stored = f"selected/{target}"
            _extract(path, chosen.rows[name], folder.path / stored)
            sources.add("selected", stored, chosen.by_file[name])
    summary = _summarise(run, chosen)
    write_json(folder.path / SUMMARY_NAME, summary)
    write_json(folder.path / RECIPE_NAME, sources.recipe())
    folder.finish({"documents": summary["all"]["documents"], "tokens": summary["all"]["tokens"]})
    return summary


def _inputs(run: FinishedRun, root: str | os.PathLike[str] | None) -> dict[str, str]:
    """The scored files by the name in the table, and where each is now; sizes are checked."""
    found = {}
    for entry in run.run["scores"]["inputs"]:
        name = entry["file"]
        start = os.path.abspath(root if root is not None else entry["folder"])
        found[name] = name if is_url(name) else os.path.join(start, name)
        _check_size(name, found[name], entry["bytes"])
    return found


def _check_size(name: str, path: str, size: int) -> None:
    try:
        now = file_size(path)
    except FileNotFoundError:
        raise OutputError(
            f"{path}: the scored file is not there; name the folder that {name!r} starts from"
        ) from None
    if now != size:
        raise OutputError(f"{path}: changed since it was scored: {size} bytes then, {now} now")


def _read_chosen(run: FinishedRun) -> Chosen:
    chosen = Chosen()
    pieces: dict[str, list[Ints]] = {}
    for table in run.tables(["file", "row", "domain", "n_tokens"]):
        tokens = table["n_tokens"].to_numpy()
        for name, at in _groups(table["file"].to_pylist()):
            pieces.setdefault(name, []).append(table["row"].to_numpy()[at])
            chosen.by_file.setdefault(name, Count()).add(len(at), int(tokens[at].sum()))
        for name, at in _groups(table["domain"].to_pylist()):
            chosen.by_domain.setdefault(name, Count()).add(len(at), int(tokens[at].sum()))
    chosen.rows = {name: np.sort(np.concatenate(parts)) for name, parts in pieces.items()}
    return chosen


def _groups(names: list[Any]) -> Iterator[tuple[Any, Ints]]:
    """Each distinct name and the positions it stands at."""
    places: dict[Any, list[int]] = {}
    for index, name in enumerate(names):
        places.setdefault(name, []).append(index)
    for name, found in places.items():
        yield name, np.array(found, np.int64)


@contextmanager
def _new_file(final: Path) -> Iterator[Path]:
    """A temporary file that takes its final name when the block succeeds."""
    final.parent.mkdir(exist_ok=True)
    temporary = final.with_name(f".{final.name}.tmp")
    try:
        yield temporary
        publish(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


def _copy(path: str, final: Path) -> None:
    """The stored bytes of an input file."""
    with _new_file(final) as temporary:
        with closing(open_binary(path)) as source, open(temporary, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        if temporary.stat().st_size != file_size(path):
            raise OutputError(f"{path}: changed while it was copied")


def _extract(path: str, rows: Ints, final: Path) -> None:
    """The selected rows of an input file, all of them."""
    with _new_file(final) as temporary:
        written = extract_rows(path, rows, temporary)
        if written != len(rows):
            raise OutputError(
                f"{path}: changed since it was scored: row {int(rows[-1])} is selected, but only"
                f" {written} of {len(rows)} selected rows were found"
            )


class _Sources:
    """The files of the mix, grouped into sources that `datasets.load_dataset` can open."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, str], list[str]] = {}
        self._counts: dict[tuple[str, str], Count] = {}

    def add(self, part: str, file: str, count: Count) -> None:
        key = (part, {"parquet": "parquet", "jsonl": "json", "text": "text"}[file_format(file)])
        self._files.setdefault(key, []).append(file)
        self._counts.setdefault(key, Count()).add(count.documents, count.tokens)

    def recipe(self) -> dict[str, Any]:
        """`weight` is a source's share of tokens, `probability` its share of documents."""
        documents = sum(count.documents for count in self._counts.values())
        tokens = sum(count.tokens for count in self._counts.values())
        sources = [
            {
                "part": part,
                "builder": builder,
                "files": files,
                "documents": (count := self._counts[part, builder]).documents,
                "tokens": count.tokens,
                "weight": count.tokens / tokens if tokens else 0.0,
                "probability": count.documents / documents if documents else 0.0,
            }
            for (part, builder), files in self._files.items()
        ]
        return {"format": "attninfluence-recipe", "version": 1, "sources": sources}


def _summarise(run: FinishedRun, chosen: Chosen) -> dict[str, Any]:
    """Documents and tokens of the corpus, the selected subset and the mix, by domain and in all.

    Every row of the corpus counts, scored or not; `share` is a domain's part of the mix's tokens.
    """
    corpus, selected = Count(), Count()
    domains = []
    for entry in run.run["scores_totals"]["domains"]:
        whole = Count(entry["rows"], entry["tokens"])
        part = chosen.by_domain.get(entry["domain"], Count())
        corpus.add(whole.documents, whole.tokens)
        selected.add(part.documents, part.tokens)
        domains.append({"domain": entry["domain"], **_totals(whole, part)})
    together = _totals(corpus, selected)
    for totals in domains:
        totals["share"] = totals["tokens"] / together["tokens"] if together["tokens"] else None
    return {"domains": domains, "all": together}


def _totals(corpus: Count, selected: Count) -> dict[str, int]:
    return {
        "corpus_documents": corpus.documents,
        "corpus_tokens": corpus.tokens,
        "selected_documents": selected.documents,
        "selected_tokens": selected.tokens,
        "documents": corpus.documents + selected.documents,
        "tokens": corpus.tokens + selected.tokens,
    }
