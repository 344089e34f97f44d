"""The demo: its texts, its folder, and the whole story on a tiny model."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from attninfluence import ModelError
from attninfluence.cli import build_parser
from attninfluence.demo import steps as demo
from attninfluence.demo import texts as demo_texts
from attninfluence.demo.texts import LONGEST, SHORTEST, Text
from attninfluence.heads.head_scores import HeadScores
from attninfluence.model.model import Model
from attninfluence.model.opening import load
from attninfluence.output.files import OutputError
from attninfluence.output.finished import open_finished

# ----------------------------------------------------------------------------------------- texts


def test_the_packaged_texts_are_many_and_of_fitting_length() -> None:
    texts = demo_texts.packaged_texts()
    sizes = Counter(text.domain for text in texts)
    assert len(texts) >= 60
    assert sizes["mathematics"] >= 20
    assert {"dialogue", "lists", "boilerplate"} <= set(sizes)
    assert min(sizes.values()) >= 5
    assert len({text.id for text in texts}) == len({text.text for text in texts}) == len(texts)
    for text in texts:
        assert SHORTEST <= len(text.text) <= LONGEST, text.id


def test_code_is_cut_at_top_level_definitions() -> None:
    texts = list(demo_texts.code_texts())
    assert len(texts) > 300
    by_id = {text.id: text.text for text in texts}
    assert by_id["bisect.py:insort_right"].startswith("def insort_right(")
    for text in texts:
        assert text.text.startswith(("def ", "class ", "async def ", "@")), text.id
        compile(text.text, text.id, "exec", dont_inherit=True)
    assert any(text.text.startswith("@") for text in texts)


def test_documentation_is_cut_at_paragraphs() -> None:
    texts = list(demo_texts.documentation_texts())
    assert len(texts) > 100
    assert texts == list(demo_texts.documentation_texts())
    assert all(SHORTEST <= len(text.text) <= LONGEST for text in texts)


def test_pieces_lose_no_paragraph() -> None:
    topic = "\n\n".join(f"paragraph {n} " + "x" * (n * 37 % 900) for n in range(40))
    pieces = list(demo_texts._pieces(topic))
    assert "\n\n".join(pieces) == topic
    assert max(map(len, pieces)) <= LONGEST


def test_spread_takes_from_all_of_the_range() -> None:
    texts = [Text(str(n), "d", "") for n in range(10)]
    assert [text.id for text in demo_texts.spread(texts, 4)] == ["0", "2", "5", "7"]
    assert demo_texts.spread(texts, 99) == texts
    assert demo_texts.spread([], 3) == []


def test_texts_are_the_same_every_time_and_at_most_the_limit() -> None:
    texts = demo_texts.collect_texts(5)
    assert texts == demo_texts.collect_texts(5)
    assert set(Counter(text.domain for text in texts).values()) == {5}
    with pytest.raises(ValueError, match="at least one document of each domain"):
        demo_texts.collect_texts(0)


def test_an_installation_without_source_lacks_that_domain(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(demo_texts.sysconfig, "get_path", lambda name: str(tmp_path))
    (tmp_path / "broken.py").write_bytes(b"def f(:\n\xff")
    assert list(demo_texts.code_texts()) == []
    assert len({text.domain for text in demo_texts.collect_texts(2)}) >= 8


# ---------------------------------------------------------------------------------------- folder


def test_only_a_demos_own_folder_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    demo.prepare_folder(folder)
    (folder / "scores").mkdir()
    (folder / "scores" / "part").write_text("old")
    demo.prepare_folder(folder)
    assert [path.name for path in folder.iterdir()] == ["demo.json"]


@pytest.mark.parametrize("names", [["scores"], ["demo.json", "thesis.txt"]])
def test_a_folder_with_anything_else_is_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=rf"holds '{names[-1]}', which no demo made"):
        demo.prepare_folder(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="is a file"):
        demo.prepare_folder(tmp_path / "out")


# ------------------------------------------------------------------------------------- the story


class Told:
    """What one run of the demo returned, printed and wrote."""

    def __init__(self, folder: Path, model: Model, **sizes: Any) -> None:
        self.folder = folder
        output = io.StringIO()
        console = Console(file=output, width=80, highlight=False, markup=False)
        self.summary = demo.run_demo(folder, model=model, console=console, progress=False, **sizes)
        self.printed = output.getvalue()


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return load(tiny_folder, threads=1)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Told]:
    """The demo on a random model, which answers no sample, so that all samples have to count."""
    from attninfluence.retrieval import find as find_module

    find = find_module.find_retrieval_heads

    def find_anyway(*args: Any, **options: Any) -> HeadScores:
        return find(*args, **{**options, "require_success": False, "max_length": 700})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(find_module, "find_retrieval_heads", find_anyway)
        yield Told(tmp_path_factory.mktemp("demo") / "out", model, documents=4, samples=2)


def test_the_demo_writes_what_the_commands_write(told: Told) -> None:
    names = {path.name for path in told.folder.iterdir()}
    assert names == {*demo.MADE, demo.MARK}
    scores = open_finished(told.folder / "scores", "scores")
    assert scores.totals["rows"] == told.summary["documents"] == 40
    assert {"text", "control_score"} <= set(scores.schema().names)
    selected = open_finished(told.folder / "selected", "selection")
    assert selected.totals["rows"] == told.summary["selected"] == 10
    heads = HeadScores.load(told.folder / "heads.json")
    assert [list(pair) for pair in heads.selected] == told.summary["heads"]
    for name in ("heads", "precision", "kernel"):
        assert scores.run["scoring"][name] == told.summary[name]
    texts = (told.folder / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in texts] == [
        text.id for text in demo_texts.collect_texts(4)
    ]


def test_the_story_fits_eighty_columns_and_names_every_domain(told: Told) -> None:
    lines = told.printed.splitlines()
    assert all(len(line) <= 80 for line in lines if line != told.summary["report"])
    for domain in {text.domain for text in demo_texts.collect_texts(1)}:
        assert domain in lines
    assert "no heads.json to compare with" in " ".join(told.printed.split())


def test_the_printed_losses_are_those_of_the_table(told: Told) -> None:
    import pyarrow as pa

    from attninfluence.views.words import number

    scores = open_finished(told.folder / "scores", "scores")
    table = pa.concat_tables(scores.tables()).to_pylist()
    stories = sorted(
        (row for row in table if row["domain"] == "stories"), key=lambda r: -r["score"]
    )
    lines = told.printed.splitlines()
    start = lines.index("stories") + 1
    shown = [line.split()[:3] for line in lines[start : start + 5] if "..." not in line]
    assert shown == [
        [number(row[name]) for name in ("score", "base_loss", "ref_loss")] for row in stories
    ]


def test_the_report_shows_heads_tokens_and_control(told: Told) -> None:
    page = (told.folder / "report.html").read_text(encoding="utf-8")
    for anchor in ("heads", "domains", "control", "tokens", "documents", "run"):
        assert f'<section id="{anchor}">' in page
    open_tokens = page[page.index('<section id="tokens">') : page.index('<section id="documents">')]
    assert open_tokens.count('class="tokens"') == 4
    assert "<script" not in page


def test_the_bundled_model_tells_the_story(tmp_path: Path) -> None:
    told = Told(tmp_path / "out", load(threads=1), documents=2, samples=4)
    assert told.summary["statuses"] == {"ok": 20}
    assert "heads.json that came with the model" in " ".join(told.printed.split())


def test_stored_heads_are_compared() -> None:
    import numpy as np

    def heads(*selected: tuple[int, int]) -> HeadScores:
        return HeadScores(np.zeros((2, 4)), np.zeros((2, 4)), selected, 800, 700, 0.875, "f")

    class Stored:
        def __init__(self, heads: HeadScores | None) -> None:
            self.heads = heads

    def compare(found: HeadScores, stored: HeadScores | None) -> str:
        return demo.compare_with_stored(found, Stored(stored))  # type: ignore[arg-type]

    assert compare(heads((0, 1), (1, 2)), heads((1, 2), (0, 1))).startswith("They are the same")
    assert compare(heads((0, 1), (1, 2)), heads((1, 2), (0, 0), (0, 3))) == (
        "1 of the 2 are among the 3 in the heads.json that came with the model (800 samples)."
    )
    assert "no heads.json" in compare(heads((0, 1)), None)


def test_hostile_texts_do_not_drive_the_terminal(tmp_path: Path) -> None:
    from tests.report.test_report import HOSTILE, make_run

    rows = [
        {"domain": "[bold]x\x1b[2J", "score": 0.5, "text": HOSTILE + "[red]A[/red]" * 10_000},
        {"domain": "[bold]x\x1b[2J", "score": 0.1, "text": None},
    ]
    make_run(tmp_path / "scores", rows)
    output = io.StringIO()
    console = Console(file=output, width=80, highlight=False, markup=False)
    console.print(demo.extremes_table(tmp_path / "scores", 2))
    assert "\x1b" not in output.getvalue()
    assert "\u202e" not in output.getvalue()
    assert "[bold]x␛[2J" in output.getvalue()
    assert max(map(len, output.getvalue().splitlines())) <= 80


def test_texts_are_not_written_through_a_hard_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "texts.jsonl").hardlink_to(tmp_path / "victim")
    demo_texts.write_texts([Text("a", "b", "c")], tmp_path / "texts.jsonl")
    assert (tmp_path / "victim").read_text() == "precious"
    assert json.loads((tmp_path / "texts.jsonl").read_text())["text"] == "c"


def test_heads_that_the_model_comes_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from attninfluence.retrieval import find as find_module

    monkeypatch.setattr(find_module, "find_retrieval_heads", None)
    bundled = load(threads=1)
    told = Told(tmp_path / "out", bundled, documents=2, samples=None)
    stored = bundled.heads
    assert stored is not None
    assert told.summary["heads"] == [list(head) for head in stored.selected]
    assert "They came with the model." in " ".join(told.printed.split())
    written = HeadScores.load(tmp_path / "out" / "heads.json")
    assert written.samples == stored.samples
    with pytest.raises(SystemExit):
        build_parser().parse(["demo", "--stored-heads", "--samples", "3"])


def test_a_model_that_comes_with_no_heads_is_told(model: Model, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no heads\.json"):
        demo.run_demo(tmp_path / "out", model=model, samples=None, documents=1)
