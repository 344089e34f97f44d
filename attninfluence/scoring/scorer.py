"""Scores as columns of a batch: what `datasets.map`, a data loader or a plain loop calls.

scorer = ai.Scorer("path/or/hub-id")
scored = dataset.map(scorer, batched=True, num_proc=4)
kept = dataset.filter(scorer.at_least(0.05), batched=True)
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from attninfluence._core import ModelError
from attninfluence.base.json_values import parse_json_object
from attninfluence.model.place import Place, hide_places
from attninfluence.model.shared import open_shared, reopen
from attninfluence.output.differences import with_count
from attninfluence.scores.scores import Scores
from attninfluence.scoring.batches import score_batches
from attninfluence.scoring.documents import is_of_arrow
from attninfluence.scoring.options import OPTION_NAMES
from attninfluence.scoring.reader import SCORING_VERSION

if TYPE_CHECKING:
    from attninfluence.heads.head_scores import HeadScores
    from attninfluence.model.model import Model

_COLUMNS = ("text_column", "input_ids_column", "prefix")


class Scorer:
    """Adds the columns of `attninfluence.score` to a batch of documents.

    Called with a dict of columns, as `datasets` gives with batched=True, it returns a dict of
    the new columns alone: NumPy arrays and, for the status, a list, all of one length. One
    example, whose text is no list, gives a dict of scalars. A pandas or polars DataFrame, an Arrow
    table or record batch gives the same with the columns appended, in the place of any of their
    names; any other frame that hands itself over as Arrow does (`__arrow_c_stream__`) gives a
    pyarrow.Table.

    The columns, with the prefix before their names, are n_tokens, n_scored (int64), base_loss,
    ref_loss, score (float64, NaN where there is none), control_loss, control_score (with
    `control`), status (string), truncated, repaired, partly_counted (bool). There is a row for
    each row, and its bits are those of `score` on the same text, whatever the batch.

    It pickles in a few hundred bytes, as what its numbers depend on and where its model was
    found. Its fingerprint in `datasets` depends on the first alone: content of the model,
    precision, kernel, heads, options and column names, not on paths, threads or use. A process
    opens a model once, and worker processes share the weights (`attninfluence.model.shared`).

    Attributes:
        model: the opened model.
        heads, control: ((layer, head), ...) that are masked; control is None without one.
        columns: names of the columns that are added.
        metadata: what the numbers depend on, by name.
    """

    def __init__(
        self,
        model: Model | str | PathLike[str] | None = None,
        heads: HeadScores | Iterable[tuple[int, int]] | str | PathLike[str] | None = None,
        *,
        control: HeadScores | Iterable[tuple[int, int]] | str | PathLike[str] | int | None = None,
        text_column: str = "text",
        input_ids_column: str | None = None,
        prefix: str = "ai_",
        threads: int | None = None,
        mask: str = "uniform",
        bos: str = "auto",
        max_length: int | None = None,
        long: str = "truncate",
        stride: int | None = None,
        special: str = "text",
        encoding_errors: str = "replace",
        count: str = "window",
    ) -> None:
        """Open the model and check the options.

        The other arguments, and what is raised, are those of `score`.

        Args:
            text_column: the texts.
            input_ids_column: read these token ids instead, as they are.
            prefix: goes before the names of the columns that are added.
            threads: of each process; None is 1 in a worker process, else the CPUs it may use.
        """
        self._reads_ids = input_ids_column is not None
        self._column = _name(input_ids_column if self._reads_ids else text_column)
        self._prefix = _name(prefix)
        self.model = open_shared(model, threads=threads)
        self._options: dict[str, Any] = {
            "mask": mask,
            "bos": bos,
            "max_length": max_length,
            "long": long,
            "stride": stride,
            "special": special,
            "encoding_errors": encoding_errors,
            "count": count,
        }
        nothing = self._score([], heads, control)
        self.metadata = _in_order(nothing.metadata)
        self.heads = _as_pairs(self.metadata["heads"])
        self.control = _as_pairs(self.metadata["control"])
        self.columns = tuple(prefix + name for name in nothing.columns())

    def __repr__(self) -> str:
        return f"Scorer({self.model!r}, {len(self.heads or ())} heads masked, {self._column!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        hide_places()
        columns = {
            "text_column": None if self._reads_ids else self._column,
            "input_ids_column": self._column if self._reads_ids else None,
            "prefix": self._prefix,
        }
        config = json.dumps(self.metadata | columns, sort_keys=True)
        return _rebuild, (config, self.model.place)

    def __call__(self, batch: Any) -> Any:
        """The batch's scores, in the form that the class describes.

        Raises:
            ValueError: there is no such text column (the columns there are, are named), or more
                than one, or a token id is out of range.
            TypeError: it is no batch.
        """
        if isinstance(batch, Mapping):
            values = _pick(batch, self._column, batch)
            if self._is_one(values):
                return _scalars(self._read([values]))
            return self._read(values)
        if _is_a(batch, "pandas", "DataFrame"):
            return _assign(batch, self._read(_pick(batch, self._column, batch.columns)))
        if _is_a(batch, "polars", "DataFrame"):
            return _with_columns(batch, self._read(_pick(batch, self._column, batch.columns)))
        table = _as_arrow(batch)
        column = _pick(table, self._column, table.column_names)
        return _append(table, self._read(column if self._reads_ids else _arrow_texts(column)))

    def at_least(self, cut: float) -> AtLeast:
        """A predicate for `Dataset.filter`: whether a document's score is at least `cut`.

        It scores the documents; of a dataset that has the scores, compare the column instead.
        """
        return AtLeast(self, cut)

    def _is_one(self, value: Any) -> bool:
        """Whether this is one document's value, and not a column of them."""
        if isinstance(value, (str, bytes, Mapping)):
            return True
        if not isinstance(value, Iterable):
            return not is_of_arrow(value)
        if not self._reads_ids:
            return False
        first = next(iter(value), 0)  # a document without ids is empty, a batch never is
        return first is not None and not isinstance(first, (str, bytes)) and np.ndim(first) == 0

    def _read(self, values: Any) -> dict[str, Any]:
        """The new columns of a column of documents."""
        scores = self._score(values, self.heads, self.control)
        return {self._prefix + name: column for name, column in scores.columns().items()}

    def _score(self, values: Any, heads: Any, control: Any) -> Scores:
        documents = "input_ids" if self._reads_ids else "texts"
        parts = score_batches(
            **{documents: values}, model=self.model, heads=heads, control=control, **self._options
        )
        return Scores.concatenate(list(parts))


class AtLeast:
    """Whether the score of a document is at least `cut`: a bool, or bool[n] for a batch.

    A document without a score is not. Pickles and has a fingerprint as a `Scorer`.
    """

    def __init__(self, scorer: Scorer, cut: float) -> None:
        self.scorer = scorer
        self.cut = float(cut)
        if math.isnan(self.cut):
            raise ValueError("the cut must be a number, got nan")

    def __reduce__(self) -> tuple[Any, ...]:
        return AtLeast, (self.scorer, self.cut)

    def __call__(self, batch: Any) -> Any:
        scores = self.scorer(batch)[self.scorer._prefix + "score"]
        if isinstance(scores, float):
            return scores >= self.cut
        return np.asarray(scores) >= self.cut


def _rebuild(config: str, place: Place) -> Scorer:
    """The scorer of a pickle; ModelError for one of another version of the numbers."""
    content = with_count(parse_json_object(config))
    if content["scoring_version"] != SCORING_VERSION:
        raise ModelError(
            f"the pickled scorer computes version {content['scoring_version']} of the scores, "
            f"this package version {SCORING_VERSION}"
        )
    model = reopen(place, content["model"], content["precision"], content["kernel"])
    options = {name: content[name] for name in (*OPTION_NAMES, *_COLUMNS)}
    if content["text_column"] is None:
        del options["text_column"]
    return Scorer(model, content["heads"], control=content["control"], **options)


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"columns and prefixes are strings, got {name!r}")
    return name


def _in_order(metadata: dict[str, Any]) -> dict[str, Any]:
    """What the numbers depend on, with heads in an order that they do not depend on."""
    kept = {name: value for name, value in metadata.items() if name != "detail"}
    for name in ("heads", "control"):
        kept[name] = None if kept[name] is None else sorted(kept[name])
    return kept


def _as_pairs(heads: list[list[int]] | None) -> tuple[tuple[int, int], ...] | None:
    return None if heads is None else tuple((layer, head) for layer, head in heads)


def _pick(batch: Any, column: str, names: Iterable[Any]) -> Any:
    names = list(names)
    if column not in names:
        there = ", ".join(map(str, names)) or "none"
        raise ValueError(f"there is no column {column!r}; the columns are {there}")
    if names.count(column) > 1:
        raise ValueError(
            f"there are {names.count(column)} columns {column!r}; rename or drop all but one"
        )
    return batch[column]


def _scalars(columns: dict[str, Any]) -> dict[str, Any]:
    """The first row, as Python's own numbers."""
    return {
        name: column[0] if isinstance(column, list) else column[0].item()
        for name, column in columns.items()
    }


def _is_a(batch: object, library: str, name: str) -> bool:
    """Whether it is of that class of a library, which then has been imported."""
    module = sys.modules.get(library)
    return isinstance(batch, getattr(module, name, ()))


def _as_arrow(batch: object) -> Any:
    """The Arrow table or record batch that this is, or that it hands over."""
    if _is_a(batch, "pyarrow", "Table") or _is_a(batch, "pyarrow", "RecordBatch"):
        return batch
    if not is_of_arrow(batch):
        raise TypeError(
            "expected a dict of columns, a pandas or polars DataFrame, an Arrow table, or another "
            f"frame with __arrow_c_stream__, got a {type(batch).__name__}"
        )
    import pyarrow as pa

    try:
        return pa.table(batch)
    except pa.ArrowInvalid as error:
        raise TypeError(f"expected a table, got a {type(batch).__name__} ({error})") from error


def _arrow_texts(column: Any) -> Iterator[Any]:
    """The values of an Arrow column of texts; bytes for a string that is not valid UTF-8."""
    from attninfluence.corpus.values import python_values

    for chunk in getattr(column, "chunks", [column]):
        yield from python_values(chunk)


def _append(table: Any, columns: dict[str, Any]) -> Any:
    """The Arrow table or record batch with the columns, in the place of any so called."""
    import pyarrow as pa

    # By their places: a name may occur twice.
    kept = table.select([at for at, name in enumerate(table.column_names) if name not in columns])
    arrays, schema = list(kept.columns), kept.schema
    for name, column in columns.items():
        arrays.append(pa.array(column, pa.string() if isinstance(column, list) else None))
        schema = schema.append(pa.field(name, arrays[-1].type))
    return type(table).from_arrays(arrays, schema=schema)


def _assign(frame: Any, columns: dict[str, Any]) -> Any:
    """The pandas DataFrame with the columns, in the place of any so called, each once."""
    again = frame.columns.duplicated() & frame.columns.isin(list(columns))
    return (frame.loc[:, ~again] if again.any() else frame).assign(**columns)


def _with_columns(frame: Any, columns: dict[str, Any]) -> Any:
    """The polars DataFrame with the columns, in the place of any so called."""
    series = sys.modules["polars"].Series
    return frame.with_columns([series(name, column) for name, column in columns.items()])
