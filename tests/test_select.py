"""Selection within each domain, against an independent and naive form of METHOD.md section 5."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attninfluence.finished import open_finished
from attninfluence.output import OutputError
from attninfluence.select import (
    Documents,
    Rule,
    as_fraction,
    choose,
    choose_control,
    count_of_fraction,
    first_fit,
    read_documents,
    select,
    summarise,
)
from tests.score_tables import score_row, write_scores

FIFTH = Fraction(1, 5)


def documents_of(rows: list[dict]) -> Documents:
    """The rows as selection sees them, built without the package's reader."""
    domains = sorted({r["domain"] for r in rows}, key=lambda d: (d is not None, d or ""))
    files = sorted({r["file"] for r in rows})
    nan = math.nan

    def column(name: str, kind: type) -> np.ndarray:
        return np.array([nan if r[name] is None else r[name] for r in rows], kind)

    return Documents(
        domains,
        files,
        np.array([domains.index(r["domain"]) for r in rows], np.int64),
        np.array([files.index(r["file"]) for r in rows], np.int64),
        column("row", np.int64),
        column("n_tokens", np.int64),
        column("score", np.float64),
        column("base_loss", np.float64),
        np.array([r["status"] == "ok" for r in rows]),
    )


def naive(rows: list[dict], rule: Rule) -> dict[str | None, list[tuple[str, int]]]:
    """Selected keys by domain, in order: METHOD.md section 5 in plain Python."""
    groups: dict[str | None, list[dict]] = {}
    for row in rows:
        groups.setdefault(row["domain"], [])
        if row["status"] == "ok":
            groups[row["domain"]].append(row)
    every = sum(row["n_tokens"] for group in groups.values() for row in group)
    chosen = {}
    for name, group in groups.items():
        sign = 1 if rule.bottom else -1
        ordered = sorted(group, key=lambda r: (sign * r[rule.rank_by], r["file"], r["row"]))
        if rule.fraction is not None:
            wanted = 0
            while Fraction(wanted) < rule.fraction * len(ordered):
                wanted += 1
            taken = ordered[:wanted]
        else:
            if isinstance(rule.tokens, int):
                own = sum(row["n_tokens"] for row in group)
                left = math.floor(Fraction(rule.tokens) * own / every) if every else 0
            else:
                left = rule.tokens.get(name, 0)
            taken = []
            for row in ordered:
                if row["n_tokens"] > left:
                    break
                left -= row["n_tokens"]
                taken.append(row)
        chosen[name] = [(row["file"], row["row"]) for row in taken]
    return chosen


def keys(rows: list[dict], documents: Documents, chosen: list) -> dict:
    return {
        name: [(rows[i]["file"], rows[i]["row"]) for i in positions]
        for name, positions in zip(documents.domains, chosen, strict=True)
    }


@st.composite
def tables(draw) -> list[dict]:
    places = draw(
        st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30)), unique=True, max_size=30)
    )
    few = st.sampled_from([-1.0, -0.0, 0.0, 0.25, 0.3, 7.5])
    return [
        score_row(
            file,
            row,
            domain=draw(st.sampled_from([None, "", "math", "web"])),
            n_tokens=draw(st.integers(2, 40)),
            score=(score := draw(st.one_of(st.none(), few))),
            base_loss=None if score is None else draw(few),
        )
        for file, row in places
    ]


@settings(max_examples=300, deadline=None)
@given(
    rows=tables(),
    amount=st.one_of(
        st.fractions(Fraction(1, 1000), 1),
        st.integers(0, 600),
        st.fixed_dictionaries({}, optional={"math": st.integers(0, 99), "": st.integers(0, 99)}),
    ),
    rank_by=st.sampled_from(["score", "base_loss"]),
    bottom=st.booleans(),
)
def test_selection_is_that_of_the_naive_form(rows, amount, rank_by, bottom):
    documents = documents_of(rows)
    if isinstance(amount, dict):
        amount = {name: n for name, n in amount.items() if name in documents.domains}
    is_fraction = isinstance(amount, Fraction)
    rule = Rule(amount if is_fraction else None, None if is_fraction else amount, rank_by, bottom)
    chosen = choose(documents, rule)
    assert keys(rows, documents, chosen) == naive(rows, rule)


@settings(max_examples=50, deadline=None)
@given(rows=tables(), data=st.data())
def test_order_of_the_table_does_not_matter(rows, data):
    shuffled = data.draw(st.permutations(rows))
    for rank_by in ("score", "random"):
        rule = Rule(Fraction(1, 3), rank_by=rank_by, seed=5)
        one, other = documents_of(rows), documents_of(shuffled)
        assert keys(rows, one, choose(one, rule)) == keys(shuffled, other, choose(other, rule))


@pytest.mark.parametrize("n", [0, 1, 4, 5, 6, 10, 35, 99, 100, 101, 10**15])
def test_fraction_is_exact(n):
    assert count_of_fraction(n, as_fraction(0.2)) == -(-n // 5)


def test_fraction_is_the_decimal_number():
    # In binary arithmetic ceil(0.07 * 100) is 8 and ceil(0.05 * 560) is 29.
    assert math.ceil(0.07 * 100) == 8
    assert count_of_fraction(100, as_fraction(0.07)) == 7
    assert count_of_fraction(560, as_fraction("0.05")) == 28
    assert as_fraction("1/3") == Fraction(1, 3)


@pytest.mark.parametrize("value", [0, -0.1, 1.01, "x", "nan", float("inf"), None, "1/0"])
def test_bad_fraction_is_refused(value):
    with pytest.raises(ValueError, match="fraction must be "):
        as_fraction(value)


def test_budget_stops_at_the_first_that_does_not_fit():
    sizes = [5, 5, 50, 1]
    rows = [score_row("a", i, score=9.0 - i, n_tokens=n) for i, n in enumerate(sizes)]
    documents = documents_of(rows)
    for budget, count in ((4, 0), (5, 1), (10, 2), (59, 2), (60, 3), (61, 4), (10**20, 4)):
        assert len(choose(documents, Rule(tokens=budget))[0]) == count


def test_budget_is_shared_by_scored_tokens_and_unnamed_domains_get_none():
    rows = [score_row("a", i, domain="big", n_tokens=30) for i in range(10)]
    rows += [score_row("b", i, domain="small", n_tokens=10) for i in range(10)]
    rows += [score_row("c", i, domain="big", n_tokens=900, score=None) for i in range(10)]
    documents = documents_of(rows)
    assert [len(positions) for positions in choose(documents, Rule(tokens=200))] == [5, 5]
    assert [len(p) for p in choose(documents, Rule(tokens={"small": 25}))] == [0, 2]
    with pytest.raises(ValueError, match="domain 'tiny'; the scores have 'big', 'small'"):
        choose(documents, Rule(tokens={"tiny": 1}))


def test_shares_of_a_budget_are_rounded_down():
    rows = [score_row("a", i, domain=name, n_tokens=10) for i in range(2) for name in "xy"]
    documents = documents_of(rows)
    assert [len(positions) for positions in choose(documents, Rule(tokens=19))] == [0, 0]
    assert [len(positions) for positions in choose(documents, Rule(tokens=20))] == [1, 1]


@pytest.mark.parametrize("bottom", [False, True])
def test_many_ties_go_by_file_and_row(bottom):
    rows = [score_row("ab"[i % 2], i // 2, score=float(i % 3)) for i in range(3000)]
    documents = documents_of(rows)
    rule = Rule(Fraction(1, 2), bottom=bottom)
    assert keys(rows, documents, choose(documents, rule)) == naive(rows, rule)


def test_rule_needs_one_amount():
    for rule in ({}, {"fraction": FIFTH, "tokens": 5}):
        with pytest.raises(ValueError, match="either a fraction or a budget"):
            Rule(**rule)
    with pytest.raises(ValueError, match="negative"):
        Rule(tokens=-1)
    with pytest.raises(ValueError, match="rank_by must be"):
        Rule(FIFTH, rank_by="loss")


def test_unscored_rows_do_not_count():
    rows = [score_row("a", i, score=None if i % 2 else 0.1 * i) for i in range(20)]
    documents = documents_of(rows)
    assert keys(rows, documents, choose(documents, Rule(FIFTH))) == {None: [("a", 18), ("a", 16)]}
    summary = summarise(documents, choose(documents, Rule(FIFTH)), "score")
    assert summary["all"]["rows"] == 20
    assert summary["all"]["scored"] == 10
    assert summary["domains"][0]["cut"] == pytest.approx(1.6)


def many(n: int = 400) -> list[dict]:
    generator = np.random.default_rng(0)
    return [
        score_row(
            "a",
            i,
            domain=("x", "y")[i % 2],
            n_tokens=int(generator.integers(2, 500)),
            score=float(generator.normal()),
        )
        for i in range(n)
    ]


def test_random_selection_is_seeded_and_its_own_in_each_domain():
    rows = many()
    documents = documents_of(rows)
    one = keys(rows, documents, choose(documents, Rule(FIFTH, rank_by="random", seed=1)))
    again = keys(rows, documents, choose(documents, Rule(FIFTH, rank_by="random", seed=1)))
    other = keys(rows, documents, choose(documents, Rule(FIFTH, rank_by="random", seed=2)))
    assert one == again
    assert one["x"] != other["x"]
    alone = [row for row in rows if row["domain"] == "x"]
    without_y = documents_of(alone)
    assert (
        keys(alone, without_y, choose(without_y, Rule(FIFTH, rank_by="random", seed=1)))["x"]
        == one["x"]
    )


def test_random_control_has_the_tokens_of_the_selection_by_domain():
    documents = documents_of(many())
    chosen = choose(documents, Rule(FIFTH))
    control = choose_control(documents, chosen, seed=3)
    for ours, theirs in zip(chosen, control, strict=True):
        wanted, found = documents.n_tokens[ours].sum(), documents.n_tokens[theirs].sum()
        assert wanted - 20 < found <= wanted
        assert len(np.unique(theirs)) == len(theirs)
        assert set(theirs) != set(ours)


@settings(max_examples=200, deadline=None)
@given(sizes=st.lists(st.integers(1, 30), max_size=20), budget=st.integers(0, 200))
def test_first_fit_passes_over_what_does_not_fit(sizes, budget):
    left, expected = budget, []
    for size in sizes:
        expected.append(size <= left)
        left -= size if size <= left else 0
    assert first_fit(np.array(sizes, np.int64), budget).tolist() == expected


def test_select_writes_rows_ranks_and_summary(tmp_path):
    rows = [
        score_row("a", i, domain=("x", "y")[i % 2], id=str(i), score=float(i % 7), n_tokens=5 + i)
        for i in range(20)
    ]
    write_scores(tmp_path / "out", [rows[:7], rows[7:]])
    summary = select(tmp_path / "out", tmp_path / "sel", Rule(FIFTH))
    run = open_finished(tmp_path / "sel", "selection")
    table = pa.concat_tables(run.tables()).to_pylist()
    expected = naive(rows, Rule(FIFTH))
    assert [(r["file"], r["row"]) for r in table] == sorted(expected["x"] + expected["y"])
    for row in table:
        rank = row.pop("rank")
        assert expected[row["domain"]][rank - 1] == (row["file"], row["row"])
        assert row == rows[row["row"]]
    assert json.loads((tmp_path / "sel" / "summary.json").read_text()) == summary
    assert run.run["scores"]["run_id"] == open_finished(tmp_path / "out", "scores").run["run_id"]
    x = summary["domains"][0]
    assert (x["domain"], x["scored"], x["selected"], x["share_of_documents"]) == ("x", 10, 2, 0.2)
    assert x["selected_tokens"] == sum(5 + row for _, row in expected["x"])
    assert summary["all"]["share_of_tokens"] == pytest.approx(
        summary["all"]["selected_tokens"] / sum(row["n_tokens"] for row in rows)
    )


def test_select_by_all_ranks_the_corpus_as_one(tmp_path):
    rows = [score_row("a", i, domain=str(i % 3), score=float(i)) for i in range(10)]
    write_scores(tmp_path / "out", [rows])
    summary = select(tmp_path / "out", tmp_path / "sel", Rule(FIFTH), by="all")
    assert [entry["domain"] for entry in summary["domains"]] == ["all"]
    table = pa.concat_tables(open_finished(tmp_path / "sel", "selection").tables())
    assert table["row"].to_pylist() == [8, 9]
    assert table["domain"].to_pylist() == ["2", "0"]


def test_select_writes_the_control_beside(tmp_path):
    write_scores(tmp_path / "out", [many()])
    summary = select(
        tmp_path / "out", tmp_path / "sel", Rule(FIFTH), control=tmp_path / "c", control_seed=4
    )
    control = open_finished(tmp_path / "c", "selection")
    rows = pa.concat_tables(control.tables())
    assert rows.num_rows == summary["control"]["all"]["selected"] == control.totals["rows"]
    assert control.run["rule"]["seed"] == 4


def test_selection_of_nothing_is_a_run(tmp_path):
    write_scores(tmp_path / "out", [many(10)])
    summary = select(tmp_path / "out", tmp_path / "sel", Rule(tokens=1))
    assert summary["all"]["selected"] == 0
    assert [entry["cut"] for entry in summary["domains"]] == [None, None]
    assert list(open_finished(tmp_path / "sel", "selection").tables()) == []


def test_scores_without_any_number_are_refused(tmp_path):
    write_scores(tmp_path / "out", [[score_row("a", 0, score=None)]])
    with pytest.raises(OutputError, match="none of its 1 rows has a score"):
        select(tmp_path / "out", tmp_path / "sel", Rule(FIFTH))
    assert not (tmp_path / "sel").exists()


def test_parts_of_the_selection_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("attninfluence.select.PART_ROWS", 50)
    write_scores(tmp_path / "out", [many(100)] + [[]] + [many(60)])
    select(tmp_path / "out", tmp_path / "sel", Rule(Fraction(1)))
    run = open_finished(tmp_path / "sel", "selection")
    assert len(run.parts) == 2
    assert sum(table.num_rows for table in run.tables()) == 160


def test_documents_are_read_as_they_are(tmp_path):
    rows = many(30) + [score_row("0", 1, score=None), score_row("b", 0, domain="", score=0.0)]
    run = open_finished(write_scores(tmp_path / "out", [rows[:9], rows[9:]]), "scores")
    found, expected = read_documents(run), documents_of(rows)
    assert (found.domains, found.files) == (expected.domains, expected.files)
    for name in ("domain", "file", "row", "n_tokens", "score", "base_loss", "scored"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
