"""The command line: what each command prints, writes and returns."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from attninfluence import _core, cli
from attninfluence.cli import console, numbers, options
from attninfluence.heads.head_scores import HeadScores
from attninfluence.model import load, masking, model
from attninfluence.output.finished import open_finished
from attninfluence.run.lock import RunLock
from attninfluence.scores.statuses import STATUS_MEANING
from attninfluence.scoring import batches, windows
from attninfluence.scoring import options as scoring_options
from attninfluence.tokenizer import tokenizer
from tests.corpus.test_corpus import NASTY, write_rows
from tests.kit.child import ROOT
from tests.kit.score_tables import score_row, write_scores

NAMES = ["demo", "heads", "score", "select", "mix", "inspect", "verify", "report", "bench"]


@pytest.fixture(scope="module")
def heads_file(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A heads.json of the tiny model."""
    opened = load(tiny_folder)
    scores = np.zeros((opened.n_layers, opened.n_heads))
    scores[1, 2] = 0.5
    path = tmp_path_factory.mktemp("heads") / "heads.json"
    HeadScores(
        scores=scores,
        standard_error=scores,
        selected=((1, 2),),
        samples=4,
        n_counted=4,
        success_rate=1.0,
        options={},
        model_fingerprint=opened.fingerprint,
    ).save(path)
    return path


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files of two domains, in the current folder's `corpus`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    for name, domain in (("a.jsonl.zst", "math"), ("b.parquet", "web")):
        rows = [
            {"id": i % 20, "domain": domain, "text": f"{domain} {'abc ' * (i % 9)}{i}"}
            for i in range(25)
        ]
        write_rows(tmp_path / "corpus" / name, rows + [{"text": None, "id": 0, "domain": domain}])
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """(exit status, JSON on stdout or None, stderr) of one command."""
    status = cli.main(arguments)
    captured = capsys.readouterr()
    return status, json.loads(captured.out) if captured.out.strip() else None, captured.err


def in_process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "attninfluence.cli", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, **options
    )


def test_the_whole_way(capsys, corpus, tiny_folder, heads_file):
    model_arguments = ["--model", str(tiny_folder), "--heads", str(heads_file), "--threads", "1"]
    status, totals, told = run(
        capsys, "score", "corpus", "-o", "scores", *model_arguments, "--control", "1"
    )
    assert status == 0
    assert totals["rows"] == 52
    assert totals["statuses"] == {"bad_type": 2, "ok": 50}
    assert totals["repeated_ids"] == 32
    assert "not scored: 2 bad_type\n" in told
    assert "32 rows repeat an id" in told
    scores = open_finished("scores", "scores")
    assert scores.schema().names[-2:] == ["control_loss", "control_score"]
    assert scores.run["scoring"]["heads"] == [[1, 2]]
    opened = load(tiny_folder)
    assert scores.run["scoring"]["precision"] == opened.precision
    assert scores.run["scoring"]["kernel"] == opened.kernel

    status, summary, told = run(
        capsys, "select", "scores", "-o", "selected/", "--fraction", "0.2", "--random-control", "7"
    )
    assert status == 0
    assert [entry["selected"] for entry in summary["domains"]] == [5, 5]
    assert "20.0 % of the candidates are " in told
    assert open_finished("selected-random-7", "selection").run["rule"]["seed"] == 7

    status, summary, told = run(capsys, "mix", "selected", "-o", "mix")
    assert status == 0
    assert summary["all"]["documents"] == 62
    assert f"{summary['all']['tokens']:,} tokens in all" in told
    assert len(list(Path("mix").glob("*/*"))) == 4
    status, again, _ = run(capsys, "mix", "selected", "-o", "recipe", "--recipe")
    assert status == 0
    assert again["all"] == summary["all"]
    assert not Path("recipe/corpus").exists()

    status, _, _ = run(capsys, "report", "scores", "-o", "report.html", "--heads", str(heads_file))
    assert status == 0
    assert Path("report.html").read_text().lstrip().startswith("<!")


@pytest.mark.parametrize("has_kernel", [True, False])
def test_a_report_reads_as_the_run_did(capsys, corpus, tiny_folder, heads_file, has_kernel):
    """In the run's precision, and with its kernel where there is one."""
    arguments = ["--model", str(tiny_folder), "--keep-text", "--heads", str(heads_file)]
    arguments += ["--precision", "int8", "--kernel", _core.kernels("int8")[-1]]
    assert run(capsys, "score", "corpus", "-o", "scores", *arguments)[0] == 0
    if not has_kernel:
        described = json.loads(Path("scores/run.json").read_text())
        described["scoring"]["kernel"] = "abacus"
        Path("scores/run.json").write_text(json.dumps(described))
    arguments = ["-o", "r.html", "--model", str(tiny_folder)]
    assert run(capsys, "report", "scores", *arguments)[0] == 0
    page = Path("r.html").read_text()
    assert 'class="tokens"' in page
    assert ("Read again with the kernel" in page) is not has_kernel


def test_a_report_with_a_model_needs_the_text(capsys, corpus, tiny_folder, heads_file):
    arguments = ["--model", str(tiny_folder), "--heads", str(heads_file)]
    assert run(capsys, "score", "corpus", "-o", "scores", *arguments)[0] == 0
    status, _, told = run(capsys, "report", "scores", "-o", "r.html", "--model", str(tiny_folder))
    assert status == 2
    assert "scores: holds no text" in told and "--keep-text" in told
    assert not Path("r.html").exists()


def test_one_output_row_for_each_input_row(capsys, tmp_path, tiny_folder, heads_file):
    texts = [text for text in NASTY if text is None or len(text) < 1000]
    texts += ["\ud800", 5, ["list"], "caf\u00e9", "x"]
    path = write_rows(tmp_path / "a.jsonl", [{"text": text} for text in texts])
    with open(path, "ab") as file:
        file.write(b'{"text": "not \xff utf8"}\n')
    status, totals, _ = run(
        capsys,
        *("score", str(path), "-o", str(tmp_path / "out"), "--keep-text"),
        *("--model", str(tiny_folder), "--heads", str(heads_file)),
    )
    assert status == 0
    table = next(open_finished(tmp_path / "out", "scores").tables()).to_pylist()
    assert [row["row"] for row in table] == list(range(len(texts) + 1))
    assert totals["rows"] == len(texts) + 1
    for row in table:
        assert row["status"] in STATUS_MEANING
        assert (row["score"] is None) == (row["status"] != "ok")
    by_text = dict(zip([str(text) for text in texts], table, strict=False))
    assert by_text["5"]["status"] == by_text["None"]["status"] == "bad_type"
    assert by_text[""]["status"] == "empty"
    assert by_text["\ud800"]["repaired"]
    assert table[-1]["repaired"]
    assert table[-1]["text"] == "not \ufffd utf8"


def test_columns_by_their_names(capsys, tmp_path, tiny_folder, heads_file):
    path = write_rows(tmp_path / "a.jsonl", [{"body": "a text", "key": "k", "topic": "t"}])
    status, _, _ = run(
        capsys,
        *("score", str(path), "-o", str(tmp_path / "out"), "--text-column", "body"),
        *("--id-column", "key", "--domain-column", "topic"),
        *("--model", str(tiny_folder), "--heads", str(heads_file)),
    )
    (row,) = next(open_finished(tmp_path / "out", "scores").tables()).to_pylist()
    assert (status, row["id"], row["domain"], row["status"]) == (0, "k", "t", "ok")


def test_a_finished_run_is_told_again_and_another_refused(capsys, corpus, tiny_folder, heads_file):
    arguments = ["score", "corpus/b.parquet", "-o", "out", "--model", str(tiny_folder)]
    arguments += ["--heads", str(heads_file)]
    status, totals, _ = run(capsys, *arguments)
    assert status == 0
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    status, again, _ = run(capsys, *arguments)
    assert status == 0
    assert totals.items() <= again.items()
    status, printed, told = run(capsys, *arguments, "--mask", "zero")
    assert (status, printed) == (2, None)
    assert told == (
        "attninfluence score: error: out: holds a run that was given something else: scoring.mask:"
        " 'uniform' recorded, 'zero' given. Give the same, or name another folder\n"
    )
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == before


def test_bad_shard(capsys, corpus, tiny_folder, heads_file):
    Path("corpus/aa.jsonl").write_text('{"text": "good"}\n{"text": \n')
    arguments = ["score", "corpus", "-o", "out", "--model", str(tiny_folder)]
    arguments += ["--heads", str(heads_file)]
    status, printed, told = run(capsys, *arguments)
    assert (status, printed) == (2, None)
    assert told.startswith("attninfluence score: error: corpus/aa.jsonl: line 2 is not valid JSON")
    assert told.count("\n") == 1
    arguments[3] = "out2"
    status, totals, told = run(capsys, *arguments, "--on-bad-shard", "skip")
    assert status == 1
    assert totals["rows"] == 52
    assert [bad["file"] for bad in totals["bad_files"]] == ["corpus/aa.jsonl"]
    assert "left out: corpus/aa.jsonl: line 2" in told
    status, _, told = run(capsys, "select", "out2", "-o", "sel")
    assert status == 0
    assert "not among the scores: corpus/aa.jsonl: line 2" in told
    status, summary, _ = run(capsys, "mix", "sel", "-o", "mix")
    assert status == 0
    assert summary["all"]["corpus_documents"] == 52


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["score", "nothing", "-o", "o"], "nothing: no such file, and no folder or glob"),
        (["score", "corpus/x.pdf", "-o", "o"], "corpus/x.pdf: not a known kind of file"),
        (
            ["score", "corpus", "-o", "o", "--text-column", "body"],
            "corpus/a.jsonl.zst: no column 'body'; the file has 'id', 'domain', 'text'",
        ),
        (["score", "corpus", "-o", "o", "--max-length", "9999"], "exceeds the model's context"),
        (["score", "corpus", "-o", "o", "--kernel", "abacus"], "kernel 'abacus'"),
        (["score", "corpus", "-o", "o", "--heads", "no.json"], "no.json: No such file"),
        (["select", "corpus", "-o", "o"], "no run.json; expected a folder that `attninfluence sco"),
        (["mix", "scores", "-o", "o"], "expected a folder that `attninfluence select` wrote"),
        (["select", "scores", "-o", "corpus"], "corpus: is not empty"),
        (["select", "scores", "-o", "o", "--tokens", "x=1B"], "domain 'x'; the scores have 'd'"),
        (["select", "scores", "-o", "o", "--tokens", "1B,2B"], "'1B' names no domain"),
        (["heads", "MODEL", "-o", "no/heads.json"], "no: no such folder for no/heads.json"),
        (["heads", "MODEL", "-o", "corpus"], "corpus: is a folder; name a file like heads.json"),
        (["inspect", "corpus"], "corpus"),
    ],
)
def test_errors_are_one_sentence(capsys, corpus, tiny_folder, heads_file, arguments, sentence):
    Path("corpus/x.pdf").touch()
    write_scores(Path("scores"), [[score_row("a.jsonl", 0, domain="d")]])
    arguments = [str(tiny_folder) if word == "MODEL" else word for word in arguments]
    if arguments[0] == "score":
        arguments += ["--model", str(tiny_folder)]
        arguments += [] if "--heads" in arguments else ["--heads", str(heads_file)]
    status, printed, told = run(capsys, *arguments)
    assert (status, printed) == (2, None)
    assert told.startswith(f"attninfluence {arguments[0]}: error: ")
    assert sentence in told
    assert told.count("\n") == 1
    assert not Path("o").exists()


def test_debug_shows_the_traceback(capsys):
    status, _, told = run(capsys, "select", "nowhere", "-o", "o", "--debug")
    assert status == 2
    assert "Traceback" in told
    assert told.splitlines()[-1].startswith("attninfluence select: error: nowhere: no run.json")


@pytest.mark.parametrize(
    "arguments",
    [
        ["unknown"],
        ["score"],
        ["score", "x", "-o", "o", "--max-length", "0"],
        ["score", "x", "-o", "o", "--mask", "mean"],
        ["score", "x", "-o", "o", "--max", "5"],
        ["select", "x", "-o", "o", "--fraction", "20"],
        ["select", "x", "-o", "o", "--fraction", "0.2", "--tokens", "5"],
    ],
)
def test_misuse_is_one_line_and_names_the_help(capsys, arguments):
    status, _, told = run(capsys, *arguments)
    assert status == 2
    assert "error: " in told
    assert told.rstrip().endswith("--help)")
    assert told.count("\n") == 1


def test_interrupt_says_what_is_kept(capsys, corpus, tiny_folder, heads_file, monkeypatch):
    told_of = []

    def advance(self, documents, tokens, share):
        told_of.append(documents)
        if sum(told_of) >= 25:
            raise KeyboardInterrupt

    monkeypatch.setattr(batches, "CHUNK_DOCUMENTS", 5)
    monkeypatch.setattr(console.ScoreProgress, "advance", advance)
    status, printed, told = run(
        capsys,
        *("score", "corpus", "-o", "out", "--model", str(tiny_folder), "--heads", str(heads_file)),
    )
    assert (status, printed) == (130, None)
    assert told.endswith(
        "interrupted; out keeps its 1 parts; the same command goes on from there\n"
    )
    assert sorted(os.listdir("out")) == [
        ".checkpoint-00001.parquet",
        "part-00000.parquet",
        "run.json",
    ]


def test_shards_columns_and_limits(capsys, corpus, tiny_folder, heads_file):
    fixed = ["--model", str(tiny_folder), "--heads", str(heads_file), "--threads", "1"]
    fixed += ["--domain-from", "path", "--keep-columns", "domain2"]
    fixed += ["--keep-columns", '["a, b"]']
    Path("corpus/web").mkdir()
    rows = [{"text": f"page {i}", "domain2": i, "a, b": -i} for i in range(9)]
    write_rows(Path("corpus/web/c.jsonl"), rows)
    found = []
    for index in range(3):
        out = f"out{index}"
        status, totals, _ = run(
            capsys, "score", "corpus/web", "-o", out, "--shard", f"{index}/3", *fixed
        )
        assert status == 0
        found += pa.concat_tables(open_finished(out, "scores").tables()).to_pylist()
    assert [(row["row"], row["domain"], row["domain2"], row["a, b"]) for row in found] == [
        (i, "c", str(i), str(-i)) for i in range(9)
    ]
    status, totals, _ = run(capsys, "score", "corpus/web", "-o", "out", "--limit", "4", *fixed)
    assert (status, totals["rows"]) == (0, 4)
    status, _, told = run(capsys, "score", "corpus/web", "-o", "o", "--shard", "3/3", *fixed)
    assert status == 2 and "shard 3/3 does not exist" in told


def test_dry_run_says_what_to_expect_and_writes_nothing(
    capsys, corpus, tiny_folder, heads_file, monkeypatch
):
    monkeypatch.setattr("attninfluence.run.dry_run.SAMPLE_SECONDS", 0.3)
    arguments = ["--model", str(tiny_folder), "--heads", str(heads_file)]
    (Path("corpus") / "bad.parquet").write_bytes(b"PAR1")
    status, expected, told = run(
        capsys, "score", "corpus", "--dry-run", "--limit", "40", *arguments
    )
    assert status == 1
    assert (expected["files"], expected["documents"]) == (2, 40)
    (Path("corpus") / "bad.parquet").unlink()
    _, totals, _ = run(capsys, "score", "corpus", "-o", "out", "--limit", "40", *arguments)
    assert 0.7 * totals["tokens"] < expected["tokens"] < 1.4 * totals["tokens"]
    assert expected["tokens_per_second"] > 0 and expected["memory_bytes"] > 10**7
    assert "would stop the run at: corpus/bad.parquet: not a readable Parquet file" in told


def test_a_second_run_is_refused_before_the_model_is_opened(capsys, corpus):
    Path("out").mkdir()
    with RunLock("out"):
        status, _, told = run(capsys, "score", "corpus", "-o", "out", "--model", "no-such-model")
    assert status == 2 and "is writing into it" in told


# SIGTERM reaches the process when it has published its first part.
TERMINATED = """
import os, signal, sys
from attninfluence import cli
from attninfluence.output import part

publish = part.publish

def publish_and_terminate(temporary, final):
    publish(temporary, final)
    if final.name == "part-00000.parquet":
        os.kill(os.getpid(), signal.SIGTERM)

part.publish = publish_and_terminate
sys.exit(cli.main(sys.argv[1:]))
"""


def test_sigterm_writes_what_is_scored(corpus, tiny_folder, heads_file):
    rows = [{"text": f"text {i} " * 60} for i in range(3000)]
    write_rows(Path("corpus/c.jsonl"), rows)
    arguments = ["--model", str(tiny_folder), "--heads", str(heads_file), "--threads", "1"]
    command = [sys.executable, "-c", TERMINATED, "score", "corpus", "-o", "out", *arguments]
    done = subprocess.run(
        [*command, "--checkpoint-seconds", "0.001"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=100,
        check=False,
    )
    assert done.returncode == 143, done.stderr
    assert "terminated; out keeps its " in done.stderr
    assert not list(Path("out").glob(".*.tmp")) and not Path("out/.lock").exists()


@pytest.mark.parametrize("name", NAMES)
def test_help_has_an_example_and_fits_80_columns(capsys, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main([name, "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"example:\n  attninfluence {name} " in printed
    assert max(map(len, printed.splitlines())) <= 80
    for action in command_actions(name):
        assert action.help, action.dest


def test_help_and_version_of_the_program(capsys):
    assert cli.main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n    {name} " in printed for name in NAMES)
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("attninfluence 0.")


def command_actions(name: str) -> list[argparse.Action]:
    commands = next(
        action
        for action in cli.build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return commands.choices[name]._actions


def test_scoring_options_are_those_of_the_library():
    parameters = inspect.signature(batches.score).parameters
    own = {"texts", "input_ids", "model", "heads", "control", "detail", "progress"}
    assert set(options.SCORING_OPTIONS) == set(parameters) - own
    actions = {action.dest: action for action in command_actions("score")}
    for name in (*options.SCORING_OPTIONS, "heads", "control"):
        assert actions[name].default == parameters[name].default, name
        assert actions[name].option_strings == [f"--{name.replace('_', '-')}"]
    choices = {
        "mask": masking.MASKS,
        "bos": tokenizer.BOS_POLICIES,
        "special": tokenizer.SPECIAL_POLICIES,
        "encoding_errors": scoring_options.ENCODING_ERRORS,
        "count": scoring_options.COUNTS,
        "long": windows.POLICIES,
    }
    for name, allowed in choices.items():
        assert tuple(actions[name].choices) == tuple(allowed), name


def test_options_of_heads_and_loading_are_those_of_the_library():
    from attninfluence.retrieval.find import find_retrieval_heads

    parameters = inspect.signature(find_retrieval_heads).parameters
    actions = {action.dest: action for action in command_actions("heads")}
    for name in set(parameters) - {"model", "keep", "progress"}:
        assert actions[name].default == parameters[name].default or name == "fraction", name
    assert float(actions["fraction"].default) == parameters["fraction"].default
    loading = inspect.signature(load).parameters
    actions = {action.dest: action for action in command_actions("score")}
    for name in set(loading) - {"path", "token"}:
        assert actions[name].default == (loading[name].default or actions[name].default), name
    assert tuple(actions["precision"].choices) == model.PRECISIONS


def test_a_report_has_no_option_for_the_precision_of_its_run():
    assert not {"precision", "kernel"} & {action.dest for action in command_actions("report")}


def test_command_line_starts_quickly_and_loads_no_model_code():
    program = "import sys, attninfluence.cli as c; c.build_parser(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for heavy in ("numpy", "pyarrow", "rich", "tokenizers", "attninfluence._core"):
        assert heavy not in loaded


def test_program_as_a_process(corpus, tiny_folder, heads_file):
    arguments = ["--model", str(tiny_folder), "--heads", str(heads_file), "--threads", "1"]
    done = in_process("score", "corpus", "-o", "out", *arguments, cwd=corpus)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 52
    assert "\x1b" not in done.stderr + done.stdout
    assert max(map(len, done.stderr.splitlines())) <= 80
    missing = in_process("select", "nowhere", "-o", "sel", cwd=corpus)
    assert missing.returncode == 2
    assert missing.stdout == ""
    assert missing.stderr.count("\n") == 1


def test_reader_of_stdout_may_leave(corpus, tiny_folder):
    command = f"{sys.executable} -m attninfluence.cli inspect {tiny_folder} | true"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=False, env=environment
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1200", 1200),
        ("50B", 50 * 10**9),
        ("1.5M", 1_500_000),
        ("0.25K", 250),
        ("241.3T", 241_300 * 10**9),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_counts_are_exact(text, value):
    assert numbers.count(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "B", "-5", "+5", "1e9", "1.5", "1.2345K", "50b", "50 B", "1_000", "1,000", ".5M", "5.M"]
    + ["0x10", "\u0665", "50BB", "5G", "nan", " 5"],
)
def test_counts_are_strict(text):
    with pytest.raises(argparse.ArgumentTypeError):
        numbers.count(text)


def test_fractions():
    assert numbers.fraction("0.2") == Fraction(1, 5)
    for text in ("0", "1.1", "-0.5", "20%", "x", "1/0"):
        with pytest.raises(argparse.ArgumentTypeError):
            numbers.fraction(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1K"),
        (12_345, "12.3K"),
        (999_600, "1M"),
        (241 * 10**9, "241B"),
    ],
)
def test_short_counts(value, text):
    assert console.short_count(value) == text


def test_names_cannot_drive_the_terminal(capsys, corpus, tmp_path):
    rows = [score_row("a", 0, domain="[red]x\x1b[31m\n" + "long" * 40)]
    write_scores(tmp_path / "out", [rows])
    _, summary, told = run(capsys, "select", str(tmp_path / "out"), "-o", str(tmp_path / "sel"))
    assert summary["domains"][0]["domain"] == rows[0]["domain"]
    assert "\x1b" not in told
    assert "[red]x" in told
    assert max(map(len, told.splitlines())) <= 80


def test_the_time_left_is_that_of_this_session():
    """A run that goes on from 90 % has not done these in a second."""
    progress = console.ScoreProgress()
    assert progress._left(10.0, 0.90) == "-"
    assert progress._left(20.0, 0.91) == "0:01:30"
    assert progress._left(20.0, 1.0) == "0:00:00"
