"""Selection within each domain, against METHOD.md section 5 in plain Python."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attninfluence.base.quantiles import QuantileSketch
from attninfluence.output.files import OutputError
from attninfluence.output.finished import open_finished
from attninfluence.output.schema import score_schema
from attninfluence.output.score_runs import ScoreRuns
from attninfluence.select import cut as cut_module
from attninfluence.select import fill as fill_module
from attninfluence.select import selector as selector_module
from attninfluence.select.cut import take_census
from attninfluence.select.fill import first_fit
from attninfluence.select.rows import RowReader
from attninfluence.select.rule import Rule, as_fraction, count_of_fraction
from attninfluence.select.selector import select
from tests.kit.score_tables import score_row, selected_summary, write_scores
from tests.select import selection_oracle as oracle

FIFTH = Fraction(1, 5)


def rows_of(folder: Path) -> list[dict]:
    tables = list(open_finished(folder, "selection").tables())
    return pa.concat_tables(tables).to_pylist() if tables else []


def places(rows: list[dict]) -> list[tuple[str, int]]:
    return [(row["file"], row["row"]) for row in rows]


def run(tmp: Path, rows: list[dict], rule: Rule, parts: int = 2, **options) -> list[dict]:
    """The rows that `select` writes."""
    target = tmp / f"out{len(list(tmp.iterdir()))}"
    cut = len(rows) // parts
    write_scores(target, [rows[:cut], rows[cut:]])
    select(target, target / "selected", rule, **options)
    return rows_of(target / "selected")


class InMemory(ScoreRuns):
    """Rows as if they were read from a score run, five at a time."""

    def __init__(self, rows: list[dict]) -> None:
        super().__init__([], [])
        object.__setattr__(self, "rows", rows)

    def tables(self, columns=None, rows=5):
        for start in range(0, len(self.rows), rows):
            table = pa.Table.from_pylist(self.rows[start : start + rows], score_schema())
            yield table if columns is None else table.select(columns)


def make_selector(runs: ScoreRuns, rule: Rule, by: str, approximate: bool):
    """What `select` makes of its arguments, without a control."""
    reader = RowReader(runs, by, rule.min_tokens)
    census = take_census(reader, [selector_module._ranking(rule, reader)])
    return selector_module._Selector(reader, census, approximate)


def picked(rows: list[dict], rule: Rule, by: str, approximate: bool) -> list[tuple[str, int]]:
    """The places of the rows that are selected, without any file."""
    selector = make_selector(InMemory(rows), rule, by, approximate)
    (ranking,) = selector.census.sketches
    selection = selector.selection(ranking, selector.budgets(rule))
    return [place for table in selector._selected(selection) for place in places(table.to_pylist())]


def expected(rows: list[dict], rule: Rule, by: str = "domain") -> list[tuple[str, int]]:
    """The places of the oracle's selection, in the order of the table."""
    chosen = set().union(*oracle.keys(oracle.selected(rows, rule, by)).values())
    return [place for place in places(rows) if place in chosen]


@st.composite
def tables(draw) -> list[dict]:
    """Rows of two files in order, some without a score, with many ties."""
    few = st.sampled_from([-1.0, -0.0, 0.0, 0.25, 0.3, 7.5])
    rows = []
    for file in draw(st.permutations(["a", "b"])):
        for number in range(draw(st.integers(0, 20))):
            score = draw(st.one_of(st.none(), few))
            values = {
                "domain": draw(st.sampled_from([None, "", "math", "web"])),
                "n_tokens": draw(st.integers(2, 40)),
                "score": score,
                "base_loss": None if score is None else draw(few),
            }
            rows.append(score_row(file, number, **values))
    return rows


amounts = st.one_of(
    st.fractions(Fraction(1, 1000), 1),
    st.integers(0, 600),
    st.fixed_dictionaries({}, optional={"math": st.integers(0, 99), "": st.integers(0, 99)}),
)
orders = st.one_of(
    st.fixed_dictionaries({"rank_by": st.sampled_from(["score", "base_loss", "random"])}),
    st.fixed_dictionaries({"temperature": st.sampled_from([0.1, 1.0, 30.0])}),
)


@settings(max_examples=100, deadline=None)
@given(
    rows=tables(),
    amount=amounts,
    order=orders,
    bottom=st.booleans(),
    seed=st.integers(0, 3),
    min_tokens=st.sampled_from([0, 0, 15]),
    by=st.sampled_from(["domain", "domain", "all"]),
    approximate=st.booleans(),
    spare=st.sampled_from([1, 2, 4, 1000]),
    held=st.sampled_from([0, 1 << 16]),
)
def test_selection_is_that_of_plain_python(
    rows, amount, order, bottom, seed, min_tokens, by, approximate, spare, held
):
    """A sketch that holds everything is exact, so then the approximate form is exact as well."""
    names = {row["domain"] for row in rows} if by == "domain" else {"all"}
    if isinstance(amount, dict):
        amount = {name: n for name, n in amount.items() if name in names}
    is_fraction = isinstance(amount, Fraction)
    rule = Rule(
        amount if is_fraction else None,
        None if is_fraction else amount,
        bottom=bottom,
        seed=seed,
        min_tokens=min_tokens,
        **order,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fill_module, "HELD_ROWS", held)
        for module in (fill_module, oracle):
            patch.setattr(module, "SPARE", spare)
        assert picked(rows, rule, by, approximate) == expected(rows, rule, by)


def made(n: int, shape: str = "normal", seed: int = 0, domains: str = "xy") -> list[dict]:
    """n rows of two files, dealt to domains in turn."""
    generator = np.random.default_rng(seed)
    scores = {
        "normal": lambda: generator.normal(size=n),
        "ties": lambda: generator.integers(0, 3, n).astype(float),
        "equal": lambda: np.ones(n),
        "sorted": lambda: np.arange(float(n)),
    }[shape]()
    sizes = generator.lognormal(5, 1.5, n).astype(int) + 2
    return [
        score_row(
            "ab"[2 * i // n],
            i - (2 * i // n) * n // 2,
            domain=domains[i % len(domains)],
            n_tokens=int(sizes[i]),
            score=float(scores[i]),
        )
        for i in range(n)
    ]


class SmallSketch(QuantileSketch):
    """One that soon forgets."""

    def __init__(self) -> None:
        super().__init__(k=64)


RULES = {
    "fraction": Rule(FIFTH),
    "bottom": Rule(FIFTH, bottom=True),
    "budget": Rule(tokens=50_000),
    "tiny budget": Rule(tokens=300),
    "random": Rule(FIFTH, rank_by="random", seed=3),
    "sampling": Rule(FIFTH, temperature=0.5),
    "sampled budget": Rule(tokens=45_000, temperature=2.0),
}


@pytest.mark.parametrize("error", ["as stated", "none"])
@pytest.mark.parametrize("shape", ["normal", "ties", "equal", "sorted"])
@pytest.mark.parametrize("rule", RULES)
def test_a_rough_sketch_gives_the_exact_cut(tmp_path, monkeypatch, rule, shape, error):
    """Also when its error is more than it says: the interval is widened until the cut is in it."""
    monkeypatch.setattr(cut_module, "QuantileSketch", SmallSketch)
    monkeypatch.setattr(cut_module, "HELD_ROWS", 100)
    monkeypatch.setattr(fill_module, "HELD_ROWS", 100)
    wider = 0.03 if error == "as stated" else 0.0
    monkeypatch.setattr(SmallSketch, "error", property(lambda sketch: wider))
    rows = made(1500, shape)
    write_scores(tmp_path / "out", [rows[:500], rows[500:]])
    kept = {"control": tmp_path / "control", "control_seed": 5}
    select(tmp_path / "out", tmp_path / "sel", RULES[rule], **kept)
    assert places(rows_of(tmp_path / "sel")) == expected(rows, RULES[rule])
    control = set().union(*oracle.keys(oracle.control(rows, RULES[rule], 5)).values())
    assert places(rows_of(tmp_path / "control")) == [p for p in places(rows) if p in control]


@pytest.mark.parametrize("shape", ["normal", "ties", "equal", "sorted"])
@pytest.mark.parametrize("spare", [1, 2, 30])
def test_just_so_many_documents_more_are_tried(tmp_path, monkeypatch, spare, shape):
    monkeypatch.setattr(fill_module, "SPARE", spare)
    monkeypatch.setattr(oracle, "SPARE", spare)
    rows, rule = made(300, shape), Rule(tokens=9000)
    write_scores(tmp_path / "out", [rows])
    select(tmp_path / "out", tmp_path / "sel", rule, control=tmp_path / "control")
    assert places(rows_of(tmp_path / "sel")) == expected(rows, rule)
    control = set().union(*oracle.keys(oracle.control(rows, rule, 0)).values())
    assert places(rows_of(tmp_path / "control")) == [p for p in places(rows) if p in control]


def test_the_document_after_the_last_that_is_tried_is_not_taken(tmp_path):
    """Of a thousand after the first that does not fit; whether their scores are equal or not."""
    sizes = [5, *[90] * 1000, 3, 2]
    for step in (0.0, 1.0):
        rows = [score_row("a", i, score=-step * i, n_tokens=n) for i, n in enumerate(sizes)]
        chosen = run(tmp_path, rows, Rule(tokens=20))
        assert [row["row"] for row in chosen] == [0, 1001]


def test_a_sketch_that_is_wrong_exceeds_no_budget(tmp_path, monkeypatch):
    monkeypatch.setattr(cut_module, "QuantileSketch", SmallSketch)
    monkeypatch.setattr(SmallSketch, "error", 0.0)
    monkeypatch.setattr(SmallSketch, "quantile", lambda sketch, q: -1.0)
    rows = made(3000)
    chosen = run(tmp_path, rows, Rule(tokens={"x": 40_000, "y": 10_000}), approximate=True)
    for name, budget in (("x", 40_000), ("y", 10_000)):
        tokens = sum(row["n_tokens"] for row in chosen if row["domain"] == name)
        assert 0.99 * budget < tokens <= budget


def test_a_cut_outside_its_interval_is_noticed(tmp_path, monkeypatch):
    """The test above would not see a check that never fails: count how often rows are read."""
    monkeypatch.setattr(cut_module, "QuantileSketch", SmallSketch)
    readings = []
    collect = cut_module._collect
    monkeypatch.setattr(
        cut_module, "_collect", lambda *given: readings.append(1) or collect(*given)
    )
    rows = made(3000)
    for error, most in ((0.0, 20), (0.3, 1)):
        readings.clear()
        monkeypatch.setattr(SmallSketch, "error", property(lambda sketch, error=error: error))
        run(tmp_path, rows, Rule(Fraction(1, 7)))
        assert (len(readings) > 1) == (error == 0.0)
        assert len(readings) <= most


@pytest.mark.parametrize("n", [0, 1, 4, 5, 6, 10, 35, 99, 100, 101, 10**15])
def test_fraction_is_exact(n):
    assert count_of_fraction(n, as_fraction(0.2)) == -(-n // 5)


def test_fraction_is_the_decimal_number():
    # In binary arithmetic ceil(0.07 * 100) is 8 and ceil(0.05 * 560) is 29.
    assert math.ceil(0.07 * 100) == 8
    assert count_of_fraction(100, as_fraction(0.07)) == 7
    assert count_of_fraction(560, as_fraction("0.05")) == 28
    assert as_fraction("1/3") == Fraction(1, 3)


@pytest.mark.parametrize(
    ("given", "stored"), [("0.2", 0.2), ("1/3", "1/3"), ("1", 1.0), ("1e-9", 1e-9), ("3/8", 0.375)]
)
def test_a_fraction_is_recorded_exactly(given, stored):
    """As a decimal number where that is exact: ceil(n / 3) is not that of 0.333..."""
    fraction = as_fraction(given)
    found = json.loads(json.dumps(Rule(fraction).describe()))["fraction"]
    assert found == stored and type(found) is type(stored)
    assert as_fraction(found) == fraction


@pytest.mark.parametrize("value", [0, -0.1, 1.01, "x", "nan", float("inf"), None, "1/0"])
def test_bad_fraction_is_refused(value):
    with pytest.raises(ValueError, match="fraction must be "):
        as_fraction(value)


@pytest.mark.parametrize("n", [1, 999, 1000, 1001, 20_000, 40_001])
@pytest.mark.parametrize("shape", ["normal", "equal"])
def test_the_number_selected_is_exact_at_any_size(tmp_path, n, shape):
    write_scores(tmp_path / "out", [made(n, shape, domains="x")])
    for fraction in (Fraction(1, 5), Fraction(7, 100), Fraction(1)):
        summary = selected_summary(tmp_path / "out", Rule(fraction))
        assert summary["all"]["selected"] == math.ceil(fraction * n)


@pytest.mark.parametrize("approximate", [False, True])
def test_a_document_that_does_not_fit_is_passed_over(tmp_path, approximate):
    sizes = [5, 5, 50, 1]
    rows = [score_row("a", i, score=9.0 - i, n_tokens=n) for i, n in enumerate(sizes)]
    tied = [{**row, "score": 1.0} for row in rows]
    for budget, taken in (
        (1, [3]),
        (4, [3]),
        (5, [0]),
        (6, [0, 3]),
        (10, [0, 1]),
        (59, [0, 1, 3]),
        (60, [0, 1, 2]),
        (61, [0, 1, 2, 3]),
        (10**20, [0, 1, 2, 3]),
    ):
        for each in (rows, tied):
            chosen = run(tmp_path, each, Rule(tokens=budget), approximate=approximate)
            assert [row["row"] for row in chosen] == taken, budget


def test_the_summary_says_what_was_asked_and_what_was_filled(tmp_path):
    rows = [score_row("a", i, domain="xy"[i % 2], n_tokens=30 + i % 2 * 20) for i in range(20)]
    folder = write_scores(tmp_path / "out", [rows])
    summary = select(folder, tmp_path / "all", Rule(tokens=401), control=tmp_path / "control")
    found = [(e["budget"], e["selected_tokens"]) for e in (*summary["domains"], summary["all"])]
    assert found == [(150, 150), (250, 250), (401, 400)]
    assert summary["all"]["share_of_budget"] == pytest.approx(400 / 401)
    assert [e["budget"] for e in summary["control"]["domains"]] == [150, 250]
    assert summary["control"]["all"]["budget"] == 400
    summary = select(folder, tmp_path / "one", Rule(tokens={"x": 10**6}))
    found = [
        (e["budget"], e["selected_tokens"], e["share_of_budget"])
        for e in (*summary["domains"], summary["all"])
    ]
    assert found == [(10**6, 300, 0.0003), (0, 0, None), (10**6, 300, 0.0003)]
    summary = select(folder, tmp_path / "fifth", Rule(FIFTH))
    assert {e["budget"] for e in (*summary["domains"], summary["all"])} == {None}


def test_budget_is_shared_by_tokens_of_candidates_and_unnamed_domains_get_none(tmp_path):
    rows = [score_row("a", i, domain="big", n_tokens=30) for i in range(10)]
    rows += [score_row("b", i, domain="small", n_tokens=10) for i in range(10)]
    rows += [score_row("c", i, domain="big", n_tokens=900, score=None) for i in range(10)]
    chosen = run(tmp_path, rows, Rule(tokens=200))
    assert [row["domain"] for row in chosen] == ["big"] * 5 + ["small"] * 5
    chosen = run(tmp_path, rows, Rule(tokens={"small": 25}))
    assert [row["domain"] for row in chosen] == ["small"] * 2
    with pytest.raises(ValueError, match="domain 'tiny'; the scores have 'big', 'small'"):
        run(tmp_path, rows, Rule(tokens={"tiny": 1}))


def test_a_cut_off_document_counts_whole(tmp_path):
    """In a domain's share of a budget, and in what it takes of it."""
    cut_off = {"n_tokens": 90, "n_scored": 9, "truncated": True}
    rows = [score_row("a", i, domain="long", **cut_off) for i in range(2)]
    rows += [score_row("b", i, domain="short", n_tokens=10) for i in range(2)]
    chosen = run(tmp_path, rows, Rule(tokens=100))
    assert [row["domain"] for row in chosen] == ["long", "short"]
    assert len(run(tmp_path, rows, Rule(tokens={"long": 89}))) == 0


def test_shares_of_a_budget_are_rounded_down(tmp_path):
    rows = [score_row("a", i, domain=name, n_tokens=10) for i, name in enumerate("xyxy")]
    assert len(run(tmp_path, rows, Rule(tokens=19))) == 0
    assert len(run(tmp_path, rows, Rule(tokens=20))) == 2


def test_ties_go_by_the_order_of_the_input_also_when_a_file_is_divided(tmp_path):
    """Files come in the order of the input, which is not that of their names."""
    rows = [score_row("zb"[i // 30], i % 30, score=float(i % 3)) for i in range(60)]
    inputs = [{"file": "z", "bytes": 0}, {"file": "b", "bytes": 0}]
    folders = [
        write_scores(
            tmp_path / f"shard{index}",
            [rows[15 * index : 15 * index + 15]],
            shard={"index": index, "count": 4},
            inputs=inputs,
        )
        for index in range(4)
    ]
    select(folders[::-1], tmp_path / "sel", Rule(Fraction(1, 2)))
    best = [i for i in range(60) if i % 3 == 2]
    tied = [i for i in range(60) if i % 3 == 1][:10]
    assert places(rows_of(tmp_path / "sel")) == [places(rows)[i] for i in sorted(best + tied)]
    assert expected(rows, Rule(Fraction(1, 2))) == places(rows_of(tmp_path / "sel"))


def test_rule_refuses_what_it_cannot_mean():
    for rule in ({}, {"fraction": FIFTH, "tokens": 5}):
        with pytest.raises(ValueError, match="either a fraction or a budget"):
            Rule(**rule)
    with pytest.raises(ValueError, match="negative"):
        Rule(tokens=-1)
    with pytest.raises(ValueError, match="rank_by must be"):
        Rule(FIFTH, rank_by="loss")
    for temperature in (0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="temperature must be above 0"):
            Rule(FIFTH, temperature=temperature)
    with pytest.raises(ValueError, match="a random order has no temperature"):
        Rule(FIFTH, rank_by="random", temperature=1.0)


def test_rows_without_a_score_or_too_short_do_not_count(tmp_path):
    rows = [score_row("a", i, score=None if i % 2 else 0.1 * i, n_tokens=2 + i) for i in range(20)]
    write_scores(tmp_path / "out", [rows])
    summary = select(tmp_path / "out", tmp_path / "sel", Rule(FIFTH, min_tokens=12))
    assert places(rows_of(tmp_path / "sel")) == [("a", 18)]
    whole = summary["all"]
    assert (whole["rows"], whole["scored"], whole["candidates"]) == (20, 10, 5)
    assert (whole["selected"], whole["share_of_documents"]) == (1, 0.2)
    assert (whole["tokens"], whole["selected_tokens"]) == (12 + 14 + 16 + 18 + 20, 20)
    assert summary["domains"][0]["cut"] == pytest.approx(1.8)
    with pytest.raises(OutputError, match="none of its 10 rows that have a score has 99 tokens"):
        select(tmp_path / "out", tmp_path / "none", Rule(FIFTH, min_tokens=99))


def test_cut_is_the_last_selected_value(tmp_path):
    rows = [score_row("a", i, score=i - 5.0, base_loss=1.0 + i) for i in range(10)]
    for rule, cut in (
        (Rule(FIFTH), 3.0),
        (Rule(FIFTH, bottom=True), -4.0),
        (Rule(FIFTH, rank_by="base_loss"), 9.0),
        (Rule(FIFTH, rank_by="random"), None),
        (Rule(FIFTH, temperature=1.0), None),
        (Rule(tokens=1), None),
        (Rule(Fraction(1)), -5.0),
    ):
        folder = write_scores(tmp_path / f"{len(list(tmp_path.iterdir()))}", [rows])
        assert selected_summary(folder, rule)["domains"][0]["cut"] == cut


def test_random_orders_are_seeded_and_their_own_in_each_domain(tmp_path):
    rows = made(400)
    for order in ({"rank_by": "random"}, {"temperature": 1.0}):
        one = places(run(tmp_path, rows, Rule(FIFTH, seed=1, **order)))
        assert places(run(tmp_path, rows, Rule(FIFTH, seed=1, **order), parts=7)) == one
        assert places(run(tmp_path, rows, Rule(FIFTH, seed=2, **order))) != one
        alone = [row for row in rows if row["domain"] == "x"]
        without_y = places(run(tmp_path, alone, Rule(FIFTH, seed=1, **order)))
        assert without_y == [place for place in one if place in places(alone)]


def test_random_numbers_are_even_and_unlike():
    """Of neighbouring rows, files, domains and seeds."""
    from attninfluence.select.order import uniform
    from attninfluence.select.rows import Rows

    n, none = 20_000, np.zeros(0)
    table = pa.table({"file": ["a", "b"] * (n // 2), "row": np.repeat(np.arange(n // 2), 2)})
    rows = Rows(table, np.zeros(n, np.int64), none, none, none)
    seen = [uniform(seed, rows, [name]) for seed in (0, 1) for name in (None, "", "x")]
    seen += [seen[0][::2], seen[0][1::2]]
    for values in seen:
        assert values.min() > 0 and values.max() < 1
        counts, _ = np.histogram(values, 20, (0, 1))
        assert ((counts - len(values) / 20) ** 2 / (len(values) / 20)).sum() < 60
        assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 0.04
    for one, other in zip(seen, seen[1:5], strict=False):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.04


def test_sampling_follows_the_temperature(tmp_path):
    """Documents of two scores, one standard deviation apart from the mean each: z is 1 or -1."""
    rows = [score_row("a", i, score=0.2 if i % 2 else 0.4) for i in range(20_000)]
    folder = write_scores(tmp_path / "out", [rows])
    for temperature in (0.25, 1.0, 4.0):
        rule = Rule(Fraction(1, 100), temperature=temperature, seed=1)
        select(folder, tmp_path / f"{temperature}", rule)
        high = [row["score"] == 0.4 for row in rows_of(tmp_path / f"{temperature}")]
        odds = math.exp(2 / temperature)
        assert np.mean(high) == pytest.approx(odds / (1 + odds), abs=0.1)


def test_random_control_has_the_tokens_of_the_selection_by_domain(tmp_path):
    rows = made(4000)
    write_scores(tmp_path / "out", [rows])
    for approximate in (False, True):
        folder, beside = tmp_path / f"sel{approximate}", tmp_path / f"c{approximate}"
        summary = select(
            tmp_path / "out",
            folder,
            Rule(FIFTH),
            control=beside,
            control_seed=3,
            approximate=approximate,
        )
        for ours, theirs in zip(summary["domains"], summary["control"]["domains"], strict=True):
            spare = ours["selected_tokens"] - theirs["selected_tokens"]
            assert 0 <= spare < (10_000 if approximate else 20)
        assert set(places(rows_of(folder))) != set(places(rows_of(beside)))
        assert open_finished(beside, "selection").run["rule"]["seed"] == 3


@settings(max_examples=200, deadline=None)
@given(sizes=st.lists(st.integers(1, 30), max_size=20), budget=st.integers(0, 200))
def test_first_fit_passes_over_what_does_not_fit(sizes, budget):
    left, taken = budget, []
    for size in sizes:
        taken.append(size <= left)
        left -= size if size <= left else 0
    assert first_fit(np.array(sizes, np.int64), budget).tolist() == taken


def test_select_writes_rows_and_summary(tmp_path):
    rows = [
        score_row("a", i, domain=("x", "y")[i % 2], id=str(i), score=float(i % 7), n_tokens=5 + i)
        for i in range(20)
    ]
    write_scores(tmp_path / "out", [rows[:7], rows[7:]])
    summary = select(tmp_path / "out", tmp_path / "sel", Rule(FIFTH))
    chosen = rows_of(tmp_path / "sel")
    assert places(chosen) == expected(rows, Rule(FIFTH))
    assert chosen == [rows[row["row"]] for row in chosen]
    assert json.loads((tmp_path / "sel" / "summary.json").read_text()) == summary
    finished = open_finished(tmp_path / "sel", "selection")
    scores = open_finished(tmp_path / "out", "scores")
    assert [run["run_id"] for run in finished.run["scores"]["runs"]] == [scores.run["run_id"]]
    assert finished.run["scores_totals"]["rows"] == 20
    x = summary["domains"][0]
    assert (x["domain"], x["scored"], x["selected"], x["share_of_documents"]) == ("x", 10, 2, 0.2)
    whole = summary["all"]
    assert whole["selected_tokens"] == sum(row["n_tokens"] for row in chosen)
    assert whole["selected_tokens"] == finished.totals["tokens"]
    assert whole["share_of_tokens"] == pytest.approx(
        whole["selected_tokens"] / sum(row["n_tokens"] for row in rows)
    )


def test_select_by_all_ranks_the_corpus_as_one(tmp_path):
    rows = [score_row("a", i, domain=str(i % 3), score=float(i)) for i in range(10)]
    write_scores(tmp_path / "out", [rows])
    summary = select(tmp_path / "out", tmp_path / "sel", Rule(FIFTH), by="all")
    assert [entry["domain"] for entry in summary["domains"]] == ["all"]
    assert [(row["row"], row["domain"]) for row in rows_of(tmp_path / "sel")] == [
        (8, "2"),
        (9, "0"),
    ]


def test_selection_of_nothing_is_a_run(tmp_path):
    write_scores(tmp_path / "out", [made(10)])
    summary = select(tmp_path / "out", tmp_path / "sel", Rule(tokens=1))
    assert summary["all"]["selected"] == 0
    assert [entry["cut"] for entry in summary["domains"]] == [None, None]
    assert rows_of(tmp_path / "sel") == []


def test_scores_without_any_number_are_refused(tmp_path):
    write_scores(tmp_path / "out", [[score_row("a", 0, score=None)]])
    with pytest.raises(OutputError, match="none of its 1 rows has a score"):
        select(tmp_path / "out", tmp_path / "sel", Rule(FIFTH))
    assert not (tmp_path / "sel").exists()


def test_parts_of_the_selection_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(selector_module, "PART_ROWS", 50)
    rows = made(160)
    write_scores(tmp_path / "out", [rows[:100], [], rows[100:]])
    select(tmp_path / "out", tmp_path / "sel", Rule(Fraction(1)))
    finished = open_finished(tmp_path / "sel", "selection")
    assert len(finished.parts) == 2
    assert places(rows_of(tmp_path / "sel")) == places(rows)


@pytest.mark.parametrize("rule", [Rule(FIFTH), Rule(tokens=5000)])
def test_what_was_written_is_checked(tmp_path, monkeypatch, rule):
    """A cut that is not where the rule says it is, or a row that gets lost, is no selection."""
    write_scores(tmp_path / "out", [made(500)])
    exact = selector_module.exact_cuts

    def wrong(*given):
        cuts = exact(*given)
        cuts.key -= 0.1
        return cuts

    with monkeypatch.context() as patch:
        patch.setattr(selector_module, "exact_cuts", wrong)
        with pytest.raises(OutputError, match=r"of domain 'x' .* the scores changed while"):
            select(tmp_path / "out", tmp_path / "sel", rule)
    assert not (tmp_path / "sel" / "_SUCCESS").exists()
    selected = selector_module._Selector._selected
    monkeypatch.setattr(
        selector_module._Selector,
        "_selected",
        lambda self, selection: (table.slice(1) for table in selected(self, selection)),
    )
    with pytest.raises(OutputError, match=r"wrote \d+ rows of \d+ tokens, and picked"):
        select(tmp_path / "out", tmp_path / "other", rule)
