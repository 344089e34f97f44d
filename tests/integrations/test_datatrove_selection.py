"""Quantiles by domain over many tasks, and the documents that the filter keeps."""

from __future__ import annotations

import json
import math
import os
import pickle
import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datatrove.data import Document
from datatrove.io import DataFolder
from datatrove.pipeline.writers import JsonlWriter

from attninfluence.integrations.datatrove import (
    AttentionInfluenceFilter,
    DomainQuantiles,
    MergeQuantiles,
    QuantilesError,
)

Scored = tuple[str | None, float | None, int]  # domain, score, tokens


def scored(rows: Iterable[Scored], start: int = 0) -> list[Document]:
    return [
        Document(
            text=f"text {index}",
            id=f"d{index}",
            metadata={"ai_score": score, "ai_n_tokens": tokens}
            | ({} if domain is None else {"domain": domain}),
        )
        for index, (domain, score, tokens) in enumerate(rows, start=start)
    ]


def split(documents: list[Document], tasks: int) -> list[list[Document]]:
    return [documents[rank::tasks] for rank in range(tasks)]


def sketch(folder: Path, documents: list[Document], tasks: int = 1, **options: Any) -> None:
    """Run the quantiles' tasks, the last one first, and merge them."""
    block = DomainQuantiles(str(folder), **options)
    for rank, part in reversed(list(enumerate(split(documents, tasks)))):
        assert list(block.run(iter(part), rank, tasks)) == part
    assert list(MergeQuantiles(str(folder)).run(None)) == []


def kept(folder: Path, documents: list[Document], **options: Any) -> list[str]:
    block = AttentionInfluenceFilter(str(folder), **options)
    return [document.id for document in block.run(iter(documents))]


def random_scores(count: int, seed: int = 0, domain: str = "web") -> list[Scored]:
    """Long documents have high scores, as they do in corpora."""
    scores = np.random.default_rng(seed).normal(size=count)
    return [(domain, float(score), 2 + int(300 * math.exp(score))) for score in scores]


@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 203])
def test_the_best_of_each_domain_are_kept(count: int, tasks: int, tmp_path: Path) -> None:
    rows = random_scores(count, 1, "a") + [(d, 10 + s, n) for d, s, n in random_scores(40, 2, "b")]
    documents = scored(rows)
    sketch(tmp_path, documents, tasks)
    best = []
    for domain, size in (("a", count), ("b", 40)):
        own = [document for document in documents if document.metadata["domain"] == domain]
        own.sort(key=lambda document: -document.metadata["ai_score"])
        best += [document.id for document in own[: math.ceil(size / 5)]]
    assert sorted(kept(tmp_path, documents)) == sorted(best)
    assert kept(tmp_path, documents, fraction=1) == [document.id for document in documents]


@pytest.mark.parametrize("weight", ["documents", "tokens"])
def test_a_large_domain_is_cut_within_a_tenth_of_a_point(weight: str, tmp_path: Path) -> None:
    rows = random_scores(20_000) + random_scores(12_000, 1, "books")
    documents = scored(rows)
    sketch(tmp_path, documents, tasks=8, weight=weight)
    ids = set(kept(tmp_path, documents))
    for domain in ("web", "books"):
        own = [document for document in documents if document.metadata["domain"] == domain]
        counts = [document.metadata["ai_n_tokens"] if weight == "tokens" else 1 for document in own]
        taken = sum(n for n, document in zip(counts, own, strict=True) if document.id in ids)
        assert taken / sum(counts) == pytest.approx(0.2, abs=0.001)
        best = [document.metadata["ai_score"] for document in own if document.id in ids]
        rest = [document.metadata["ai_score"] for document in own if document.id not in ids]
        assert min(best) >= max(rest)


def test_ties_are_shared_out_by_the_document_alone(tmp_path: Path) -> None:
    """Half of a domain has one score: about as many as are wanted, whatever their task."""
    rows: list[Scored] = [("a", 0.0, 1)] * 2000 + [("a", 1.0, 1)] * 100 + [("a", -1.0, 1)] * 1900
    documents = scored(rows)
    sketch(tmp_path / "one", documents, tasks=1)
    sketch(tmp_path / "four", documents[::-1], tasks=4)
    ids = set(kept(tmp_path / "one", documents))
    assert {f"d{index}" for index in range(2000, 2100)} <= ids
    assert not {f"d{index}" for index in range(2100, 4000)} & ids
    assert len(ids) == pytest.approx(800, abs=100)  # 4 standard deviations of a fair draw
    assert set(kept(tmp_path / "four", documents[::-1])) == ids


def test_of_equal_scores_the_wanted_share_is_kept_on_average_only(tmp_path: Path) -> None:
    """The figure of docs/scale.md: each document is drawn for itself."""
    documents = scored([("a", 0.0, 1)] * 1000)
    sketch(tmp_path, documents)
    assert len(kept(tmp_path, documents)) == 189


def test_documents_without_a_score_do_not_count(tmp_path: Path) -> None:
    """NaN, and None, which is what NaN becomes in JSON."""
    rows: list[Scored] = [*random_scores(10), ("web", math.nan, 0), ("web", None, 0)]
    documents = scored(rows + [("empty", None, 0)])
    sketch(tmp_path / "q", documents)
    block = AttentionInfluenceFilter(
        str(tmp_path / "q"), exclusion_writer=JsonlWriter(str(tmp_path / "x"), compression=None)
    )
    assert len(list(block.run(iter(documents)))) == 2
    assert block.stats["dropped_no_score"].total == 3
    assert block.stats["dropped_below_cut"].total == 8
    assert (tmp_path / "x" / "00000.jsonl").read_text().count("below_cut") == 8


def test_one_domain_for_all_and_none_for_some(tmp_path: Path) -> None:
    rows: list[Scored] = [(None, 1.0, 1), ("a", 2.0, 1), (None, 3.0, 1), ("a", 4.0, 1)]
    documents = scored(rows)
    sketch(tmp_path / "all", documents, domain_key=None)
    assert kept(tmp_path / "all", documents, domain_key=None, fraction=0.5) == ["d2", "d3"]
    sketch(tmp_path / "by", documents)
    assert kept(tmp_path / "by", documents, fraction=0.5) == ["d2", "d3"]
    assert kept(tmp_path / "by", documents, fraction="0.75") == ["d0", "d1", "d2", "d3"]


def test_another_prefix_and_key(tmp_path: Path) -> None:
    documents = [
        Document("t", str(i), metadata={"x_score": float(i), "x_n_tokens": 1, "source": "s"})
        for i in range(10)
    ]
    fields = {"prefix": "x_", "domain_key": "source"}
    sketch(tmp_path, documents, **fields)
    assert kept(tmp_path, documents, **fields) == ["8", "9"]
    with pytest.raises(QuantilesError, match="has quantiles of .*x_"):
        kept(tmp_path, scored(random_scores(3)))


def test_an_integer_is_the_domain_of_its_decimal_string(tmp_path: Path) -> None:
    """As in the output of `score`."""
    documents = scored([("7", 1.0, 1), ("7", 2.0, 1), ("7", 3.0, 1), ("7", 4.0, 1)])
    for document in documents[::2]:
        document.metadata["domain"] = 7
    sketch(tmp_path, documents)
    assert kept(tmp_path, documents, fraction=0.5) == ["d2", "d3"]
    assert documents[0].metadata["domain"] == 7


# -------------------------------------------------------------------------------- refusals


def test_a_task_that_is_missing_is_named(tmp_path: Path) -> None:
    block = DomainQuantiles(str(tmp_path))
    with pytest.raises(QuantilesError, match="no quantiles; run DomainQuantiles"):
        list(MergeQuantiles(str(tmp_path)).run(None))
    for rank in (0, 2):
        list(block.run(iter(scored(random_scores(5))), rank, 4))
    with pytest.raises(QuantilesError, match=r"2 of 4 tasks are missing, 00001.json among them"):
        list(MergeQuantiles(str(tmp_path)).run(None))


@pytest.mark.parametrize("name", ["00000 (copy).json", "00000.json~", "00002.json", "0.json"])
def test_a_file_of_no_task_is_named(tmp_path: Path, name: str) -> None:
    for rank in (0, 1):
        list(DomainQuantiles(str(tmp_path)).run(iter(scored(random_scores(5))), rank, 2))
    (tmp_path / "ranks" / name).write_bytes((tmp_path / "ranks" / "00000.json").read_bytes())
    told = f"ranks/{re.escape(name)}: is of none of the 2 tasks; remove it"
    with pytest.raises(QuantilesError, match=told):
        list(MergeQuantiles(str(tmp_path)).run(None))


def test_a_task_that_did_not_end_writes_nothing(tmp_path: Path) -> None:
    run = DomainQuantiles(str(tmp_path)).run(iter(scored(random_scores(5))))
    next(run)
    run.close()
    assert not list(tmp_path.rglob("*.json"))


def test_what_was_merged_before_a_task_ran_again_is_not_used(tmp_path: Path) -> None:
    documents = scored(random_scores(20))
    sketch(tmp_path, documents)
    list(DomainQuantiles(str(tmp_path)).run(iter(documents)))
    with pytest.raises(QuantilesError, match="merged.json: missing; run MergeQuantiles"):
        kept(tmp_path, documents)


def test_what_was_merged_before_may_be_removed_by_another_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the removal."""
    documents = scored(random_scores(20))
    sketch(tmp_path, documents)
    real = DataFolder.isfile

    def look(folder: DataFolder, name: str) -> bool:
        found = bool(real(folder, name))
        (tmp_path / "merged.json").unlink()
        return found

    monkeypatch.setattr(DataFolder, "isfile", look)
    assert list(DomainQuantiles(str(tmp_path)).run(iter(documents))) == documents
    assert (tmp_path / "ranks" / "00000.json").exists()


def test_tasks_of_different_runs_are_not_merged(tmp_path: Path) -> None:
    documents = scored(random_scores(20))
    list(DomainQuantiles(str(tmp_path)).run(iter(documents), 0, 2))
    list(DomainQuantiles(str(tmp_path), weight="tokens").run(iter(documents), 1, 2))
    with pytest.raises(QuantilesError, match="weight is 'documents' in one and 'tokens'"):
        list(MergeQuantiles(str(tmp_path)).run(None))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            lambda m: m.pop("ai_score"),
            "the document with id 'd3' has no 'ai_score' in its metadata",
        ),
        (lambda m: m.update(domain=3.5), "'d3' has 3.5 as its 'domain'; expected a string or an"),
        (lambda m: m.update(domain=True), "'d3' has True as its 'domain'; expected a string or an"),
        (lambda m: m.update(ai_score="good"), "'d3': ai_score must be a number, found 'good'"),
        (lambda m: m.update(ai_score=1e308), r"'d3': ai_score must be a number .*, found 1e\+308"),
    ],
)
def test_documents_that_cannot_be_ranked(
    spoil: Callable[[dict[str, Any]], Any], sentence: str, tmp_path: Path
) -> None:
    documents = scored(random_scores(5))
    sketch(tmp_path, documents)
    spoil(documents[3].metadata)
    with pytest.raises(QuantilesError, match=sentence):
        list(DomainQuantiles(str(tmp_path / "other")).run(iter(documents)))
    with pytest.raises(QuantilesError, match=sentence):
        kept(tmp_path, documents)


def test_a_domain_that_was_not_sketched(tmp_path: Path) -> None:
    sketch(tmp_path, scored(random_scores(5)))
    with pytest.raises(QuantilesError, match="no quantiles of the domain 'books'"):
        kept(tmp_path, scored(random_scores(5, 0, "books")))


@pytest.mark.parametrize(
    "content", ["", "{}", '{"format": "attninfluence-domain-quantiles"}', "[]"]
)
def test_a_file_of_something_else(content: str, tmp_path: Path) -> None:
    documents = scored(random_scores(5))
    sketch(tmp_path, documents)
    (tmp_path / "merged.json").write_text(content)
    with pytest.raises(QuantilesError, match="merged.json: not a file of DomainQuantiles"):
        kept(tmp_path, documents)


def change_merged(path: Path, **fields: Any) -> None:
    stored = json.loads(path.read_text())
    for name, value in fields.items():
        stored[name] = value
    path.write_text(json.dumps(stored))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"tasks": -1}, "tasks must be a whole number"),
        ({"weight": ["documents"]}, "weight must be documents or tokens, found a list of 1"),
        ({"prefix": None}, "prefix must be a string, found null"),
        ({"domains": [{"domain": 1, "sketch": ""}]}, r"domains\[0\].domain must be a string"),
        ({"domains": [{"domain": None, "sketch": "!"}]}, "base64"),
        ({"domains": [{"domain": None, "sketch": ""}]}, "not a quantile sketch"),
    ],
)
def test_quantiles_that_cannot_be_are_refused(
    fields: dict[str, Any], told: str, tmp_path: Path
) -> None:
    documents = scored(random_scores(5))
    sketch(tmp_path, documents)
    change_merged(tmp_path / "merged.json", **fields)
    with pytest.raises(QuantilesError, match=rf"merged.json: not a file of Dom.* \(.*{told}"):
        kept(tmp_path, documents)


def test_quantiles_of_a_fifo_are_not_waited_for(tmp_path: Path) -> None:
    sketch(tmp_path, scored(random_scores(5)))
    rank = tmp_path / "ranks" / "00000.json"
    rank.unlink()
    os.mkfifo(tmp_path / "fifo")
    rank.symlink_to(tmp_path / "fifo")
    with pytest.raises(QuantilesError):
        list(MergeQuantiles(str(tmp_path)).run(None))


def test_tasks_are_counted_without_as_many_names(tmp_path: Path) -> None:
    """A file says how many there are."""
    sketch(tmp_path, scored(random_scores(5)))
    change_merged(tmp_path / "ranks" / "00000.json", tasks=1 << 52)
    with pytest.raises(QuantilesError, match=f"{(1 << 52) - 1} of {1 << 52} tasks .* 00001.json"):
        list(MergeQuantiles(str(tmp_path)).run(None))


def test_tokens_that_are_no_number_are_refused(tmp_path: Path) -> None:
    documents = scored(random_scores(5))
    for spoilt, told in ((-1, "ai_n_tokens must be a whole"), (None, "a number, found None")):
        documents[3].metadata["ai_n_tokens"] = spoilt
        with pytest.raises(QuantilesError, match=f"'d3': .*{told}"):
            list(DomainQuantiles(str(tmp_path), weight="tokens").run(iter(documents)))


def test_arguments_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="weight must be one of documents, tokens"):
        DomainQuantiles("q", weight="bytes")
    for fraction in (0, 1.5, "many", Fraction(-1, 2)):
        with pytest.raises(ValueError, match="fraction must be"):
            AttentionInfluenceFilter("q", fraction=fraction)


def test_the_filter_pickles_without_the_sketches(tmp_path: Path) -> None:
    documents = scored(random_scores(5000))
    sketch(tmp_path, documents)
    block = AttentionInfluenceFilter(str(tmp_path))
    assert len(list(block.run(iter(documents)))) == 1000
    again = pickle.loads(pickle.dumps(block))
    assert len(pickle.dumps(block)) < 3000
    assert len(list(again.run(iter(documents)))) == 1000
