"""What the JSON files of an output folder hold: every field that is read of them, its type, bounds.

Fields that only a later step needs, or that older folders lack, may be missing here; a step that
cannot do without says so by a shape of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attninfluence.base.json_shapes import (
    Flag,
    ListOf,
    MapOf,
    Name,
    Number,
    Object,
    OrNull,
    Shape,
    ShapeError,
    Text,
    Whole,
)
from attninfluence.output.files import OutputError

MOST_SHARDS = 1_000_000

COUNT = Whole()
RUN_ID = Text("[0-9A-Za-z_-]{1,64}", "an id of up to 64 letters and digits")
SECONDS = Number(0, 1e15)
_HEADS = ListOf(ListOf(Whole(0, 1 << 20), 2))
_BAD_FILES = ListOf(Object({"file": Text(), "error": Text()}))

_SHARD = Object({"index": Whole(0, MOST_SHARDS - 1), "count": Whole(1, MOST_SHARDS)})
_MODEL = Object(
    {},
    {
        "path": Name(),
        "commit": OrNull(Text()),
        "type": Text(),
        "fingerprint": Text(),
        "tokenizer": Text(),
    },
)
_SCORING = Object(
    {},
    {
        "heads": OrNull(_HEADS),
        "control": OrNull(_HEADS),
        "max_length": OrNull(COUNT),
        "stride": OrNull(COUNT),
        "scoring_version": COUNT,
        **dict.fromkeys(("mask", "long", "special", "encoding_errors", "count"), Text()),
        **dict.fromkeys(("detail", "model", "precision", "kernel"), Text()),
    },
)
_COLUMNS = Object(
    {},
    {
        "text": Text(),
        "id": OrNull(Text()),
        "domain": OrNull(Text()),
        "domain_from": Text(),
        "keep": MapOf(Text()),
    },
)
_INPUTS = ListOf(Object({"file": Name(), "bytes": COUNT}, {"folder": Name()}))

# What several runs share, and what is of one alone.
_COMMON: dict[str, Shape] = {
    "attninfluence": Text(),
    "model": _MODEL,
    "scoring": _SCORING,
    "inputs": _INPUTS,
    "columns": _COLUMNS,
    "keep_text": Flag(),
    "on_bad_shard": Text(),
}
_OWN: dict[str, Shape] = {
    "folder": Name(),
    "shard": OrNull(_SHARD),
    "limit": OrNull(COUNT),
}

DOMAINS = ListOf(
    Object(
        {
            "domain": OrNull(Text()),
            "statuses": MapOf(COUNT),
            **dict.fromkeys(("rows", "tokens", "scored_tokens"), COUNT),
        },
        {"partly_counted": COUNT},
    )
)
_FILES = ListOf(
    Object({"file": Name(), "rows": COUNT, "tokens": COUNT}, {"digest": Text(), "bytes": COUNT})
)
_NO_LABEL = Object({"column": Text(), "rows": COUNT, "files": COUNT, "first_file": Text()})
_PASSED_OVER = Object(
    {"reason": Text(), "count": COUNT, "names": ListOf(Text())}, {"suffixes": MapOf(COUNT)}
)
_TOTALS: dict[str, Shape] = {
    **dict.fromkeys(("rows", "tokens", "scored_tokens", "partly_counted"), COUNT),
    "statuses": MapOf(COUNT),
    "domains": DOMAINS,
    "no_label": ListOf(_NO_LABEL),
    "repeated_ids": OrNull(COUNT),
    "files": _FILES,
    "bad_files": _BAD_FILES,
    "passed_over": ListOf(_PASSED_OVER),
    "kernels": MapOf(COUNT),
    "seconds": SECONDS,
}

_RUNS = ListOf(
    Object({"path": Text(), "run_id": Text(), "shard": OrNull(_SHARD), "limit": OrNull(COUNT)})
)
_SELECTED_FROM = Object(
    {}, {**_COMMON, "runs": _RUNS, "kernels": ListOf(Text()), "missing_shards": ListOf(COUNT)}
)

RUN_JSON = {
    "scores": Object({"run_id": RUN_ID}, {**_COMMON, **_OWN}),
    "selection": Object(
        {"run_id": RUN_ID}, {"scores": _SELECTED_FROM, "scores_totals": Object({}, _TOTALS)}
    ),
    "mix": Object({"run_id": RUN_ID}, {"recipe_only": Flag(), "inputs": MapOf(Name())}),
}
SUCCESS = {
    "scores": Object({"run_id": RUN_ID, "parts": COUNT, "rows": COUNT}, _TOTALS),
    "selection": Object({"run_id": RUN_ID, "parts": COUNT, "rows": COUNT}, {"tokens": COUNT}),
    "mix": Object({"run_id": RUN_ID, "parts": COUNT, "documents": COUNT, "tokens": COUNT}),
}

# Of a run that is joined to others, of one that is told again, and of a selection that is mixed.
JOINED_RUN = Object({"folder": Name()})
JOINED_SUCCESS = Object({name: _TOTALS[name] for name in ("tokens", "domains", "files")})
WHOLE_SUCCESS = Object(
    {
        name: shape
        for name, shape in _TOTALS.items()
        if name not in ("partly_counted", "no_label", "passed_over", "kernels")
    },
    _TOTALS,
)
MIXED_RUN = Object(
    {
        "scores": Object(
            {
                "runs": _RUNS,
                "missing_shards": ListOf(COUNT),
                "inputs": ListOf(Object({"file": Name(), "bytes": COUNT, "folder": Name()})),
            }
        ),
        "scores_totals": Object(
            {name: _TOTALS[name] for name in ("rows", "tokens", "domains", "files", "bad_files")}
        ),
    }
)
MIXED_SUCCESS = Object({"rows": COUNT, "tokens": COUNT})


def check_content(path: Path, value: Any, shape: Shape) -> None:
    """OutputError, naming the file, the field, and what was expected and found."""
    try:
        shape.check(value)
    except ShapeError as error:
        raise OutputError(f"{path}: {error}; the file is damaged") from None


def check_sums(path: Path, totals: Mapping[str, Any]) -> None:
    """OutputError where the totals of scores, their content checked, do not add up.

    That is what they tell by status, domain and file; what they do not tell is not missed.
    """
    for name, what, found in _sums(totals):
        if what in totals and found != totals[what]:
            raise OutputError(
                f"{path}: {name} must add up to {totals[what]} {what}, found {found}; the file is"
                " damaged"
            )


def _sums(totals: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """The name of what adds up to a total, the total's name, and the sum."""
    if "statuses" in totals:
        yield "statuses", "rows", sum(totals["statuses"].values())
    if "domains" in totals:
        statuses = (sum(one["statuses"].values()) for one in totals["domains"])
        yield "the statuses of domains", "rows", sum(statuses)
    for name in ("domains", "files"):
        for what in ("rows", "tokens") if name in totals else ():
            yield name, what, sum(one[what] for one in totals[name])
