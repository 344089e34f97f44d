"""The documents of a report: which are shown, whence their tokens, and that they fit the page."""

from __future__ import annotations

import html
import re

import numpy as np
import pytest

from attninfluence.output.files import OutputError
from attninfluence.output.score_runs import open_scores
from attninfluence.report import write_report
from attninfluence.report.chosen import MOST_OPEN
from attninfluence.report.documents import TOKEN_BYTES, TOKENS_FOLDED, TOKENS_OPEN
from attninfluence.run.checkpoint import read_examples
from attninfluence.run.examples import Example, Reservoir
from attninfluence.views.words import count, number
from tests.kit.made_examples import example, keep
from tests.kit.score_tables import score_row, write_scores
from tests.report.test_report import check_structure, section

HOSTILE = "\u202e<script>&\"'\x00\U0001f600"


def rows_of(domains: int, each: int = 15, **values: object) -> list[dict]:
    return [
        score_row(
            "a.jsonl",
            at,
            id=f"doc-{at}",
            domain=f"domain {at % domains:02d}",
            score=0.01 * (at * 7 % (domains * each)),
            n_tokens=3000,
            **values,
        )
        for at in range(domains * each)
    ]


def test_examples_come_back_as_they_were_kept(tmp_path):
    rows = rows_of(2, 3)
    folder = write_scores(tmp_path / "out", [rows])
    made = [example(row, "ab ", 5) for row in rows]
    found = read_examples(keep(folder, made), open_scores(folder).runs[0].run["run_id"])
    assert len(found) == len(made)
    for one, wanted in zip(found, made, strict=True):
        for name in Example.__slots__:
            np.testing.assert_array_equal(getattr(one, name), getattr(wanted, name))
            assert getattr(getattr(one, name), "dtype", 0) == getattr(
                getattr(wanted, name), "dtype", 0
            )


def test_best_middle_and_worst_are_shown_with_their_tokens(tmp_path):
    rows = rows_of(5)
    made = list(Reservoir(example(row, "word ", 1024) for row in rows))
    folder = keep(write_scores(tmp_path / "out", [rows]), made)
    kept = {one.row for one in made}
    page = write_report(folder, tmp_path / "r.html").read_text("utf-8")
    check_structure(page)
    parts = re.split(r"<h3><bdi>", section(page, "documents"))[1:]
    assert len(parts) == 5
    for domain, part in enumerate(parts):
        own = sorted(rows[domain::5], key=lambda row: -row["score"])
        names = re.findall(r'<span class="where"><bdi>(doc-\d+)</bdi>', part)
        free = [row for row in own[3:-3] if row["row"] in kept]
        middle = min(free, key=lambda row: abs(row["score"] - own[7]["score"]))
        wanted = [*own[:3], middle, *own[:-4:-1]]
        assert names == [row["id"] for row in wanted]
        folded = re.findall(r"<summary>([\d.]+) token by token: (doc-\d+)</summary>", part)
        with_tokens = [own[0], middle, own[-1]][domain < MOST_OPEN :]
        assert folded == [(number(row["score"]), row["id"]) for row in with_tokens]
        left_out = f"; the first {TOKENS_FOLDED} of 3,000 are shown."
        assert part.count(left_out) == len(with_tokens)
    assert section(page, "tokens").count('class="tokens"') == MOST_OPEN
    assert f"the first {TOKENS_OPEN} of 3,000 are shown" in section(page, "tokens")
    assert "examples that the run kept" in page


@pytest.mark.parametrize(
    ("domains", "tokens"), [(26, 320), pytest.param(64, 1024, marks=pytest.mark.full)]
)
def test_a_page_of_hostile_examples_keeps_to_its_room(tmp_path, domains, tokens):
    """Domains of 15 documents whose tokens are 250 characters that need escaping."""
    rows = rows_of(domains)
    for row in rows:
        row["domain"] += HOSTILE * 50
        row["id"] += HOSTILE * 100
    folder = write_scores(tmp_path / "out", [rows])
    kept = [example(row, HOSTILE * 18, tokens) for row in rows]
    path = write_report(keep(folder, kept), tmp_path / "r.html")
    page = path.read_text("utf-8")
    check_structure(page)
    assert path.stat().st_size < 3_000_000
    shown = "".join(re.findall(r'<div class="tokens".*?</div>', page, re.S))
    assert TOKEN_BYTES / 2 < len(shown.encode()) <= TOKEN_BYTES
    told = re.search(r"The tokens of (\d+) documents did not fit this page", page)
    assert told and int(told[1]) > 0
    assert f"{domains - 24} more domains not shown." in page


def test_a_page_shows_as_many_documents_as_it_has_room_for(tmp_path):
    rows = rows_of(24, 40)
    for row in rows:
        row["id"] += HOSTILE * 100
    folder = write_scores(tmp_path / "out", [rows])
    keep(folder, [example(row, HOSTILE * 18, 320) for row in rows if row["row"] < 24 * 4])
    path = write_report(folder, tmp_path / "r.html", examples=1_000)
    page = path.read_text("utf-8")
    assert path.stat().st_size < 3_000_000
    assert "At most 16 at either end of a domain fit this page." in page
    assert page.count("<li><div") == 24 * (2 * 16 + 1)
    assert "At most" not in write_report(folder, path, examples=16).read_text("utf-8")


def test_a_page_of_ordinary_examples_keeps_to_its_room_with_all_tokens(tmp_path):
    rows = rows_of(64)
    folder = write_scores(tmp_path / "out", [rows])
    keep(folder, [example(row, "word ", 1024) for row in rows])
    path = write_report(folder, tmp_path / "r.html")
    page = path.read_text("utf-8")
    assert path.stat().st_size < 2_500_000
    assert "did not fit" not in page
    assert page.count('class="tokens"') == 3 * 24
    shown = [int(n) for n in re.findall(r"; the first (\d+) of 3,000 are shown", page)]
    assert min(shown) > 100


def test_domains_beyond_those_kept_have_documents_without_tokens(tmp_path):
    rows = rows_of(4)
    kept = [example(row, "word ", 20) for row in rows if row["domain"] != "domain 02"]
    page = write_report(
        keep(write_scores(tmp_path / "out", [rows]), kept), tmp_path / "r.html"
    ).read_text("utf-8")
    part = re.split(r"<h3><bdi>", section(page, "documents"))[3]
    assert part.startswith("domain 02")
    assert len(re.findall('class="where"', part)) == 7
    assert "token by token" not in part
    assert section(page, "tokens").count('class="tokens"') == 3


def test_shards_show_the_documents_of_the_largest_domains(tmp_path):
    """The 64 domains of the first shard do not keep out those of the second."""
    first = [score_row("a", at, domain=f"first {at % 64}", score=0.1) for at in range(64)]
    second = [score_row("b", at, domain="second", score=0.01 * at) for at in range(20)]
    folders = []
    for name, rows in (("one", first), ("two", second)):
        folder = write_scores(tmp_path / name, [rows])
        folders.append(keep(folder, [example(row, "word ", 9) for row in rows]))
    page = write_report(folders, tmp_path / "r.html").read_text("utf-8")
    assert "AttentionInfluence scores: one and two</title>" in page
    assert "The highest score of second: 0.190" in page


def test_a_model_without_text_to_read_is_told(tmp_path):
    folder = write_scores(tmp_path / "out", [rows_of(1)])
    with pytest.raises(OutputError, match="holds no text.*score with --keep-text"):
        write_report(folder, tmp_path / "r.html", model=object())  # type: ignore[arg-type]
    assert not (tmp_path / "r.html").exists()


def test_many_folders_are_named_a_few(tmp_path):
    folders = [write_scores(tmp_path / f"s{at}", [[score_row(f"f{at}", 0)]]) for at in range(6)]
    page = write_report(folders, tmp_path / "r.html").read_text("utf-8")
    assert "scores: s0, s1, s2, s3 and 2 more</title>" in page


def test_excerpts_and_names_are_text(tmp_path):
    rows = rows_of(1, 3)
    rows[0] |= {"id": HOSTILE, "domain": rows[0]["domain"]}
    kept = [example(row, HOSTILE, 30) for row in rows]
    folder = keep(write_scores(tmp_path / "out", [rows]), kept)
    page = write_report(folder, tmp_path / "r.html").read_text("utf-8")
    words = check_structure(page).words
    assert "⟨U+202E⟩<script>&\"'␀\U0001f600" in words
    assert "<script" not in page
    assert count(3) in html.unescape(page)
