"""A set of scores as a person sees it: distribution and cut by domain, best and worst documents."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import attninfluence as ai
from attninfluence.output.score_runs import open_scores
from attninfluence.scores.domains import as_column, group
from attninfluence.scores.scores import Scores
from attninfluence.scores.statuses import STATUS_MEANING
from attninfluence.select.in_memory import read_documents
from attninfluence.select.rule import Rule, as_fraction
from attninfluence.views.words import escape, number, percent
from tests.kit.score_tables import score_row, selected_summary, write_scores
from tests.kit.scored import HEADS
from tests.views.test_views_pieces import HOSTILE, tags

DOMAINS = ("web", "code", None, "maths")


def made(
    score: Iterable[float], *, control: Iterable[float] | None = None, **columns: Any
) -> Scores:
    """Scores as they would be of documents with these; NaN is an empty one."""
    values = np.array(list(score), dtype=np.float64)
    n, missing = len(values), np.isnan(values)
    base = np.where(missing, math.nan, np.linspace(2, 4, n))
    filled = {
        "score": values,
        "base_loss": base,
        "ref_loss": base * (1 + values),
        "n_tokens": np.arange(10, 10 + n),
        "n_scored": np.where(missing, 0, np.arange(9, 9 + n)),
        "status": ["empty" if gone else "ok" for gone in missing],
        "truncated": np.zeros(n, np.bool_),
        "repaired": np.zeros(n, np.bool_),
        "partly_counted": np.zeros(n, np.bool_),
    }
    if control is not None:
        filled["control_score"] = np.array(list(control), dtype=np.float64)
        filled["control_loss"] = base * (1 + filled["control_score"])
    return Scores(**(filled | columns))


def random_scores(n: int = 203, **options: Any) -> tuple[Scores, list[str | None]]:
    """Scores with ties and gaps, and a domain for each."""
    random = np.random.default_rng(0)
    score = np.round(random.normal(0.2, 0.1, n), 2)
    score[random.random(n) < 0.1] = math.nan
    return made(score, **options), [DOMAINS[i] for i in random.integers(0, 4, n)]


def table_rows(body: str, label: str) -> list[list[str]]:
    """The cells of the table with this label, row by row."""
    table = body[body.index(f'aria-label="{label}"') :].split("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows][1:]


# ------------------------------------------------------------------------------ what is selected


def run_of(scores: Scores, domains: list[str | None], folder: Path) -> Any:
    rows = [
        score_row(
            "f", at, domain=domain, score=None if math.isnan(value) else value,
            n_tokens=int(scores.n_tokens[at]), status=scores.status[at],
        )
        for at, (value, domain) in enumerate(zip(scores.score.tolist(), domains, strict=True))
    ]  # fmt: skip
    return open_scores(write_scores(folder, [rows[:50], rows[50:]]))


@pytest.mark.parametrize("fraction", [0.2, "1/3", 0.01, 1])
def test_the_cut_is_that_of_a_selection(tmp_path: Path, fraction: float | str) -> None:
    scores, domains = random_scores()
    run = run_of(scores, domains, tmp_path / "out")
    summary = selected_summary(tmp_path / "out", Rule(fraction=as_fraction(fraction)))
    documents = read_documents(run)
    np.testing.assert_array_equal(
        group(scores, as_column(domains, "domains", len(scores))).highest(as_fraction(fraction)),
        documents.highest(as_fraction(fraction)),
    )
    body = scores.view(domains=domains, fraction=fraction).body
    rows = table_rows(body, "Scores by domain")
    assert len(rows) == 5
    for row, domain in zip(rows, summary["domains"], strict=False):
        name = "(no domain)" if domain["domain"] is None else domain["domain"]
        tokens = percent(domain["selected_tokens"], domain["tokens"])
        counts = [str(domain[key]) for key in ("rows", "scored")]
        assert [*row[:3], *row[4:]] == [
            name, *counts, number(domain["cut"]), str(domain["selected"]), tokens,
        ]  # fmt: skip
        members = [at for at, one in enumerate(domains) if one == domain["domain"]]
        assert row[3] == number(float(np.nanmedian(scores.score[members])))
    total = summary["all"]
    assert rows[-1][:3] == ["all 4 domains", str(total["rows"]), str(total["scored"])]
    assert rows[-1][5] == str(total["selected"])
    assert rows[-1][6] == percent(total["selected_tokens"], total["tokens"])


def test_without_domains_all_documents_are_one(tmp_path: Path) -> None:
    scores, _ = random_scores()
    run_of(scores, ["one"] * len(scores), tmp_path / "out")
    (domain,) = selected_summary(tmp_path / "out", Rule(fraction=as_fraction(0.2)))["domains"]
    view = scores.view()
    sentence = (
        f"The highest 20 % begin at a score of {number(domain['cut'])}: {domain['selected']} of "
        f"{domain['scored']} documents, with "
        f"{percent(domain['selected_tokens'], domain['tokens'])} of the tokens."
    )
    assert sentence in view.body and sentence in view.words
    assert view.body.count("<svg") == 1 and "<details" not in view.body
    assert view._repr_html_() == scores._repr_html_()


def test_extremes_share_no_document() -> None:
    documents = group(made([0.1, 0.5, 0.5, math.nan]), None)
    assert documents.extremes(0, 3) == ([1, 2], [0])
    assert documents.extremes(0, 1) == ([1], [0])
    assert documents.extremes(0, 0) == ([], [])


# ------------------------------------------------------------------------------ what is shown


def test_quartiles_and_statuses_are_the_columns() -> None:
    messages = {1: HOSTILE}
    scores = made([0.1, math.nan, 0.3, math.nan, -0.2], messages=messages)
    scores.status[3] = "bad_type"
    body = scores.view().body
    numbers = table_rows(body, "Scores and losses")
    assert [row[0] for row in numbers] == ["score", "base loss, nats", "reference loss, nats"]
    for row, column in zip(numbers, (scores.score, scores.base_loss, scores.ref_loss), strict=True):
        expected = np.nanquantile(column, [0, 0.25, 0.5, 0.75, 1])
        assert row[1:] == [number(float(value)) for value in expected]
    statuses = table_rows(body, "Documents by status")
    assert [row[:3] for row in statuses] == [
        ["ok", "3", "0"],
        ["bad_type", "1", "3"],
        ["empty", "1", "1"],
    ]
    assert statuses[1][3] == STATUS_MEANING["bad_type"]
    assert statuses[2][3] == escape(f"{STATUS_MEANING['empty']}; the first one: {HOSTILE}")
    assert "5 documents</strong> · 33 tokens scored · 2 without a score" in body


def test_all_scored_documents_need_no_table_of_statuses() -> None:
    body = made([0.1, 0.2]).view().body
    assert "Documents by status" not in body
    assert "without a score" not in body


def entries(body: str) -> list[tuple[int, str, str]]:
    """Of each document that is listed: its position, its score, its heading line."""
    found = re.findall(r"<li><strong>(.*?)</strong> (document (\d+).*?)<div", body)
    return [(int(position), score, heading) for score, heading, position in found]


def test_best_and_worst_are_of_each_domain() -> None:
    scores, domains = random_scores()
    texts = [f"text {at}" for at in range(len(scores))]
    names = [f"name {at}" if at % 2 else None for at in range(len(scores))]
    view = scores.view(domains=domains, texts=texts, names=names, examples=2)
    documents = group(scores, as_column(domains, "domains", len(scores)))
    expected = [
        position
        for domain in range(4)
        for part in documents.extremes(domain, 2)
        for position in part
    ]
    found = entries(view.body)
    assert [position for position, _, _ in found] == expected
    for position, score, heading in found:
        assert score == number(float(scores.score[position]))
        assert heading == f"document {position}" + (f", name {position}" if position % 2 else "")
        assert f">text {position}</p>" in view.body
    assert entries(scores.view(examples=0).body) == []
    assert "Best and worst" not in scores.view(examples=0).body


def test_the_texts_that_were_kept_are_there(tiny_folder: Path) -> None:
    texts = ["of the thing", "an inner ring", None]
    options: dict[str, Any] = {"model": tiny_folder, "heads": HEADS}
    kept = ai.score(texts, detail="token", **options).view().body
    assert ">of the thing</p>" in kept and ">an inner ring</p>" in kept
    bare = ai.score(texts, **options)
    assert "inner" not in bare.view().body
    given = bare.view(texts=[b"caf\xc3\xa9", "x", None]).body
    assert ">caf\u00e9</p>" in given
    assert "2 heads masked (uniform)" in given


def test_a_control_is_shown_beside_the_score() -> None:
    scores, domains = random_scores(control=np.linspace(-0.2, 0.3, 203))
    assert scores.control_score is not None
    view = scores.view(domains=domains)
    scored = ~np.isnan(scores.score)
    above = int((scores.score > scores.control_score).sum())
    control = number(float(np.median(scores.control_score[scored])))
    share = percent(above, int(scored.sum()), 0)
    assert table_rows(view.body, "Scores by domain")[-1][7:] == [control, share]
    assert (
        f"the median score is {control}, against {number(np.nanmedian(scores.score))}" in view.body
    )
    assert f"{share} of the documents score higher than their control" in view.body
    assert "middle 90 % of the control scores" in view.body
    assert [row[0] for row in table_rows(view.body, "Scores and losses")][3:] == [
        "control score",
        "control loss, nats",
    ]
    assert "control" not in random_scores()[0].view(domains=domains).body


# ------------------------------------------------------------------------------ caps and edges


def test_many_domains_are_capped_and_told() -> None:
    n = 400
    domains = [f"d{at % 40 if at % 2 else 0}" for at in range(n)]
    scores = made(np.linspace(0, 1, n))
    view = scores.view(domains=domains)
    assert "Shown are 12 of 21 domains, those with the most documents scored." in view.body
    assert view.body.count("<svg") == 12 == view.body.count("<details>")
    rows = table_rows(view.body, "Scores by domain")
    assert rows[0][:2] == ["d0", "200"] and rows[-1][0] == "all 21 domains"
    assert len(view.words.splitlines()) == 14
    assert len(view._repr_html_()) < 300_000


def test_domains_are_in_their_order_and_those_without_a_score_only_counted() -> None:
    scores = made([0.1, 0.2, 0.3, 0.4, math.nan])
    domains = ["b", "b", "b", "a", "none"]
    view = scores.view(domains=domains)
    rows = table_rows(view.body, "Scores by domain")
    assert [row[:3] for row in rows] == [
        ["a", "1", "1"],
        ["b", "3", "3"],
        ["all 3 domains", "5", "4"],
    ]
    assert "Shown are 2 of 3 domains" in view.body


def test_long_and_hostile_names_and_texts_stay_small_and_inert() -> None:
    n = 120
    domains = [f"{HOSTILE}{at % 12}" + "D" * 100_000 for at in range(n)]
    given = [HOSTILE * 20 + "\u202e" * 100_000] * n
    scores = made(np.linspace(-1, 1, n), control=np.zeros(n))
    view = scores.view(domains=domains, texts=given, names=given)
    page = view.to_html()
    page.encode("utf-8")
    assert len(page) < 500_000
    found = tags(page)
    assert "script" not in {tag for tag, _ in found}
    assert not any(name.startswith("on") for _, attributes in found for name in attributes)
    assert "\u202e" not in page + repr(view) and "\x1b" not in page + repr(view)


@pytest.mark.parametrize(
    ("score", "told"),
    [
        ([], "<strong>0 documents</strong> · 0 tokens scored · no document has a score"),
        (
            [math.nan] * 3,
            "<strong>3 documents</strong> · 0 tokens scored · no document has a score",
        ),
        ([0.25], "1 of 1 document, with 100.0 % of the tokens"),
        ([0.25] * 7, "begin at a score of 0.250: 2 of 7 documents"),
        ([math.nan, -0.5], "begin at a score of −0.500: 1 of 1 document"),
    ],
)
def test_few_and_equal_and_missing_scores(score: list[float], told: str) -> None:
    scores = made(score)
    for domains in (None, [None] * len(score), ["a"] * len(score)):
        view = scores.view(domains=domains)
        assert domains is not None or told in view.body
        repr(view).encode("utf-8")
    assert repr(scores).startswith(f"Scores: {len(score)} document")


def test_an_empty_run_of_a_real_model_shows(tiny_folder: Path) -> None:
    empty = ai.score([], model=tiny_folder, heads=HEADS, detail="token", control=1)
    assert "0 documents" in empty._repr_html_()


@pytest.mark.parametrize("name", ["domains", "texts", "names"])
def test_lengths_must_match(name: str) -> None:
    scores = made([0.1, 0.2, 0.3])
    told = f"{name} must hold one value a document: there are 3 documents and 2 {name}"
    for given in (["a", "b"], np.array(["a", "b"]), iter("ab"), pa.array(["a", "b"])):
        with pytest.raises(ValueError, match=told):
            scores.view(**{name: given})
    with pytest.raises(TypeError, match=f"{name} must hold one value a document, got one str"):
        scores.view(**{name: "abc"})
    with pytest.raises(TypeError, match=f"{name} must hold one value a document, got one int"):
        scores.view(**{name: 3})


@pytest.mark.parametrize("fraction", [0, 1.5, "x", -0.1])
def test_a_fraction_that_cannot_be(fraction: Any) -> None:
    with pytest.raises(ValueError, match="fraction must be"):
        made([0.1]).view(fraction=fraction)
    with pytest.raises(ValueError, match="examples must not be negative"):
        made([0.1]).view(examples=-1)
    with pytest.raises(TypeError, match="examples must be an integer, got '3'"):
        made([0.1]).view(examples="3")  # type: ignore[arg-type]


def test_a_domain_is_one_line_of_the_words() -> None:
    view = made([0.1, 0.2]).view(domains=["one\ntwo\tthree", "b"])
    assert [line.split("  ")[0] for line in view.words.splitlines()[-2:]] == ["b", "one two three"]


class Series:
    """Looks as a pandas Series does whose labels are not positions."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Any:
        return iter(self.values)

    def __getitem__(self, label: Any) -> Any:
        raise KeyError(label)


def test_domains_come_in_any_column() -> None:
    class NAType:  # of pandas, whose comparisons have no truth
        def __ne__(self, other: object) -> Any:
            raise TypeError("boolean value of NA is ambiguous")

        __hash__ = object.__hash__

    names = ["b", None, "a", None, "b"]
    scores = made([0.1] * 5)
    given = [
        names, tuple(names), iter(names), Series(names), np.array(names, dtype=object),
        pa.array(names), pa.chunked_array([names[:2], names[2:]]),
        Series(["b", math.nan, "a", NAType(), "b"]), ["b", float("nan"), "a", float("nan"), "b"],
    ]  # fmt: skip
    for domains in given:
        documents = group(scores, as_column(domains, "domains", 5))
        assert documents.domains == [None, "a", "b"]
        assert documents.domain.tolist() == [2, 0, 1, 0, 2]
    assert group(scores, as_column(np.array([3, 1, 3, 1, 1]), "domains", 5)).domains == ["1", "3"]


def test_a_status_that_is_not_ok_is_not_selected() -> None:
    scores = made([0.1, 0.9])
    scores.status[1] = "non_finite"
    assert "1 of 1 document" in scores.view().body


def test_scores_are_saved_as_a_page(tmp_path: Path) -> None:
    scores, _ = random_scores()
    scores.save(tmp_path / "scores.html")
    assert (tmp_path / "scores.html").read_text("utf-8") == scores.view().to_html()


def test_two_hundred_thousand_documents_take_no_loop() -> None:
    """Seconds of this process's own time, some ten times what was measured."""
    import time

    n = 200_000
    random = np.random.default_rng(0)
    scores = made(random.normal(size=n), control=random.normal(size=n))
    domains = [f"host{at}" for at in random.integers(0, 50_000, n)]
    texts = ["a text"] * n
    before = time.process_time()
    page = scores.view(domains=domains, texts=texts)._repr_html_()
    assert time.process_time() - before < 4
    assert len(page) < 300_000
