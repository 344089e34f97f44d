"""What a run over a corpus must not mistake: its inputs, its files, its folder."""

from __future__ import annotations

import errno
import os
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import attninfluence as ai
from attninfluence.corpus import CorpusError
from attninfluence.output.files import OutputError
from attninfluence.output.folder import OutputFolder
from attninfluence.run import dry_run
from attninfluence.run import reader as reader_module
from attninfluence.run.examples import Example, Reservoir
from attninfluence.run.shards import Shard
from attninfluence.run.source import Source
from attninfluence.run.state import RunState
from tests.corpus.test_corpus import write_rows
from tests.run.test_resume import interrupted, make_corpus, run, table
from tests.run.test_score_files import stand_in


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attninfluence.scoring.batches.score_batches", stand_in)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus")


def test_the_order_of_the_inputs_is_part_of_a_run(tmp_path, corpus):
    names = [str(corpus / name) for name in ("a.jsonl", "b.parquet", "c.jsonl.gz")]
    out = tmp_path / "out"
    interrupted(corpus, out, source=Source(names))
    with pytest.raises(OutputError, match=r"in another order: \S*a.jsonl came where \S*c.jsonl.gz"):
        run(corpus, out, source=Source(names[::-1]))
    run(corpus, out, source=Source(names))


@pytest.mark.parametrize("row", [0, 150])
def test_a_file_that_is_replaced_after_it_was_digested_is_noticed(tmp_path, monkeypatch, row):
    path = write_rows(tmp_path / "a.jsonl", [{"text": f"old {i}"} for i in range(600)])
    real = reader_module.iter_rows

    def replacing(*arguments: Any, **options: Any) -> Any:
        for batch in real(*arguments, **options):
            if batch.first_row <= row < batch.first_row + len(batch):
                path.write_bytes(path.read_bytes().replace(b"old", b"new"))
                os.utime(path, ns=(0, 0))
            yield batch

    monkeypatch.setattr(reader_module, "iter_rows", replacing)
    with pytest.raises(CorpusError, match="has changed since rows of it were scored"):
        run(path, tmp_path / "out")


def test_a_checkpoint_holds_more_domains_than_metadata_could(tmp_path, monkeypatch):
    real = RunState.to_json
    monkeypatch.setattr(RunState, "to_json", lambda self: {**real(self), "pad": "x" * 120_000_000})
    path = write_rows(tmp_path / "a.jsonl", [{"text": f"text {i}"} for i in range(10)])
    interrupted(path, tmp_path / "out", after=1)
    assert run(path, tmp_path / "out")["rows"] == 10


def test_examples_do_not_keep_what_they_are_cut_from(tmp_path, corpus, monkeypatch):
    kept: list[Example] = []
    monkeypatch.setattr(Reservoir, "put", lambda self, example: kept.append(example))
    run(corpus, tmp_path / "out")
    assert kept
    for example in kept:
        for array in (example.token_ids, example.offsets, example.losses):
            assert array.base is None


def test_files_that_the_system_refuses_are_skipped_like_damaged_ones(tmp_path, corpus, monkeypatch):
    real = reader_module.survey_file

    def survey(name: str, *arguments: Any) -> Any:
        if name.endswith("b.parquet"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(name, *arguments)

    monkeypatch.setattr(reader_module, "survey_file", survey)
    (corpus / "d.jsonl").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError, match=r"d\.jsonl"):
        run(corpus, tmp_path / "out")
    totals = run(corpus, tmp_path / "out", source=Source([str(corpus)], on_bad_shard="skip"))
    found = [(Path(bad["file"]).name, bad["error"]) for bad in totals["bad_files"]]
    assert found == [
        ("b.parquet", "Input/output error"),
        ("d.jsonl", "No such file or directory"),
    ]
    assert totals["rows"] == 20


def test_a_refused_run_leaves_the_files_of_another_alone(tmp_path, corpus):
    out = tmp_path / "out"
    interrupted(corpus, out)
    (out / ".run.json.0123.tmp").write_text("of a living process")
    with pytest.raises(OutputError, match="was given something else"):
        run(corpus, out, keep_text=True)
    assert (out / ".run.json.0123.tmp").exists()


def test_hidden_files_of_others_stay_in_a_folder_that_a_run_takes(tmp_path, corpus):
    out = tmp_path / "out"
    (out / ".editor.tmp").mkdir(parents=True)
    (out / ".notes.tmp").write_text("of somebody else")
    (out / ".run.json.0123.tmp").write_text("of a dead run")
    run(corpus, out)
    assert (out / ".editor.tmp").is_dir() and (out / ".notes.tmp").exists()
    assert not (out / ".run.json.0123.tmp").exists()


def test_archives_that_cannot_be_read_are_left_out(tmp_path, tiny_folder, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", '{"text": "sound, and then not"}\n')
    data = bytearray((tmp_path / "a.zip").read_bytes())
    (tmp_path / "cut.zip").write_bytes(data[:-20])
    data[50] ^= 255
    (tmp_path / "a.zip").write_bytes(data)
    path = write_rows(tmp_path / "b.jsonl", [{"text": "sound"}] * 3)
    bad = [f"zip://a.jsonl::{tmp_path}/a.zip", f"zip://*.jsonl::{tmp_path}/cut.zip"]
    source = Source([*bad, str(path)], on_bad_shard="skip")
    totals = run(path, tmp_path / "out", source=source)
    assert [entry["file"] for entry in totals["bad_files"]] == bad
    assert totals["rows"] == 3
    monkeypatch.undo()  # the real scorer
    monkeypatch.setattr(dry_run, "SAMPLE_SECONDS", 0.1)
    model = ai.load(tiny_folder, threads=1)
    expected = dry_run.dry_run(source, model=model, heads=[(1, 1)])
    assert expected["bad_files"] == totals["bad_files"]


def test_a_file_on_a_border_is_looked_at_once(tmp_path, monkeypatch):
    looked: list[str] = []
    real = reader_module.survey_file

    def survey(name: str, *arguments: Any) -> Any:
        looked.append(name)
        return real(name, *arguments)

    monkeypatch.setattr(reader_module, "survey_file", survey)
    path = write_rows(tmp_path / "a.jsonl", [{"text": f"text {i}"} for i in range(30)])
    source = Source([str(path)], shard=Shard(1, 3))
    assert run(path, tmp_path / "out", source=source)["rows"] == 10
    assert looked == [str(path)]


def test_a_dry_run_tells_of_damage_inside_a_file(tmp_path, tiny_folder, monkeypatch):
    monkeypatch.undo()  # the real scorer
    monkeypatch.setattr(dry_run, "SAMPLE_SECONDS", 0.1)
    texts = [os.urandom(400).hex() for _ in range(3000)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", write_page_checksum=True)
    write_rows(tmp_path / "b.jsonl", [{"text": "sound"}] * 20)
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[5000:5100] = bytes(100)
    (tmp_path / "a.parquet").write_bytes(data)
    model = ai.load(tiny_folder, threads=1)
    expected = dry_run.dry_run(Source([str(tmp_path)]), model=model, heads=[(1, 1)])
    assert [Path(bad["file"]).name for bad in expected["bad_files"]] == ["a.parquet"]
    assert expected["sampled_documents"] > 0


def test_a_dry_run_with_a_limit_reads_what_the_run_reads(tmp_path, tiny_folder, monkeypatch):
    monkeypatch.undo()  # the real scorer
    monkeypatch.setattr(dry_run, "SAMPLE_SECONDS", 0.1)
    for name in ("a.jsonl", "b.jsonl"):
        write_rows(tmp_path / name, [{"text": "sound"}] * 20)
    (tmp_path / "c.jsonl").write_text('{"text": "sound"}\n' * 120 + '{"te')
    model = ai.load(tiny_folder, threads=1)
    for limit, files, bad in ((15, 1, 0), (40, 2, 0), (41, 2, 1), (None, 2, 1)):
        source = Source([str(tmp_path)], limit=limit)
        expected = dry_run.dry_run(source, model=model, heads=[(1, 1)])
        assert expected["documents"] == min(limit or 40, 40)
        assert (expected["files"], len(expected["bad_files"])) == (files, bad)


@pytest.mark.parametrize("kind", ["selection", "mix"])
def test_the_folder_of_another_command_is_refused(tmp_path, corpus, kind):
    folder = OutputFolder(tmp_path / "out", kind)
    folder.start({"inputs": {"a.jsonl": "/c/a.jsonl"}, "scores": {}})
    told = f"out: its run.json is not of a run of `score` .*format: 'attninfluence-{kind}' recorded"
    with pytest.raises(OutputError, match=told):
        run(corpus, tmp_path / "out")


# ----------------------------------------------------------------------- folders that were touched


def damage_last_part(out: Path) -> None:
    (out / "part-00004.parquet").write_bytes(b"PAR1")


def drop_last_part(out: Path) -> None:
    (out / "part-00004.parquet").unlink()


def drop_last_part_and_mark(out: Path) -> None:
    drop_last_part(out)
    (out / "_SUCCESS").unlink()


def empty_mark(out: Path) -> None:
    (out / "_SUCCESS").write_text("{}")


def drop_examples(out: Path) -> None:
    (out / "_examples.parquet").unlink()


def other_examples(out: Path) -> None:
    (out / "_examples.parquet").write_bytes((out / "part-00000.parquet").read_bytes())


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (damage_last_part, r"part-00004.parquet: not a readable Parquet file"),
        (drop_last_part, r"its parts hold 28 rows, its checkpoint counts 30; the run is damaged"),
        (drop_last_part_and_mark, r"its parts hold 28 rows, its checkpoint counts 30"),
        (empty_mark, r"_SUCCESS: is not of the run in its folder"),
        (drop_examples, r"has 5 parts and no checkpoint that counts them; the run is damaged"),
        (other_examples, r"_examples.parquet: is not the checkpoint of the run in its folder"),
    ],
)
def test_a_damaged_run_is_not_taken_for_a_finished_one(tmp_path, corpus, damage, sentence):
    run(corpus, tmp_path / "out")
    damage(tmp_path / "out")
    with pytest.raises(OutputError, match=sentence):
        run(corpus, tmp_path / "out")


@pytest.mark.parametrize("url", ["s3://bucket/out", "file:///tmp/out"])
def test_an_output_folder_is_no_url(corpus, url, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match=f"{url}: an output folder is local or mounted, not a UR"):
        run(corpus, url)
    with pytest.raises(OutputError, match=f"{url}: an output folder is local"):
        OutputFolder(url, "mix").start({})
    assert sorted(os.listdir(tmp_path)) == ["corpus"]


def test_scores_inside_the_corpus_are_not_its_documents(tmp_path, corpus):
    out = corpus / "scores"
    interrupted(corpus, out, keep_text=True)
    run(corpus, out, keep_text=True)
    assert len(table(out)) == 30
    run(corpus, tmp_path / "again")
    assert len(table(tmp_path / "again")) == 30
    assert run(out, tmp_path / "scores-themselves")["rows"] == 30  # where they are asked for


def test_an_output_folder_is_no_link_to_nothing(tmp_path, corpus):
    (tmp_path / "out").symlink_to("nowhere")
    with pytest.raises(OutputError, match="out: is a link that leads nowhere; name a folder"):
        run(corpus, tmp_path / "out")
    with pytest.raises(OutputError, match="out: is a link that leads nowhere; name a new folder"):
        OutputFolder(tmp_path / "out", "mix").check_unused()


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(CorpusError, match="not a regular file"):
        run(tmp_path / "a.jsonl", tmp_path / "out")


def test_a_file_named_as_a_path_and_as_a_url_is_read_once(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [{"text": "a"}] * 3)
    source = Source([str(path), f"file://{path}"])
    assert run(path, tmp_path / "out", source=source)["rows"] == 3


def test_kept_views_become_columns_that_can_be_selected(tmp_path):
    columns = {
        "text": ["a", "b"],
        "s": pa.array(["x", None], pa.string_view()),
        "b": pa.array([b"\xff", b"y"], pa.binary_view()),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    source = Source([str(tmp_path / "a.parquet")], keep_columns=["s", "b"])
    run(tmp_path, tmp_path / "out", source=source)
    found = pq.read_table(tmp_path / "out" / "part-00000.parquet")
    assert found.take([1, 0])["s"].to_pylist() == [None, "x"]
    assert found["b"].to_pylist() == [b"\xff", b"y"]
