"""The training mix: the whole corpus plus the selected subset (METHOD.md 5)::

    MIX/corpus/00000-<name>     the input files as they are, copied (not with `recipe_only`)
    MIX/selected/00000-<name>   their selected rows, in the same format and order
    MIX/recipe.json             the sources: their files, documents, tokens and weights
    MIX/<part>-<builder>.txt    the files of a source, for a datatrove reader
    MIX/summary.json            tokens in all, tokens selected, share by domain

A selected document is thus seen twice. The recipe's sources are what `datasets.interleave_datasets`
and a datatrove reader ask for, with names of files relative to the recipe's folder. A name's
characters that those would not read as they stand are ``_`` in the mix (`attninfluence.mix.names`);
docs/guides/select-and-mix.md reads them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attninfluence.base.arrays import Ints
from attninfluence.base.progress import Progress
from attninfluence.corpus.files import file_size, open_binary
from attninfluence.mix.extract import extract_rows, stated_columns
from attninfluence.mix.names import check_folder, check_nameable, stored_name
from attninfluence.mix.new_files import NewFiles
from attninfluence.mix.places import Places, Root
from attninfluence.mix.recipe import RECIPE_NAME, Count, Recipe
from attninfluence.output.contents import MIXED_RUN, MIXED_SUCCESS, check_content
from attninfluence.output.files import (
    RUN_NAME,
    SUCCESS_NAME,
    SUMMARY_NAME,
    OutputError,
    new_file,
    write_json,
)
from attninfluence.output.finished import FinishedRun, open_finished
from attninfluence.output.folder import OutputFolder
from attninfluence.select.rows import encoded
from attninfluence.views.words import listed


def mix(
    selection: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    recipe_only: bool = False,
    root: Root | Sequence[Root] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the mix of a finished selection into the new folder `output`; returns its summary.

    The selection is streamed: of one input file at a time the selected rows are in memory.
    Input files that scoring left out as bad are left out here.

    Args:
        selection: the folder that `select` wrote.
        output: a new folder.
        recipe_only: leave the corpus where it is: write the selected documents and the recipe only.
        root: the folder that relative names of the input files start from, where the files are
            there; else they start from the one that `score` ran in. Input files are read below it,
            below the current folder and below those that hold `selection` and `output`; more roots
            name other places, as beginnings of URLs.
        progress: told of each input file when it has been read.

    Raises:
        OutputError: only a part of the corpus was scored; an input file lies elsewhere, or is not
            the one that was scored, by its size or its rows; documents or tokens do not add up to
            the totals of the scores and the selection; or a recipe's readers would not find
            `output` or, with `recipe_only`, an input file by its name.
    """
    run = open_finished(selection, "selection")
    check_content(run.path / RUN_NAME, run.run, MIXED_RUN)
    check_content(run.path / SUCCESS_NAME, run.totals, MIXED_SUCCESS)
    _check_whole(run)
    folder = OutputFolder(output, "mix")
    folder.check_unused()
    check_folder(folder.path)
    scored = {entry["file"]: entry for entry in run.run["scores_totals"]["files"]}
    inputs = _inputs(run, scored, Places([selection, output], root))
    for path in inputs.values() if recipe_only else ():
        check_nameable(path)
    folder.start({"recipe_only": recipe_only, "inputs": inputs, "selection": run.run})
    recipe = Recipe(run.run["scores"].get("columns", {}).get("text", "text"))
    domains: dict[str | None, Count] = {}
    with NewFiles() as files:
        for index, (name, chosen) in enumerate(_by_file(_chosen(run, domains), inputs)):
            path = inputs[name]
            target = stored_name(index, path)
            stored = path
            if not recipe_only:
                stored = f"corpus/{target}"
                _copy(path, folder.path / stored, files, scored[name].get("digest"))
            columns = stated_columns(path)
            count = Count(scored[name]["rows"], scored[name]["tokens"])
            recipe.add("corpus", stored, count, columns)
            if chosen is not None:
                stored = f"selected/{target}"
                _extract(path, chosen.rows, folder.path / stored, files)
                recipe.add("selected", stored, Count(len(chosen.rows), chosen.tokens), columns)
            if progress is not None:
                progress.advance(1, scored[name]["tokens"], (index + 1) / len(inputs))
    summary = _summarise(run, domains)
    _check_totals(run, recipe, summary)
    _write_recipe(folder.path, recipe)
    write_json(folder.path / SUMMARY_NAME, summary)
    folder.finish({"documents": summary["all"]["documents"], "tokens": summary["all"]["tokens"]})
    return summary


def _check_whole(run: FinishedRun) -> None:
    """OutputError for scores of a part of the rows: files are copied whole."""
    scores, totals = run.run["scores"], run.run["scores_totals"]
    told = f"{run.path}: a mix holds the whole corpus, of which a part was scored"
    for one in scores["runs"]:
        if one["limit"] is not None:
            raise OutputError(
                f"{told}: {one['path']} has a limit of {one['limit']} rows (--limit), so rows after"
                " it are unknown; score it without one"
            )
    if scores["missing_shards"]:
        raise OutputError(
            f"{told}: shards {listed(scores['missing_shards'])} are missing"
            " (--allow-missing-shards); select from all of them"
        )
    read = {entry["file"] for entry in totals["files"]}
    for bad in totals["bad_files"]:
        if bad["file"] in read:
            raise OutputError(
                f"{told}: some rows of {bad['file']!r} were left out: {bad['error']}; score it anew"
            )


def _inputs(run: FinishedRun, scored: Container[str], places: Places) -> dict[str, str]:
    """The scored files by the name in the table, and where each is now; sizes are checked."""
    found = {}
    for entry in run.run["scores"]["inputs"]:
        name = entry["file"]
        if name not in scored or name in found:
            raise OutputError(
                f"{run.path / RUN_NAME}: the input {name!r} must be a scored file, named once; the"
                " file is damaged"
            )
        found[name] = places.of(name, entry["folder"])
        _check_size(name, found[name], entry["bytes"])
    return found


def _check_size(name: str, path: str, size: int) -> None:
    try:
        now = file_size(path)
    except FileNotFoundError:
        raise OutputError(
            f"{path}: the scored file is not there; name the folder that {name!r} starts from"
            " (--root)"
        ) from None
    if now != size:
        raise OutputError(f"{path}: changed since it was scored: {size} bytes then, {now} now")


class _Chosen(NamedTuple):
    """Selected rows of a file, ascending, and their tokens."""

    file: str
    rows: Ints
    tokens: int


def _chosen(run: FinishedRun, domains: dict[str | None, Count]) -> Iterator[_Chosen]:
    """The selected rows, one item a file, in the order of the input; counts them by domain."""
    pending: list[_Chosen] = []
    for table in run.tables(["file", "row", "domain", "n_tokens"]):
        rows, tokens = table["row"].to_numpy(), table["n_tokens"].to_numpy()
        _count_domains(*encoded(table["domain"]), tokens, domains)
        files, at = encoded(table["file"])
        starts = [0, *(np.flatnonzero(np.diff(at)) + 1).tolist(), len(at)]
        for start, stop in zip(starts[:-1], starts[1:], strict=True):
            piece = _Chosen(str(files[at[start]]), rows[start:stop], int(tokens[start:stop].sum()))
            if pending and pending[0].file != piece.file:
                yield _joined(run, pending)
                pending = []
            pending.append(piece)
    if pending:
        yield _joined(run, pending)


def _joined(run: FinishedRun, pieces: list[_Chosen]) -> _Chosen:
    """OutputError unless the rows ascend: one that comes twice would be written twice."""
    rows = np.concatenate([piece.rows for piece in pieces])
    amiss = np.flatnonzero(np.diff(rows) <= 0)
    if len(amiss):
        before, after = rows[amiss[0] : amiss[0] + 2].tolist()
        raise OutputError(
            f"{run.path}: the selected rows of {pieces[0].file!r} must ascend, found {after} after"
            f" {before}; the selection is damaged"
        )
    return _Chosen(pieces[0].file, rows, sum(piece.tokens for piece in pieces))


def _count_domains(
    names: list[str | None], at: Ints, tokens: Ints, domains: dict[str | None, Count]
) -> None:
    sums = np.zeros(len(names), np.int64)
    np.add.at(sums, at, tokens)
    documents = np.bincount(at, minlength=len(names))
    for name, count, total in zip(names, documents.tolist(), sums.tolist(), strict=True):
        domains.setdefault(name, Count()).add(count, total)


def _by_file(
    chosen: Iterator[_Chosen], inputs: dict[str, str]
) -> Iterator[tuple[str, _Chosen | None]]:
    """Each input file with its selected rows, if any; both come in the same order."""
    following = next(chosen, None)
    for name in inputs:
        if following is not None and following.file == name:
            yield name, following
            following = next(chosen, None)
        else:
            yield name, None
    if following is not None:
        raise OutputError(
            f"the selected rows of {following.file!r} do not come in the order of the input files"
        )


def _copy(path: str, final: Path, files: NewFiles, digest: str | None) -> None:
    """The stored bytes of an input file, whose SHA-256 is `digest` where the scores tell it."""
    final.parent.mkdir(exist_ok=True)
    found = hashlib.sha256()
    with files.new_file(final) as temporary:
        with closing(open_binary(path)) as source, open(temporary, "wb") as target:
            while data := source.read(1 << 20):
                found.update(data)
                target.write(data)
        if temporary.stat().st_size != file_size(path):
            raise OutputError(f"{path}: changed while it was copied")
        if digest not in (None, found.hexdigest()):
            raise OutputError(
                f"{path}: changed since it was scored: as many bytes, but others; score it again"
            )


def _extract(path: str, rows: Ints, final: Path, files: NewFiles) -> None:
    """The selected rows of an input file, all of them."""
    final.parent.mkdir(exist_ok=True)
    with files.new_file(final) as temporary:
        written = extract_rows(path, rows, temporary)
        if written != len(rows):
            raise OutputError(
                f"{path}: changed since it was scored: row {int(rows[-1])} is selected, but only"
                f" {written} of {len(rows)} selected rows were found"
            )


def _write_recipe(folder: Path, recipe: Recipe) -> None:
    for name, text in recipe.paths_files().items():
        with new_file(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    write_json(folder / RECIPE_NAME, recipe.describe())


def _summarise(run: FinishedRun, chosen: dict[str | None, Count]) -> dict[str, Any]:
    """Documents and tokens of the corpus, the selected subset and the mix, by domain and in all.

    Every row of the corpus counts, scored or not; `share` is a domain's part of the mix's tokens.
    """
    corpus, selected = Count(), Count()
    domains = []
    for entry in run.run["scores_totals"]["domains"]:
        whole = Count(entry["rows"], entry["tokens"])
        part = chosen.get(entry["domain"], Count())
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


def _check_totals(run: FinishedRun, recipe: Recipe, summary: dict[str, Any]) -> None:
    """OutputError unless files and domains add up to what was scored and what was selected."""
    scores, whole = run.run["scores_totals"], summary["all"]
    expected = Count(scores["rows"] + run.totals["rows"], scores["tokens"] + run.totals["tokens"])
    for what, found in (
        ("files", recipe.count),
        ("domains", Count(whole["documents"], whole["tokens"])),
    ):
        if found != expected:
            raise OutputError(
                f"{run.path}: its {what} add up to {found.documents} documents and"
                f" {found.tokens} tokens, the scores and the selection to {expected.documents}"
                f" and {expected.tokens}; the selection is damaged"
            )
