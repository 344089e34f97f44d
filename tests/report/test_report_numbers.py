"""The numbers of a report against those of the whole table in memory, by NumPy alone."""

from __future__ import annotations

import html
import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from attninfluence.base import quantiles
from attninfluence.output.score_runs import open_scores
from attninfluence.report import write_report
from attninfluence.report.quantile import median
from attninfluence.report.sample import SAMPLED, SAMPLED_OF_ALL, rank_correlation
from attninfluence.report.statistics import Statistics, read_statistics
from attninfluence.report.write import FRACTIONS
from attninfluence.select.rule import Rule
from attninfluence.views.words import count, number, percent
from tests.kit.made_scores import STATUSES, Made, make_columns, write_made
from tests.kit.score_tables import selected_summary
from tests.report.test_report import cells, check_structure, make_run, section

MAIN = Fraction(1, 5)


@pytest.fixture(scope="module", params=[(3_000, 7, 2), (100_000, 40), (20_000, 1_500, 2)], ids=str)
def made(request, tmp_path_factory) -> tuple[Made, Path]:
    """Ties; domains over the size at which a sketch is exact; more domains than are listed."""
    columns = make_columns(*request.param)
    return columns, write_made(tmp_path_factory.mktemp("made") / "out", columns)


@pytest.fixture(scope="module")
def found(made) -> Statistics:
    return read_statistics(open_scores(made[1]), FRACTIONS, MAIN, 3)


@pytest.fixture(scope="module")
def page(made, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    text = write_report(made[1], path).read_text("utf-8")
    check_structure(text)
    return text


class Told:
    """A progress that notes what it is told."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.shares: list[float] = []

    def advance(self, items: int, tokens: int, share: float) -> None:
        self.rows.append(items)
        self.shares.append(share)


@pytest.mark.parametrize("has_control", [False, True])
def test_the_rows_are_read_as_often_as_is_said(tmp_path, has_control):
    """Counts, description, three cuts, what they select, bars; with a control a cut by it."""
    control = {"control_score": 0.1} if has_control else {}
    rows = [{"score": 0.01 * number, **control} for number in range(50)]
    told = Told()
    run = open_scores(make_run(tmp_path / "scores", rows))
    read_statistics(run, FRACTIONS, MAIN, 3, told)
    readings = 7 + has_control
    assert told.rows == [len(rows)] * readings
    assert told.shares == pytest.approx([(done + 1) / readings for done in range(readings)])


def members(columns: Made, name: str | None) -> np.ndarray:
    """Places of the scored documents of a domain, the best first."""
    at = np.flatnonzero(columns.scored & (columns.domain == columns.names.index(str(name))))
    return at[np.argsort(-columns.score[at], kind="stable")]


def test_cuts_are_those_of_a_sort_and_of_select(made, found):
    columns, path = made
    for fraction in FRACTIONS:
        selection = found.cuts.by_fraction[fraction]
        summary = selected_summary(path, Rule(fraction))
        by_name = {entry["domain"]: entry for entry in summary["domains"]}
        for at, name in enumerate(found.domains.names):
            best = members(columns, name)
            kept = best[: math.ceil(fraction * len(best))]
            assert selection.selected[at] == len(kept) == by_name[name]["selected"]
            tokens = columns.n_tokens[kept].sum()
            assert selection.tokens[at] == tokens == by_name[name]["selected_tokens"]
            cut = columns.score[kept[-1]] if len(kept) else None
            assert selection.cut(at) == cut == by_name[name]["cut"]


def test_counts_are_those_of_the_table(made, found):
    columns, _ = made
    assert found.domains.statuses.index("ok") == 0
    for at, name in enumerate(found.domains.names):
        here = columns.domain == columns.names.index(name)
        for place, status in enumerate(found.domains.statuses):
            with_status = columns.status == STATUSES.tolist().index(status)
            assert found.domains.rows[at, place] == (here & with_status).sum()
        assert found.domains.tokens[at] == columns.n_tokens[here & columns.scored].sum()


def test_medians_are_those_of_the_table(made, found):
    columns, _ = made
    sketches = found.description.sketches
    for at in found.domains.listed:
        best = members(columns, found.domains.names[at])
        pairs = [(sketches.score[at], columns.score), (sketches.control[at], columns.control_score)]
        for sketch, values in [*pairs, (sketches.base_loss[at], columns.base_loss)]:
            own = np.sort(values[best])
            if sketch.error == 0 and len(own):
                assert median(sketch) == pytest.approx(np.median(own), rel=1e-15)
            elif len(own):
                rank = np.searchsorted(own, median(sketch)) / len(own)
                assert abs(rank - 0.5) < sketch.error
    exact = len(columns.domain) <= quantiles.K
    sizes = [
        *found.domains.scored[list(sketches.base_loss)],
        *(one.documents for one in found.description.lengths.bins()),
    ]
    assert (found.description.error == 0) == (exact and max(sizes) <= 4096)
    if exact:
        wanted = np.median(columns.score[columns.scored])
        assert median(sketches.score_of_all) == pytest.approx(wanted, rel=1e-15)


def test_bars_are_those_of_the_table_and_divided_at_the_cut(made, found):
    columns, _ = made
    inside = 0
    for at in found.domains.drawn:
        scores = columns.score[members(columns, found.domains.names[at])]
        edges, bars = found.bars.edges[at], found.bars.counts[at]
        clipped = np.clip(scores, edges[0], np.nextafter(edges[-1], -np.inf))
        np.testing.assert_array_equal(bars, np.histogram(clipped, edges)[0])
        cut = found.cuts.selected.cut(at)
        place = int(np.flatnonzero(edges == cut)[0])
        assert bars[place:].sum() == (scores >= cut).sum()
        low, high = found.bars.span
        inside += ((scores >= low) & (scores <= high)).sum()
    drawn = sum(int(found.domains.scored[at]) for at in found.domains.drawn)
    assert found.bars.beyond == drawn - inside


def test_the_control_selects_as_much_in_common_as_a_sort_says(made, found):
    columns, _ = made
    for at, name in enumerate(found.domains.names):
        best = members(columns, name)
        by_control = best[np.lexsort((best, -columns.control_score[best]))]
        size = math.ceil(MAIN * len(best))
        common = np.intersect1d(best[:size], by_control[:size])
        assert found.cuts.common[at] == len(common)
        assert (
            found.description.above[at] == (columns.score[best] > columns.control_score[best]).sum()
        )


def test_rank_correlations_are_exact_or_near(made, found):
    columns, _ = made
    for at in found.domains.listed:
        best = members(columns, found.domains.names[at])
        if len(best) < 20:
            continue
        wanted = rank_correlation(columns.score[best], columns.control_score[best])
        near = 1e-12 if len(best) <= SAMPLED else 0.05
        assert found.description.samples.control_correlation(at) == pytest.approx(wanted, abs=near)
    scored = columns.scored
    largest = int(found.domains.scored[list(found.domains.shown)].max())
    is_whole = largest <= SAMPLED and int(scored.sum()) <= SAMPLED_OF_ALL
    assert found.description.samples.are_whole == is_whole
    wanted = rank_correlation(columns.score[scored], columns.n_tokens[scored])
    assert found.description.samples.length_correlation(None) == pytest.approx(wanted, abs=0.01)


def test_loss_by_length_is_that_of_the_table(made, found):
    columns, _ = made
    tokens, loss = columns.n_tokens[columns.scored], columns.base_loss[columns.scored]
    shown = 0
    for one in found.description.lengths.bins():
        own = np.sort(loss[(tokens >= one.low - 1e-6) & (tokens < one.high - 1e-6)])
        assert one.documents == len(own)
        for share, value in zip((0.25, 0.5, 0.75), one.loss, strict=True):
            rank = np.searchsorted(own, value) / len(own)
            assert abs(rank - share) <= 0.004 + 1 / len(own)
        shown += len(own)
    assert shown > 0.99 * len(tokens)


def test_extremes_are_those_of_a_sort(made, found):
    columns, _ = made
    for at, ends in found.description.extremes.items():
        best = members(columns, found.domains.names[at])
        if len(best) >= 6:
            assert ends.highest == best[:3].tolist()
            assert ends.lowest == best[:-4:-1].tolist()


def test_the_page_has_these_numbers(made, page):
    columns, _ = made
    scored = columns.scored
    best = [members(columns, name) for name in columns.names]
    for fraction in FRACTIONS:
        kept = np.concatenate([own[: math.ceil(fraction * len(own))] for own in best])
        tokens = int(columns.n_tokens[kept].sum())
        share = f"{float(100 * fraction):.0f}"
        longer = columns.n_tokens[kept].mean() / columns.n_tokens[scored].mean()
        assert cells(section(page, "cuts"), f"{share} %") == [
            count(len(kept)),
            percent(len(kept), int(scored.sum())),
            count(tokens),
            percent(tokens, int(columns.n_tokens[scored].sum())),
            f"{number(float(longer), 2)} ×",
        ]
    largest = int(np.argmax([len(own) for own in best]))
    shown = cells(section(page, "domains"), columns.names[largest])
    assert shown[1] == count(len(best[largest]))
    cut = columns.score[best[largest][math.ceil(MAIN * len(best[largest])) - 1]]
    assert shown[4] == number(float(cut))


def test_the_page_has_the_control_in_words(made, page):
    columns, _ = made
    common = selected = 0
    chance = 0.0
    for name in columns.names:
        best = members(columns, name)
        by_control = best[np.lexsort((best, -columns.control_score[best]))]
        size = math.ceil(MAIN * len(best))
        common += len(np.intersect1d(best[:size], by_control[:size]))
        selected += size
        chance += size * size / max(len(best), 1)
    sentence = f"select {percent(common, selected)} as well; by chance it would be "
    assert sentence + percent(chance, selected) in page


def test_the_page_has_loss_by_length(made, found, page):
    columns, _ = made
    tokens = columns.n_tokens[columns.scored]
    for one in found.description.lengths.bins():
        first, last = math.ceil(one.low), math.ceil(one.high) - 1
        inside = (tokens >= first) & (tokens <= last)
        words = f"{count(first)} to {count(last)}" if last > first else count(first)
        row = cells(section(page, "length"), words)
        assert row[0] == count(int(inside.sum()))
        if inside.sum() <= 4096:
            own = np.sort(columns.base_loss[columns.scored][inside])
            assert row[1] == number(float(np.median(own)))
            assert row[3] == number(float(np.median(columns.score[columns.scored][inside])))


def test_the_page_has_rows_by_domain_and_status(made, page):
    columns, _ = made
    shown = section(page, "run")
    shown = shown[shown.index("<caption>Rows by domain and status") :]
    names = re.findall(r'<th scope="col">(\w+)</th>', shown[: shown.index("<tbody>")])[1:]
    assert names == ["ok", *sorted(names[1:])]
    domain = int(np.argmax(np.bincount(columns.domain)))
    wanted = [
        ((columns.domain == domain) & (STATUSES[columns.status] == name)).sum() for name in names
    ]
    assert cells(shown, columns.names[domain]) == [count(int(rows)) for rows in wanted]
    everything = np.array(
        [
            [int(cell.replace(",", "")) for cell in re.findall("<td>([\\d,]+)</td>", row)]
            for row in re.findall("<tr><th.*?</tr>", shown[shown.index("<tbody>") :])
        ]
    )
    totals = [(STATUSES[columns.status] == name).sum() for name in names]
    assert everything.sum(axis=0).tolist() == totals


def test_what_is_left_out_is_counted(made, page):
    columns, _ = made
    present = len(np.unique(columns.domain))
    listed = len(re.findall(r'<tr><th scope="row"><bdi>', section(page, "domains")))
    assert listed == min(present, 100)
    if present > 100:
        rows = html.unescape(section(page, "domains"))
        assert f"{count(present - 100)} more domains</th>" in rows
        assert "The 100 largest domains are listed" in rows
    assert ("not drawn" in page) == (present > 24)
    assert len(page.encode()) < 1_000_000
