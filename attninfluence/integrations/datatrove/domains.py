"""Quantiles of the score in each domain: gathered by tasks, merged, and cut.

FOLDER/ranks/00007.json      the sketches of task 7
FOLDER/merged.json           those of all tasks
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from attninfluence.base.json_shapes import (
    ListOf,
    Number,
    Object,
    OrNull,
    Shape,
    ShapeError,
    Text,
    Whole,
)
from attninfluence.base.json_values import STRICT, parse_json_object
from attninfluence.base.quantiles import K, QuantileSketch
from attninfluence.base.regular_file import UnreadableFileError
from attninfluence.integrations.datatrove.files import list_names, publish_bytes, read_bytes
from attninfluence.output.part_rows import MOST_TOKENS

if TYPE_CHECKING:
    from datatrove.data import Document
    from datatrove.io import DataFolder

FORMAT = "attninfluence-domain-quantiles"
VERSION = 1
MERGED = "merged.json"
RANKS = "ranks"
WEIGHTS = ("documents", "tokens")
_SCORE, _TOKENS = Number(), Whole(0, MOST_TOKENS)
_STORED = Object(
    {
        "prefix": Text(),
        "domain_key": OrNull(Text()),
        "weight": Text("|".join(WEIGHTS), " or ".join(WEIGHTS)),
        "tasks": Whole(1),
        "domains": ListOf(Object({"domain": OrNull(Text()), "sketch": Text()})),
    }
)


class QuantilesError(ValueError):
    """Quantiles are missing, incomplete or of something else; the message names them."""


@dataclass(frozen=True)
class Fields:
    """Where documents have what selection needs.

    prefix: of the scorer's metadata. domain_key: metadata with the domain's name, a string or an
    integer, taken as its decimal string; documents without it are a domain of their own; None: the
    corpus is one domain.
    """

    prefix: str = "ai_"
    domain_key: str | None = "domain"

    def score(self, document: Document) -> float | None:
        """The score; None where the document has none. QuantilesError when it was not scored."""
        key = f"{self.prefix}score"
        if key not in document.metadata:
            raise QuantilesError(
                f"the document with id {document.id!r} has no {key!r} in its metadata; expected "
                f"documents that AttentionInfluenceScorer(prefix={self.prefix!r}) has scored"
            )
        value = document.metadata[key]
        score = math.nan if value is None else _number(document, key, float, _SCORE)
        return None if math.isnan(score) else score

    def domain(self, document: Document) -> str | None:
        """The domain's name. QuantilesError for what is neither a string nor an integer."""
        name = None if self.domain_key is None else document.metadata.get(self.domain_key)
        if name is None or isinstance(name, str):
            return name
        if isinstance(name, int) and not isinstance(name, bool):
            return str(name)
        raise QuantilesError(
            f"the document with id {document.id!r} has {name!r} as its {self.domain_key!r}; "
            f"expected a string or an integer"
        )

    def tokens(self, document: Document) -> int:
        """Tokens of the document. QuantilesError where their number is none."""
        return _number(document, f"{self.prefix}n_tokens", int, _TOKENS)


_Number = TypeVar("_Number", int, float)


def _number(document: Document, key: str, kind: type[_Number], shape: Shape) -> _Number:
    """The number that a document's metadata hold; QuantilesError for what is none."""
    value = document.metadata.get(key)
    try:
        number = kind(value)
        if number == number:  # NaN is no score, and no mistake
            shape.check(number, key)
    except (TypeError, ValueError, OverflowError) as error:
        told = f"{key} must be a number, found {value!r}"
        told = str(error) if isinstance(error, ShapeError) else told
        raise QuantilesError(f"the document with id {document.id!r}: {told}") from None
    return number


class Cut(NamedTuple):
    """What is kept of a domain: scores above `score`, and a share of those equal to it."""

    score: float
    share_of_ties: float

    def keeps(self, score: float, document: Document) -> bool:
        """Whether a document with that score is kept; ties go by a digest of id and text."""
        if score != self.score:
            return score > self.score
        return self.share_of_ties > 0 and _uniform(document) < self.share_of_ties


@dataclass
class DomainSketches:
    """A sketch of the scores for each domain, of some of a corpus's tasks or of all.

    weight: what a document counts, "documents" (1) or "tokens". tasks: of the whole run.
    """

    fields: Fields
    weight: str
    tasks: int
    seed: int = 0
    by_domain: dict[str | None, QuantileSketch] = field(default_factory=dict)

    def sketch(self, domain: str | None) -> QuantileSketch:
        """The domain's sketch, empty at first."""
        if domain not in self.by_domain:
            self.by_domain[domain] = QuantileSketch(seed=self.seed)
        return self.by_domain[domain]

    def merge(self, other: DomainSketches) -> None:
        """Add the sketches of other tasks. QuantilesError when they are of something else."""
        for name in ("fields", "weight", "tasks"):
            if getattr(self, name) != getattr(other, name):
                raise QuantilesError(
                    f"quantiles of different runs are not merged: {name} is "
                    f"{getattr(self, name)!r} in one and {getattr(other, name)!r} in another"
                )
        for domain, sketch in other.by_domain.items():
            try:
                self.sketch(domain).merge(sketch)
            except ValueError as error:
                raise QuantilesError(f"domain {domain!r}: {error}") from None

    def cut(self, domain: str | None, fraction: Fraction) -> Cut:
        """Where the domain's best ceil(fraction * weight) end. KeyError for an unknown domain."""
        sketch = self.by_domain[domain]
        total = sketch.weight
        if not total:
            return Cut(math.inf, 0.0)
        wanted = math.ceil(fraction * total)
        # Half a unit keeps the comparison of shares clear of rounding.
        score = sketch.quantile((total - wanted + 0.5) / total)
        reached = round(sketch.rank(score) * total)
        below = round(sketch.rank(math.nextafter(score, -math.inf)) * total)
        tied = max(1, reached - below)
        return Cut(score, min(1.0, max(0.0, (wanted - (total - reached)) / tied)))

    def to_json(self) -> bytes:
        """The sketches as a JSON file."""
        domains = [
            {"domain": name, "sketch": base64.b64encode(sketch.to_bytes()).decode("ascii")}
            for name, sketch in self.by_domain.items()
        ]
        head = {"format": FORMAT, "version": VERSION, "weight": self.weight, "tasks": self.tasks}
        fields = {"prefix": self.fields.prefix, "domain_key": self.fields.domain_key}
        return json.dumps({**head, **fields, "domains": domains}).encode()

    @classmethod
    def from_json(cls, data: bytes, path: str) -> DomainSketches:
        """What `to_json` wrote. QuantilesError, naming the path, for anything else."""
        try:
            stored = parse_json_object(data, **STRICT)
            if (stored["format"], stored["version"]) != (FORMAT, VERSION):
                raise ValueError("another format")
            _STORED.check(stored)
            fields = Fields(stored["prefix"], stored["domain_key"])
            sketches = cls(fields, stored["weight"], stored["tasks"])
            for entry in stored["domains"]:
                sketch = QuantileSketch.from_bytes(base64.b64decode(entry["sketch"], validate=True))
                if sketch.k != K or entry["domain"] in sketches.by_domain:
                    raise ValueError(f"two sketches of a domain, or one of k {sketch.k}")
                sketches.by_domain[entry["domain"]] = sketch
            return sketches
        except (ValueError, KeyError) as error:
            raise QuantilesError(f"{path}: not a file of DomainQuantiles ({error})") from error


def write_rank(folder: DataFolder, rank: int, sketches: DomainSketches) -> None:
    """Publish the sketches of one task; what was merged before is out of date, and removed."""
    if folder.isfile(MERGED):
        with suppress(FileNotFoundError):  # another task may remove it first
            folder.rm(MERGED)
    publish_bytes(folder, f"{RANKS}/{rank:05d}.json", sketches.to_json())


def merge_ranks(folder: DataFolder) -> DomainSketches:
    """Merge the sketches of all tasks and publish the result; the tasks' order decides nothing.

    QuantilesError, naming some, when sketches of tasks are missing, and for a file of no task, as a
    copy is, whose documents would count twice.
    """
    names = sorted(list_names(folder, RANKS))
    if not names:
        raise QuantilesError(f"{folder.resolve_paths(RANKS)}: no quantiles; run DomainQuantiles")
    merged = _read(folder, f"{RANKS}/{names[0]}")
    for name in names:
        if (rank := _rank(name)) is None or rank >= merged.tasks:
            raise QuantilesError(
                f"{folder.resolve_paths(f'{RANKS}/{name}')}: is of none of the {merged.tasks}"
                " tasks; remove it, or run DomainQuantiles in another folder"
            )
    first, missing = _missing(names, merged.tasks)
    if missing:
        raise QuantilesError(
            f"{folder.resolve_paths(RANKS)}: quantiles of {missing} of {merged.tasks} tasks "
            f"are missing, {first} among them; finish the run first"
        )
    for name in names[1:]:
        merged.merge(_read(folder, f"{RANKS}/{name}"))
    publish_bytes(folder, MERGED, merged.to_json())
    return merged


def _missing(names: list[str], tasks: int) -> tuple[str, int]:
    """The first file of a task that is not among the names, and how many are not.

    A file says how many tasks there are: there may be far more than names.
    """
    there = {name for name in names if (rank := _rank(name)) is not None and rank < tasks}
    expected = (f"{rank:05d}.json" for rank in range(tasks))
    return next((name for name in expected if name not in there), ""), tasks - len(there)


def _rank(name: str) -> int | None:
    """The task of a file of this name; None for a name that no task gives."""
    number = name.removesuffix(".json")
    if not number.isdecimal() or len(number) > 18 or name != f"{int(number):05d}.json":
        return None
    return int(number)


def read_merged(folder: DataFolder) -> DomainSketches:
    """The merged sketches. QuantilesError, saying what to run, when they are not there."""
    if not folder.isfile(MERGED):
        raise QuantilesError(
            f"{folder.resolve_paths(MERGED)}: missing; run MergeQuantiles on the folder, in one "
            f"task, after all tasks of DomainQuantiles"
        )
    return _read(folder, MERGED)


def _read(folder: DataFolder, name: str) -> DomainSketches:
    path = folder.resolve_paths(name)
    try:
        data = read_bytes(folder, name)
    except UnreadableFileError as error:
        raise QuantilesError(f"{path}: not a file of DomainQuantiles ({error})") from None
    return DomainSketches.from_json(data, path)


def _uniform(document: Document) -> float:
    """A number in [0, 1) that depends on the document alone."""
    key = "\0".join(str(part) for part in (document.id, document.text))
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) / 2**53


def check_weight(weight: str) -> None:
    """ValueError for what a document cannot count."""
    if weight not in WEIGHTS:
        raise ValueError(f"weight must be one of {', '.join(WEIGHTS)}, got {weight!r}")
