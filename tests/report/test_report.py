"""The report page: whole, escaped, without anything from outside, and true to the tables."""

from __future__ import annotations

import html as stdlib_html
import math
import re
from collections.abc import Iterable
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import attninfluence as ai
from attninfluence import report
from attninfluence._core import ModelError
from attninfluence.heads.head_scores import HeadScores
from attninfluence.output.files import OutputError
from attninfluence.output.folder import OutputFolder
from attninfluence.output.schema import score_schema
from attninfluence.output.score_runs import ScoreRuns, open_scores
from attninfluence.report.domains import MOST_DRAWN
from attninfluence.report.sample import rank_correlation
from attninfluence.views.pieces import text_pieces
from attninfluence.views.words import number, percent

FINGERPRINT = "ab" * 32
VOID = {"meta", "link", "img", "br", "hr", "input", "rect", "path"}


class Page(HTMLParser):
    """The page as tags, and its text by section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.unclosed: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.unclosed.append(tag)

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


def make_run(folder: Path, rows: list[dict[str, Any]], **changes: Any) -> Path:
    """A finished score run with these rows; absent columns are filled in."""
    keep_text = any("text" in row for row in rows)
    control = any("control_score" in row for row in rows)
    filled = [
        {
            "file": "a.jsonl",
            "row": number,
            "id": f"doc-{number}",
            "domain": "d",
            "n_tokens": 10 + number,
            "n_scored": 9 + number,
            "base_loss": 2.0,
            "ref_loss": None if row.get("score") is None else 2.0 * (1 + row["score"]),
            "score": None,
            "status": "ok" if row.get("score") is not None else "empty",
            "truncated": False,
            "repaired": False,
            "partly_counted": False,
            "control_loss": None,
            "control_score": None,
            "text": None,
            **row,
        }
        for number, row in enumerate(rows)
    ]
    schema = score_schema(control, keep_text)
    output = OutputFolder(folder, "scores")
    scoring = {"mask": "uniform", "heads": [[0, 1], [1, 0]], "control": [[0, 0], [1, 1]]}
    model = {"path": "/nowhere", "fingerprint": FINGERPRINT}
    output.start({"model": model, "scoring": scoring, **changes})
    with output.part(schema) as part:
        part.write(pa.Table.from_pylist(filled, schema=schema))
    statuses = {row["status"]: 0 for row in filled}
    for row in filled:
        statuses[row["status"]] += 1
    output.finish(
        {
            "rows": len(rows),
            "tokens": sum(row["n_tokens"] for row in filled),
            "statuses": statuses,
        }
    )
    return folder


def write(folder: Path, rows: list[dict[str, Any]], **options: Any) -> str:
    make_run(folder / "scores", rows)
    return report.write_report(folder / "scores", folder / "r.html", **options).read_text("utf-8")


def test_examples_are_no_fewer_than_none(tmp_path: Path) -> None:
    rows = [{"score": 0.1 * n} for n in range(9)]
    with pytest.raises(ValueError, match="examples must not be negative, got -1"):
        write(tmp_path, rows, examples=-1)
    assert not (tmp_path / "r.html").exists()


def test_the_rows_that_are_shown_are_looked_up_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    look_up = ScoreRuns.rows_at

    def counted(run: ScoreRuns, positions: Iterable[int]) -> dict[int, dict[str, Any]]:
        wanted = list(positions)
        asked.append(len(wanted))
        return look_up(run, wanted)

    monkeypatch.setattr(ScoreRuns, "rows_at", counted)
    rows = [{"score": 0.1 * n, "domain": f"domain {n % 5}"} for n in range(50)]
    page = write(tmp_path, rows, examples=1)
    assert page.count("Near the median</h4>") == 5
    assert asked == [3 * 5]


def section(page: str, anchor: str) -> str:
    match = re.search(
        rf'<section id="{anchor}">.*?</section>\s*(?=<section id|</main>)', page, re.S
    )
    assert match, anchor
    return match.group()


def cells(page: str, first: str) -> list[str]:
    """The cells of the table row that begins with `first`."""
    match = re.search(rf"<tr><th scope=\"row\">(?:<bdi>)?{first}(?:</bdi>)?</th>(.*?)</tr>", page)
    assert match, first
    return [
        stdlib_html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", match.group(1))
    ]


RNG = np.random.default_rng(3)
SCORES = RNG.gamma(2, 0.1, 57)
CONTROLS = RNG.normal(0, 0.02, 57)
ROWS: list[dict[str, Any]] = [
    {
        "domain": "news" if number % 3 else "code",
        "score": float(score),
        "control_score": float(control),
        "base_loss": 1.0 + number / 100,
        "ref_loss": (1.0 + number / 100) * (1 + float(score)),
        "text": f"text of {number}",
    }
    for number, (score, control) in enumerate(zip(SCORES, CONTROLS, strict=True))
]
HEADS = HeadScores(
    scores=np.array([[0.125, 0.75, 0.0], [0.5, 0.25, 0.0625]]),
    standard_error=np.zeros((2, 3)),
    selected=((0, 1), (1, 0)),
    samples=40,
    n_counted=38,
    success_rate=0.95,
    model_fingerprint=FINGERPRINT,
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("report"), ROWS, heads=HEADS, note="A note.")


def check_structure(text: str) -> Page:
    """What holds for every page: closed tags, labels, unique ids, nothing active or fetched."""
    parsed = Page(text)
    assert parsed.unclosed == []
    assert parsed.open == []
    names = [tag for tag, _ in parsed.tags]
    assert not {"script", "iframe", "object", "embed", "link", "img", "form"} & set(names)
    assert names.count("h1") == names.count("main") == 1
    for tag, attributes in parsed.tags:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        for name in ("src", "href", "action", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith("#"), (tag, value)
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-label"]
        if tag == "div" and attributes.get("role") == "region":
            assert attributes["aria-label"]
            assert attributes["tabindex"] == "0"  # it scrolls, also by keyboard
        if tag == "th":
            assert attributes["scope"] in ("row", "col", "colgroup")
    assert names.count("table") == names.count("caption")
    assert names.count("header") == names.count("nav") == names.count("footer") == 1
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [a["href"] for tag, a in parsed.tags if tag == "a"]
    assert {str(link)[1:] for link in links} <= set(ids)
    assert "url(" not in text
    assert "@import" not in text
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    return parsed


def test_the_page_needs_nothing_and_is_well_formed(page: str) -> None:
    parsed = check_structure(page)
    headings = [int(tag[1]) for tag, _ in parsed.tags if re.fullmatch(r"h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(headings, headings[1:], strict=False))
    assert dict(parsed.tags)["html"] == {"lang": "en"}


def test_a_keyboard_comes_to_the_content_first(page: str) -> None:
    tags = Page(page).tags
    first = next(attributes for tag, attributes in tags if tag in ("a", "summary"))
    assert first["href"] == "#content"
    assert dict(tags)["main"]["id"] == "content"
    assert {a.get("href") for tag, a in tags if tag == "a"} >= {
        f"#{a['id']}" for tag, a in tags if tag == "section" and "id" in a
    }
    assert ":focus-visible" in page


def test_the_page_is_made_for_paper_too(page: str) -> None:
    style = re.search(r"<style>(.*?)</style>", page, re.S)
    assert style
    paper = style.group(1)[style.group(1).index("@media print") :]
    assert "break-inside:avoid" in paper and "background:none" in paper
    assert "@media screen and (prefers-color-scheme:dark)" in style.group(1)


def test_the_style_sheet_arrives_unescaped(page: str) -> None:
    style = re.search(r"<style>(.*?)</style>", page, re.S)
    assert style
    assert "&" not in style.group(1)
    assert "prefers-color-scheme:dark" in style.group(1)
    assert style.group(1).count("{") == style.group(1).count("}")


def test_domains_have_the_numbers_of_the_table(page: str) -> None:
    for domain in ("code", "news"):
        rows = [(n, row) for n, row in enumerate(ROWS) if row["domain"] == domain]
        scores = np.sort([row["score"] for _, row in rows])[::-1]
        selected = math.ceil(len(rows) / 5)
        cut = scores[selected - 1]
        tokens = {True: 0, False: 0}
        for at, row in rows:
            tokens[row["score"] >= cut] += 10 + at
        assert cells(section(page, "domains"), domain)[:7] == [
            str(len(rows)),
            str(len(rows)),
            number(float(np.median([row["base_loss"] for _, row in rows]))),
            number(float(np.median(scores))),
            number(cut),
            str(selected),
            percent(tokens[True], sum(tokens.values())),
        ]


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Of values without ties."""
    ranks = [np.argsort(np.argsort(values)) for values in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


def test_control_and_heads_have_the_numbers_given(page: str) -> None:
    news = [row for row in ROWS if row["domain"] == "news"]
    above = sum(row["score"] > row["control_score"] for row in news)
    score, control = (np.array([row[name] for row in news]) for name in ("score", "control_score"))
    best, others = (set(np.argsort(-values)[:8].tolist()) for values in (score, control))
    assert cells(section(page, "control"), "news") == [
        number(float(np.median(score))),
        number(float(np.median(control))),
        percent(above, len(news), 0),
        percent(len(best & others), 8, 0),
        number(spearman(score, control), 2),
    ]
    medians = [number(float(np.median(values))) for values in (SCORES, CONTROLS)]
    assert f"the median score is {medians[0]} with the retrieval heads and {medians[1]}" in page
    heads = section(page, "heads")
    assert "layer 0, head 1 (selected): 0.750" in heads
    assert cells(heads, "layer 1, head 0") == ["0.500"]
    assert "A note." in heads
    assert "40 samples" in heads
    assert "95.0 %" in heads


def test_best_and_worst_documents_are_those_of_the_table(page: str) -> None:
    shown = section(page, "documents")
    code = shown[: shown.index("<bdi>news</bdi>")]
    names = re.findall(r'<span class="where"><bdi>doc-(\d+)</bdi>', code)
    order = sorted((n for n in range(57) if n % 3 == 0), key=lambda n: -ROWS[n]["score"])
    center = float(np.median([ROWS[n]["score"] for n in order]))
    middle = min(order[3:-3], key=lambda n: abs(ROWS[n]["score"] - center))
    assert [int(name) for name in names] == [*order[:3], middle, *order[-1:-4:-1]]
    assert f"text of {order[0]}<" in code
    best = [number(ROWS[order[0]][name]) for name in ("score", "base_loss", "ref_loss")]
    assert f'<span class="score">{best[0]}</span>\n<span>{best[1]} → {best[2]} nats</span>' in code


def test_sections_that_have_no_data_are_left_out(tmp_path: Path) -> None:
    rows = [{"score": 0.1 * n} for n in range(4)]
    text = write(tmp_path, rows)
    parsed = check_structure(text)
    assert 'id="control"' not in text
    assert "did not keep the text" in parsed.words
    assert "--keep-text" in parsed.words


HOSTILE = "<script>alert(1)</script> \u202eabc\x00\x1b[31m \U0001f600 &amp; {{ 7*7 }} "


def test_hostile_names_and_texts_show_as_text(tmp_path: Path) -> None:
    rows = [
        {"id": HOSTILE, "domain": HOSTILE, "score": 0.5, "text": HOSTILE + "A" * 100_000},
        {"id": None, "file": "<b>.jsonl", "domain": None, "score": 0.1, "text": "\u0627\u0644"},
        {"domain": HOSTILE, "score": 0.2, "text": ""},
    ]
    text = write(tmp_path, rows, title=HOSTILE, note=HOSTILE)
    parsed = check_structure(text)
    assert "<script" not in text
    assert "⟨U+202E⟩abc␀␛[31m" in parsed.words
    assert "{{ 7*7 }}" in parsed.words
    assert "(no domain)" in parsed.words
    assert "<b>.jsonl, row 1" in parsed.words
    assert len(text) < 60_000
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", text)


def test_a_domain_without_scores_is_counted_and_not_drawn(tmp_path: Path) -> None:
    rows = [{"score": 0.3}, {"score": 0.2}, {"domain": "bare"}, {"domain": "bare"}]
    text = write(tmp_path, rows)
    check_structure(text)
    assert cells(text, "bare") == ["2", "0", "–", "–", "–", "0", "–", "–"]
    assert section(text, "domains").count("<svg") == 1
    assert "4 documents in 2 domains: 2 scored and 2 without a score." in Page(text).words
    assert cells(section(text, "run"), "empty")[0] == "2"


@pytest.mark.parametrize("rows", [[], [{}, {"domain": None, "status": "non_finite"}]])
def test_a_run_without_any_score_still_has_a_page(tmp_path: Path, rows: list[Any]) -> None:
    text = write(tmp_path, rows, heads=HEADS)
    check_structure(text)
    assert "No document has a score" in text
    assert 'id="documents"' not in text


def test_a_run_of_one_document(tmp_path: Path) -> None:
    text = write(tmp_path, [{"score": 0.25, "text": "alone", "control_score": 0.1}])
    parsed = check_structure(text)
    assert "1 document in 1 domain, all of them scored." in parsed.words
    assert cells(section(text, "domains"), "d")[:6] == ["1", "1", "2.000", "0.250", "0.250", "1"]
    assert text.count("doc-0") == 1


def test_many_domains_are_listed_and_the_largest_drawn(tmp_path: Path) -> None:
    rows = [{"domain": f"d{n:02d}", "score": 0.1} for n in range(30)] + [
        {"domain": "d29", "score": 0.2}
    ]
    text = write(tmp_path, rows)
    check_structure(text)
    assert section(text, "domains").count("<svg") == MOST_DRAWN
    assert "<h3><bdi>d29</bdi></h3>" in text
    assert "6 more domains not drawn." in text


def test_the_fraction_moves_the_cut(tmp_path: Path) -> None:
    make_run(tmp_path / "scores", [{"score": n / 10} for n in range(10)])
    for fraction, cut, selected in (
        ("0.5", "0.500", "5"),
        ("1/10", "0.900", "1"),
        (1.0, "0.000", "10"),
    ):
        text = report.write_report(
            tmp_path / "scores", tmp_path / "r.html", fraction=fraction
        ).read_text("utf-8")
        assert cells(section(text, "domains"), "d")[4:6] == [cut, selected]


def test_the_same_run_gives_the_same_page_and_replaces_the_old_one(tmp_path: Path) -> None:
    make_run(tmp_path / "scores", ROWS)
    first = report.write_report(tmp_path / "scores", tmp_path / "r.html").read_bytes()
    assert report.write_report(tmp_path / "scores", tmp_path / "r.html").read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.html", "scores"]


def test_heads_of_another_model_are_refused(tmp_path: Path) -> None:
    unknown = np.zeros((2, 2))
    other = HeadScores(unknown, unknown, ((0, 1),), 1, 1, 1.0, "cd" * 32)
    with pytest.raises(ModelError, match="heads of another model: .* cdcdcd.* ababab"):
        write(tmp_path, [{"score": 0.5}], heads=other)
    assert not (tmp_path / "r.html").exists()


def test_stored_heads_are_drawn_only_when_they_are_the_runs(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    HEADS.save(folder / "heads.json")
    model = {"path": str(folder), "fingerprint": FINGERPRINT}
    for name, given, drawn in (
        ("same", model, True),
        ("other", {**model, "fingerprint": "cd" * 32}, False),
    ):
        make_run(tmp_path / name, [{"score": 0.1}], model=given)
        text = report.write_report(tmp_path / name, tmp_path / "r.html").read_text("utf-8")
        assert ("<svg" in section(text, "heads")) == drawn


def test_a_model_folder_that_cannot_be_entered_is_none(tmp_path: Path) -> None:
    """As for a colleague's run: no name is as long, which the system refuses alike for all."""
    model = {"path": "/home/" + "m" * 300, "fingerprint": FINGERPRINT}
    make_run(tmp_path / "scores", [{"score": 0.1}], model=model)
    page = report.write_report(tmp_path / "scores", tmp_path / "r.html").read_text("utf-8")
    assert "<svg" not in section(page, "heads")


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "scores", [{"score": 0.1}])
    (tmp_path / "scores" / "_SUCCESS").unlink()
    with pytest.raises(OutputError, match="did not finish"):
        report.write_report(tmp_path / "scores", tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "scores", [{"score": 0.1}])
    (folder / "part-00000.parquet").write_bytes(b"a page, perhaps")
    with pytest.raises(OutputError, match=r"part-00000\.parquet: not a readable Parquet file"):
        report.write_report(folder, tmp_path / "r.html")


@pytest.mark.parametrize("name", ["", "page", "scores/part-00000.parquet"])
def test_a_page_is_html_by_name(tmp_path: Path, name: str) -> None:
    """Otherwise a slip of the pen replaces the scores with their report."""
    folder = make_run(tmp_path / "scores", [{"score": 0.1}])
    with pytest.raises(ValueError, match=r"expected a name that ends in \.html"):
        report.write_report(folder, tmp_path / name if name else "")


def test_where_no_page_can_be_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere/r.html"):
        report.write_report(tmp_path / "no scores", tmp_path / "nowhere" / "r.html")
    (tmp_path / "r.html").mkdir()
    with pytest.raises(IsADirectoryError, match="r.html"):
        report.write_report(tmp_path / "no scores", tmp_path / "r.html")


def test_rank_correlation_is_spearmans() -> None:
    assert rank_correlation([1, 2, 3, 9], [2, 4, 5, 6]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3, 4], [9, 7, 5, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 2, 4], [1, 3, 2, 4]) == pytest.approx(0.9486833)
    assert math.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))
    assert math.isnan(rank_correlation([1, 2], [1, 2]))


# --------------------------------------------------------------------------------------- tokens


def test_a_text_is_cut_at_its_tokens_and_nothing_of_it_is_lost() -> None:
    text = "a \U0001f600 b"
    offsets = [(0, 0), (0, 1), (2, 3), (2, 3), (2, 3), (4, 5)]
    base = [math.nan, 1.0, 0.5, 0.25, 0.25, 3.0]
    ref = [math.nan, 2.0, 1.0, 1.0, 1.0, 3.0]
    pieces, base_sums, ref_sums = text_pieces(text, offsets, base, ref)
    assert "".join(pieces) == text
    assert pieces == ["a", " \U0001f600", " b"]
    assert base_sums.tolist() == [1.0, 1.0, 3.0]
    assert ref_sums.tolist() == [2.0, 3.0, 3.0]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> tuple[Path, Any]:
    """A run of the tiny model over a few texts, one of them hostile, and the model."""
    import json

    from attninfluence.model.opening import load
    from attninfluence.run.session import score_files
    from attninfluence.run.source import Source

    folder = tmp_path_factory.mktemp("scored")
    texts = [
        "one two three two three",
        HOSTILE,
        "",
        "caf\u00e9 \U0001f600 \u4e2d\u6587",
        "x" * 3000,
    ]
    lines = [
        json.dumps({"id": str(n), "domain": "ab"[n % 2], "text": t}) for n, t in enumerate(texts)
    ]
    (folder / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    model = load(tiny_folder, threads=1)
    source = Source([str(folder / "in.jsonl")])
    score_files(source, folder / "out", model=model, heads=[(1, 0)], control=1, keep_text=True)
    return folder / "out", model


def test_tokens_shown_have_the_losses_of_the_table(
    scored: tuple[Path, Any], tmp_path: Path
) -> None:
    from attninfluence.report.documents import choose_documents
    from attninfluence.report.statistics import read_statistics

    out, model = scored
    run = open_scores(out)
    found = read_statistics(run, [Fraction(1)], Fraction(1), 3)
    documents = choose_documents(run, found.domains, found.description, model)
    shown = [one for one in documents.shown if one.tokens is not None]
    assert {one.chosen.standing for one in shown} == {"highest", "lowest"}
    for one in shown:
        row, view = one.chosen.row, one.tokens.view
        whole = one.is_open or row["n_tokens"] <= 300
        assert "".join(view.pieces) == row["text"] or not whole
        assert row["text"].startswith("".join(view.pieces))
        for losses, mean in ((view.base, row["base_loss"]), (view.ref, row["ref_loss"])):
            if whole:
                assert np.nansum(losses) / row["n_scored"] == pytest.approx(mean, rel=1e-6)
    text = report.write_report(out, tmp_path / "r.html", model=model).read_text("utf-8")
    check_structure(text)
    assert text.count('class="tokens"') == len(shown)


def test_another_model_than_the_runs_is_refused(
    scored: tuple[Path, Any], llama_folder: Any, tmp_path: Path
) -> None:
    from attninfluence.model.opening import load

    other = load(llama_folder(seed=99), threads=1)
    with pytest.raises(ModelError, match="was scored with another model"):
        report.write_report(scored[0], tmp_path / "r.html", model=other)


def test_another_precision_than_the_runs_is_refused(
    scored: tuple[Path, Any], tmp_path: Path
) -> None:
    """Losses of tokens would not add up to those of the table."""
    from attninfluence.model.opening import load

    out, model = scored
    other = load(model.path, precision="int8", threads=1)
    sentence = f"was scored in {model.precision}, and the model computes in int8: open it with prec"
    with pytest.raises(ModelError, match=sentence):
        report.write_report(out, tmp_path / "r.html", model=other)


def test_another_kernel_than_the_runs_is_told(scored: tuple[Path, Any], tmp_path: Path) -> None:
    from attninfluence.model.opening import load

    out, model = scored
    slow = "portable"
    assert slow != model.kernel
    sentence = f"Read again with the kernel {slow}."
    other = load(model.path, precision=model.precision, kernel=slow, threads=1)
    page = report.write_report(out, tmp_path / "r.html", model=other).read_text("utf-8")
    assert page.count(sentence) == section(page, "tokens").count('class="tokens"') > 0
    page = report.write_report(out, tmp_path / "r.html", model=model).read_text("utf-8")
    assert "Read again" not in page
    facts = section(page, "run")
    assert model.precision in facts and model.kernel in facts


def test_examples_that_the_run_kept_show_text_and_tokens(tmp_path, tiny_folder):
    """Without --keep-text and without a model."""
    from attninfluence.run.session import score_files
    from attninfluence.run.source import Source
    from tests.corpus.test_corpus import write_rows

    rows = [{"domain": "ab"[i % 2], "text": f"text {i} " + "of the thing " * i} for i in range(40)]
    path = write_rows(tmp_path / "a.parquet", [*rows, {"domain": "a", "text": "word " * 3000}])
    opened = ai.load(tiny_folder, threads=1)
    score_files(Source([str(path)]), tmp_path / "out", model=opened, heads=[(1, 1)])
    page = report.write_report(tmp_path / "out", tmp_path / "page.html").read_text("utf-8")
    scores = ai.score([row["text"] for row in rows], model=opened, heads=[(1, 1)]).score
    best = max(range(1, 40, 2), key=lambda index: scores[index])
    assert f"The highest score of b: {number(float(scores[best]))}" in page
    assert "Where in the text" in page
    assert "did not keep the text" not in page
    assert rows[best]["text"][:30] in page
    (tmp_path / "out" / "_examples.parquet").unlink()
    without = report.write_report(tmp_path / "out", tmp_path / "page.html").read_text("utf-8")
    assert "Tokens are not shown: the run kept no examples of documents." in without
