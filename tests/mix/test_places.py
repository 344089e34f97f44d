"""Where a mix reads its input files: where the user pointed, whatever the selection says."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attninfluence.mix.places import Places
from attninfluence.mix.write import mix
from attninfluence.output.files import OutputError
from attninfluence.select.rule import Rule
from attninfluence.select.selector import select
from tests.kit.score_tables import score_row, write_scores


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home" / "work").mkdir(parents=True)
    (tmp_path / "far").mkdir()
    monkeypatch.chdir(tmp_path / "home")


def select_from(tmp_path: Path, name: str, folder: Path) -> Path:
    """A selection in home/work of scores of a file of two rows."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text('{"text": "a"}\n{"text": "b"}\n')
    rows = [score_row(name, row, score=float(row)) for row in range(2)]
    write_scores(tmp_path / "scores", [rows], folder)
    select(tmp_path / "scores", "work/sel", Rule(Fraction(1, 2)))
    return Path("work/sel")


def test_a_corpus_beside_the_selection_or_below_the_current_folder_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    selection = select_from(tmp_path, "corpus/a.jsonl", tmp_path / "home")
    mix(selection, "work/mix")
    monkeypatch.chdir(tmp_path / "far")
    with pytest.raises(OutputError, match=f"say --root {tmp_path}/home$"):
        mix(tmp_path / "home" / selection, "mix")
    mix(tmp_path / "home" / selection, tmp_path / "home" / "mix")


@pytest.mark.parametrize("kind", ["relative", "absolute", "file URL"])
def test_a_corpus_elsewhere_is_read_where_a_root_says_so(tmp_path: Path, kind: str) -> None:
    far = tmp_path / "far"
    name = {"relative": "c/a.jsonl", "absolute": f"{far}/c/a.jsonl"}.get(kind)
    selection = select_from(tmp_path, name or f"{far}/c/a.jsonl", far)
    if kind == "file URL":
        rename(selection, f"{far}/c/a.jsonl", f"file://{far}/c/a.jsonl")
    root = far if kind == "relative" else far / "c"
    told = f"{far}/c/a.jsonl: the selection reads its input there, .* say --root {root}$"
    for recipe_only in (False, True):
        with pytest.raises(OutputError, match=told):
            mix(selection, "work/mix", recipe_only=recipe_only)
        assert not Path("work/mix").exists()
    if kind != "file URL":
        mix(selection, "work/mix", root=root)
        assert json.loads(Path("work/mix/summary.json").read_text())["all"]["documents"] == 3


def rename(selection: Path, old: str, new: str) -> None:
    text = (selection / "run.json").read_text()
    (selection / "run.json").write_text(text.replace(json.dumps(old), json.dumps(new)))


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("../far/a.jsonl", "HOME"),
        ("corpus/../../far/a.jsonl", "HOME"),
        ("a.jsonl", "FAR"),
        ("FAR/a.jsonl", "HOME"),
        ("HOME/../far/a.jsonl", "HOME"),
        ("file://FAR/a.jsonl", "HOME"),
        ("zip://a.jsonl::FAR/c.zip", "HOME"),
        ("zip://a.jsonl::../far/c.zip", "HOME"),
        ("simplecache::s3://b/a.jsonl", "HOME"),
        ("file://FAR/a.jsonl::HOME/c.zip", "HOME"),
        ("local://FAR/a.jsonl::c.zip", "HOME"),
        ("https://host/a.jsonl::c.zip", "HOME"),
        ("reference://a.jsonl::refs.json", "HOME"),
        ("zip://a.jsonl::reference::file://HOME/refs.json", "HOME"),
        ("zip://a.jsonl::https://host/c.zip::d.zip", "HOME"),
        ("https://host/a.jsonl", "HOME"),
        ("HOMEless/a.jsonl", "HOME"),
    ],
)
def test_what_leads_out_is_refused(tmp_path: Path, name: str, folder: str) -> None:
    def put(text: str) -> str:
        return text.replace("HOME", f"{tmp_path}/home").replace("FAR", f"{tmp_path}/far")

    with pytest.raises(OutputError, match="reads its input there, outside .* say --root "):
        Places(["work/sel", "work/mix"], None).of(put(name), put(folder))


def test_roots_may_be_several_and_begin_urls(tmp_path: Path) -> None:
    places = Places(["sel"], ["s3://bucket/c", tmp_path / "far", "hf://"])
    assert places.of("a.jsonl", "/old") == f"{tmp_path}/far/a.jsonl"
    for url in ("s3://bucket/c/a.jsonl", "hf://datasets/x/a.jsonl", "zip://a::s3://bucket/c/b.zip"):
        assert places.of(url, "/old") == url
    for url in ("s3://bucket/cc/a.jsonl", "s3://bucket/c/../d/a.jsonl", "gs://bucket/c/a.jsonl"):
        with pytest.raises(OutputError, match=f"say --root {url.rpartition('/')[0]}$"):
            places.of(url, "/old")
    with pytest.raises(OutputError, match=r"\.\./a.jsonl: the selection"):
        places.of("../a.jsonl", "/old")


def test_what_is_refused_names_roots_that_read_it(tmp_path: Path) -> None:
    for name in ("memory://a.jsonl", "reference://a.jsonl::/far/refs.json"):
        with pytest.raises(OutputError) as refused:
            Places(["sel"], None).of(name, "/old")
        roots = str(refused.value).partition("say --root ")[2].split(" --root ")
        assert Places(["sel"], roots).of(name, "/old") == name


def test_a_file_behind_a_cache_is_read_as_it_was_scored(tmp_path: Path) -> None:
    url = f"simplecache::file://{Path('corpus/a.jsonl').resolve()}"
    selection = select_from(tmp_path, "corpus/a.jsonl", tmp_path / "home")
    rename(selection, "corpus/a.jsonl", url)
    part = selection / "part-00000.parquet"
    table = pq.read_table(part)
    pq.write_table(table.set_column(0, table.schema.field(0), pa.array([url])), part)
    mix(selection, "work/mix")
    assert Path("work/mix/selected/00000-a.jsonl").read_text() == '{"text": "b"}\n'


def test_a_root_for_one_name_takes_no_other_from_its_place(tmp_path: Path) -> None:
    home, far = tmp_path / "home", tmp_path / "far"
    (home / "a.jsonl").touch()
    (far / "b.jsonl").touch()
    places = Places(["sel"], far)
    assert places.of(f"{far}/c.jsonl", str(home)) == f"{far}/c.jsonl"
    assert places.of("a.jsonl", str(home)) == f"{home}/a.jsonl"
    assert places.of("b.jsonl", str(home)) == f"{far}/b.jsonl"
    assert places.of("nowhere.jsonl", str(home)) == f"{far}/nowhere.jsonl"
    (far / "a.jsonl").touch()
    assert places.of("a.jsonl", str(home)) == f"{far}/a.jsonl"
    with pytest.raises(OutputError, match=f"say --root {far}$"):
        Places(["sel"], home / "work").of("b.jsonl", str(far))


def test_the_root_of_all_is_read_where_it_is_named(tmp_path: Path) -> None:
    assert Places(["sel"], "/").of("/x/a.jsonl", "/") == "/x/a.jsonl"
    with pytest.raises(OutputError, match="say --root /x"):
        Places(["/sel"], None).of("/x/a.jsonl", "/")


def test_a_fifo_in_place_of_a_corpus_file_is_not_waited_for(tmp_path: Path) -> None:
    selection = select_from(tmp_path, "corpus/a.jsonl", tmp_path / "home")
    Path("corpus/a.jsonl").unlink()
    os.mkfifo("corpus/a.jsonl")
    text = (selection / "run.json").read_text().replace('"bytes": 28', '"bytes": 0')
    (selection / "run.json").write_text(text)
    with pytest.raises(ValueError, match="a regular file, found a FIFO"):
        mix(selection, "work/mix")
