"""The command line as a person meets it: what is told where, how wide, and what mistakes say."""

from __future__ import annotations

import argparse
import errno
import json
import os
import re
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from attninfluence import cli
from attninfluence.base.progress import ProgressBar
from attninfluence.cli import console, errors, inspect, numbers, select
from attninfluence.model.opening import bundled_folder
from attninfluence.output.finished import open_finished
from attninfluence.run.lock import RunLock
from tests.kit.score_tables import score_row, write_scores
from tools.terminal import run_in_terminal

LONG = "common-crawl/2024-51/en/filtered/stage-3/a-very-long-name-that-"
DOMAINS = (
    "math",
    LONG + "ends",
    LONG + "does-not-end",
    "数学と物理学の文書を集めた領域",
    "العربية",
    None,
)

Captured = pytest.CaptureFixture[str]


def run(capsys: Captured, *arguments: str) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of one command."""
    status = cli.main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the current folder, `scores`: a finished run over `corpus.jsonl`; its folder."""
    monkeypatch.chdir(tmp_path)
    text = "".join(json.dumps({"text": f"text {n}"}) + "\n" for n in range(120))
    (tmp_path / "corpus.jsonl").write_text(text)
    rows = [
        score_row("corpus.jsonl", n, domain=DOMAINS[n % 6], score=(n * 7 % 60) / 9 - 2)
        | {"n_tokens": 10**12 if n % 6 == 0 else 5 + n}
        for n in range(120)
    ]
    write_scores(tmp_path / "scores", [rows], root=tmp_path)
    return tmp_path


# ----------------------------------------------------------------------------- what is told where


def quick_commands(folder: Path) -> dict[str, list[str]]:
    """Each command, given work of no more than a second; `verify` and `demo` take longer."""
    model_folder = str(folder)
    return {
        "select": ["select", "scores", "-o", "sel", "--random-control", "1"],
        "mix": ["mix", "sel", "-o", "mix"],
        "report": ["report", "scores", "-o", "r.html"],
        "inspect": ["inspect", model_folder],
        "bench": ["bench", model_folder, "--seconds", "0.05", "--estimate", "1B"],
        "heads": ["heads", model_folder, "-o", "h.json", "--samples", "1", "--max-length", "700"]
        + ["--no-require-success"],
        "dry-run": ["score", "corpus.jsonl", "--dry-run", "--model", model_folder]
        + ["--heads", "h.json"],
        "score": ["score", "corpus.jsonl", "-o", "out", "--model", model_folder]
        + ["--heads", "h.json"],
        "completion": ["completion", "bash"],
    }


def test_json_prints_the_summary_and_nothing_else(
    capsys: Captured, scores: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attninfluence.run.dry_run.SAMPLE_SECONDS", 0.1)
    monkeypatch.setattr(inspect, "SPEED_SECONDS", 0.05)
    for name, arguments in quick_commands(tiny_folder).items():
        status, out, err = run(capsys, *arguments, "--json")
        assert (status, err) == (0, ""), name
        assert isinstance(json.loads(out), dict), name


def test_a_person_at_a_terminal_is_spared_the_json(
    capsys: Captured, scores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["select", "scores", "-o"]
    piped = run(capsys, *arguments, "piped")[1]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    status, out, err = run(capsys, *arguments, "seen")
    assert (status, out) == (0, "") and "all domains" in err
    asked = run(capsys, *arguments, "asked", "--json")[1]
    assert json.loads(piped)["all"] == json.loads(asked)["all"]


def test_errors_are_told_under_json_too(capsys: Captured, scores: Path) -> None:
    status, out, err = run(capsys, "select", "nowhere", "-o", "o", "--json")
    assert (status, out) == (2, "")
    assert err.startswith("attninfluence select: error: nowhere: no run.json")
    status, _, err = run(capsys, "select", "scores", "-o", "o")
    assert status == 0 and "all domains" in err, "the next command tells again"


def test_every_command_has_json_debug_and_what_completion_needs() -> None:
    program = cli.build_parser()
    assert len(program.commands) == len(cli.COMMANDS)
    for command in program.commands.values():
        assert {"--json", "--debug", "--help"} <= set(command.options)


def test_without_arguments_the_help_is_shown_and_nothing_was_done(capsys: Captured) -> None:
    status, out, err = run(capsys)
    assert (status, out) == (2, "")
    assert "The usual order of commands" in err
    assert max(map(len, err.splitlines())) <= 80


def in_terminal(*arguments: str, **variables: str) -> str:
    """What a command writes to a terminal of 80 columns, escapes and all."""
    command = [sys.executable, "-m", "attninfluence.cli", *arguments]
    return run_in_terminal(command, Path.cwd(), **variables).decode()


COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|9[0-7]|4[0-8])[;m]")


def test_a_terminal_shows_the_table_and_no_json(scores: Path) -> None:
    told = in_terminal("select", "scores", "-o", "a")
    assert "all domains" in told and '"output"' not in told
    assert COLOUR.search(told), "the bar"
    assert not COLOUR.search(in_terminal("select", "scores", "-o", "b", NO_COLOR="1"))
    dumb = in_terminal("select", "scores", "-o", "c", TERM="dumb")
    assert "\x1b" not in dumb and "all domains" in dumb


def test_a_file_gets_no_bar_even_where_colour_is_forced(
    capsys: Captured, scores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b" not in run(capsys, "select", "scores", "-o", "plain")[2]
    monkeypatch.setenv("FORCE_COLOR", "1")
    err = run(capsys, "select", "scores", "-o", "forced")[2]
    assert "\x1b[1m" in err
    assert "\r" not in err and "\x1b[2K" not in err and "\x1b[?25l" not in err


# ------------------------------------------------------------------------------------------ tables


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_tables_fit_the_terminal_and_cut_no_number(
    capsys: Captured, scores: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    _, out, err = run(capsys, "select", "scores", "-o", "sel")
    table = err[: err.index("selected: ")]
    assert max(map(cell_len, table.splitlines())) <= columns
    for entry in json.loads(out)["domains"]:
        assert re.search(rf"\b{entry['selected']}\b", table)
        if entry["cut"] is not None:
            assert f"{entry['cut']:.4f}" in table
    assert "ends" in table and "t-end" in table, "names are told apart by their ends"
    assert (LONG in table) is (columns == 200)


def test_a_narrow_terminal_gets_lists(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    console.print_table("title", ["name", "tokens", "share"], [["数" * 12, "1,234,567", "99.9 %"]])
    lines = ["title", "数数数数数…数数数数", "  tokens  1,234,567", "  share   99.9 %"]
    assert capsys.readouterr().err.splitlines() == lines


def test_of_many_domains_the_first_and_the_total_are_shown(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows = [score_row("a", n, domain=f"d{n % 200:03}", score=n / 9) for n in range(400)]
    write_scores(tmp_path / "scores", [rows])
    err = run(capsys, "select", str(tmp_path / "scores"), "-o", str(tmp_path / "sel"))[2]
    assert "d059 " in err and "d060 " not in err
    assert re.search(r"^all domains +400 +200 ", err, re.MULTILINE)
    assert "140 more rows are in the JSON summary (--json)" in err
    assert len(err.splitlines()) < 70


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("short", 5, "short"),
        ("abcdefghij", 7, "abc…hij"),
        ("数学と物理学", 7, "数…学"),
        ("abcdefghij", 1, "…"),
        ("", 0, ""),
    ],
)
def test_names_are_shortened_in_their_middle(text: str, width: int, short: str) -> None:
    assert console.shorten(text, width) == short
    assert cell_len(short) <= width


def test_facts_are_wrapped_under_themselves(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    heads = [[n, n + 1] for n in range(6)]
    from attninfluence.model.lines import _retrieval_heads

    console.print_facts([("retrieval heads", _retrieval_heads(heads)), ("", ""), ("a", "b")])
    assert capsys.readouterr().err.splitlines() == [
        "retrieval heads  (0, 1), (1, 2),",
        "                 (2, 3), (3, 4),",
        "                 (4, 5), (5, 6)",
        "",
        "a                b",
    ]


# ---------------------------------------------------------------------------------------- progress


class Told:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.items: list[int] = []
        self.shares: list[float] = []

    def advance(self, items: int, tokens: int, share: float) -> None:
        self.items.append(items)
        self.shares.append(share)


@pytest.mark.parametrize(
    ("options", "readings"),
    [
        ([], 3),
        (["--approximate"], 2),
        (["--temperature", "1"], 4),
        (["--random-control", "1"], 6),
        (["--tokens", "100"], 4),
        (["--tokens", "100", "--approximate"], 3),
    ],
)
def test_selection_tells_how_far_it_is(
    capsys: Captured,
    scores: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    readings: int,
) -> None:
    told = Told()
    monkeypatch.setattr(console.ScoreProgress, "__enter__", lambda self: told)
    assert run(capsys, "select", "scores", "-o", "sel", *options)[0] == 0
    assert sum(told.items) == 120 * readings
    assert told.shares == pytest.approx([(n + 1) / readings for n in range(readings)])


def test_a_mix_tells_how_far_it_is(
    capsys: Captured, scores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(capsys, "select", "scores", "-o", "sel")[0] == 0
    told = Told()
    monkeypatch.setattr(console.ScoreProgress, "__enter__", lambda self: told)
    assert run(capsys, "mix", "sel", "-o", "mix")[0] == 0
    assert (told.items, told.shares) == ([1], [1.0])


def test_what_is_told_beside_a_bar_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = console.ScoreProgress("rows read")
    progress.advance(0, 0, 0.0)
    now[0] = 2.0
    progress.advance(30_000, 0, 0.25)
    assert progress._rates(2.0, 0.25) == "30K rows read, 15K/s, 0:00:06 left"
    progress.advance(0, 5_000_000, 0.25)
    assert progress._rates(2.0, 0.25) == "30K rows read, 15K/s, 2.5M tokens/s, 0:00:06 left"
    progress._width = 40
    assert progress._rates(2.0, 0.25) == "2.5M tokens/s, 0:00:06 left"


def test_a_log_gets_lines(capsys: Captured) -> None:
    with ProgressBar("score", total=4) as bar:
        bar.update(2, tokens=10)
        bar.update(2, tokens=10)
    with ProgressBar("read", total=None, unit="row") as bar:
        bar.update(7, note="all is well")
    out, err = capsys.readouterr()
    assert out == "" and "\r" not in err
    lines = err.splitlines()
    assert lines[0].startswith("score: 0% 0/4 [")
    assert "score: 100% 4/4 [" in err and "doc/s" in err and "tokens/s]" in err
    assert re.fullmatch(r"read: 7 \[.*row/s, all is well\]", lines[-1])


def test_a_step_that_takes_long_is_named(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    told = threading.Event()
    say = console.say
    monkeypatch.setattr(console, "say", lambda text: (say(text), told.set()))
    monkeypatch.setattr(console, "WAIT_SECONDS", 0.01)
    with console.waiting("opening a model"):
        assert told.wait(60)
    with console.summary_only(True), console.waiting("opening another"):
        time.sleep(0.1)
    assert capsys.readouterr().err == "opening a model\n"
    monkeypatch.setattr(console, "WAIT_SECONDS", 60)
    with console.waiting("opening a third"):
        pass
    assert capsys.readouterr().err == ""


# ---------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("scor c -o o", "; did you mean score?"),
        ("zzz", "COMMAND: 'zzz' is none of demo, heads, score, "),
        ("-x", "no option -x"),
        ("--json select", "--json comes after the command"),
        ("--bogus", "no option --bogus"),
        ("score c --ouput o", "no option --ouput; did you mean --output?"),
        ("score c --max-lenght=5 -o o", "no option --max-lenght; did you mean --max-length?"),
        ("score c -o o --min-tokens 5", "no option --min-tokens here; it belongs to select"),
        ("score c -o o --seed 1", "no option --seed here; it belongs to demo, heads, select ("),
        ("score c -o o --mask unifrom", "none of uniform, zero; did you mean uniform?"),
        ("score c -o o --control -1", "argument --control: '-1' is no whole number"),
        ("score c -o o -q", "unexpected option '-q'"),
        ("score c -o o\udcff", "'o\\udcff' is not valid UTF-8; rename it"),
        ("mix a b -o o", "unexpected argument 'b'"),
        ("heads m -o h --threshold x", "argument --threshold: 'x' is no number above 0"),
        ("inspect --threads 99999999999999999999", "is too large; at most 9,223,372,036,854,775"),
        ("completion tsch", "none of bash, zsh, fish, tcsh; did you mean tcsh?"),
    ],
)
def test_misspelt_words_are_told_with_what_was_meant(
    capsys: Captured, arguments: str, sentence: str
) -> None:
    status, out, err = run(capsys, *arguments.split(" "))
    assert (status, out) == (2, "")
    assert sentence in err and err.endswith("--help)\n") and err.count("\n") == 1


def test_what_follows_two_dashes_is_no_option(capsys: Captured, tmp_path: Path) -> None:
    status, _, err = run(capsys, "select", "-o", str(tmp_path / "o"), "--", "--odd")
    assert status == 2 and "error: --odd: no run.json" in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("inspect empty", "empty: the folder is no model, as it has no config.json; name one with"),
        (
            "inspect weightless",
            "weightless: the folder is no model, as it has no model.safetensors",
        ),
        ("inspect corpus.jsonl", "'corpus.jsonl' is a file; a model is a folder"),
        ("inspect a/b/c", "neither an existing folder nor a hub id"),
        ("inspect TINY --threads 5000", "threads must be at most 4,096, got 5000"),
        (
            "heads TINY -o shut/h.json --samples 1",
            "shut: Permission denied; change its permissions",
        ),
        ("score corpus.jsonl -o out --model TINY", "and give them as heads= (--heads)"),
        ("score corpus.jsonl -o", "argument -o/--output: expected one argument"),
        ("score corpus.jsonl", "name the folder for the scores: -o OUT"),
        ("score nosuch://x/y.jsonl -o o", "nosuch://x/y.jsonl: fsspec cannot open it: Protocol"),
        ("score . -o corpus.jsonl/out", "corpus.jsonl/out: Not a directory; check the name"),
        ("score . -o o --heads empty", "empty: Is a directory; name a file"),
        ("score . -o o --heads no.json", "no.json: No such file or directory; check the name"),
        ("select scores -o o --tokens 0", "--tokens: '0' must be at least 1"),
        ("select scores -o o --tokens math=0", "--tokens: '0' must be at least 1"),
        ("select scores -o scores", "scores: holds a finished run; nothing is overwritten"),
        ("mix scores -o o", "expected a folder that `attninfluence select` wrote"),
        ("report nowhere -o r.html", "nowhere: no run.json"),
        ("demo -o scores", "scores: holds "),
    ],
)
def test_mistakes_are_one_sentence_with_a_remedy(
    capsys: Captured,
    scores: Path,
    tiny_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    sentence: str,
) -> None:
    for name in ("empty", "weightless", "shut"):
        Path(name).mkdir()
    shutil.copy(tiny_folder / "config.json", "weightless")
    may = os.access
    monkeypatch.setattr(os, "access", lambda at, mode: str(at) != "shut" and may(at, mode))
    words = [str(tiny_folder) if word == "TINY" else word for word in arguments.split(" ")]
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert sentence in err and err.count("\n") == 1
    assert not Path("o").exists()


def test_a_budget_that_nothing_fits_is_told(capsys: Captured, scores: Path) -> None:
    status, _, err = run(capsys, "select", "scores", "-o", "o", "--tokens", "1")
    assert status == 0 and "nothing was selected: the first thousand documents of" in err


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), "a/b: No space left on device; "),
        (
            OSError(errno.EROFS, "Read-only file system", b"a\xff"),
            "a\ufffd: Read-only file system; ",
        ),
        (OSError(errno.EIO, "Input/output error", "x"), "x: Input/output error"),
        (OSError("no such thing"), "no such thing"),
        (MemoryError(), "not enough memory; free some"),
        (ValueError("a\n  b\x1b[31m"), "a b\ufffd[31m"),
        (ValueError(), "ValueError"),
    ],
)
def test_an_exception_as_a_sentence(error: Exception, sentence: str) -> None:
    assert errors.sentence(error).startswith(sentence)
    assert not errors.is_bug(error)


class Foreign(Exception):
    """As a library raises it for what is no bug of ours."""


Foreign.__module__ = "botocore.exceptions"


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (KeyError("scoring"), 70, "a bug in attninfluence (KeyError: 'scoring'); please report it"),
        (AssertionError(), 70, "a bug in attninfluence (AssertionError); please report it"),
        (Foreign("no credentials"), 2, "error: no credentials"),
    ],
)
def test_a_bug_is_a_sentence_and_its_own_status(
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    sentence: str,
) -> None:
    def fail(arguments: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(select, "run", fail)
    found, out, err = run(capsys, "select", "a", "-o", "b")
    assert (found, out) == (status, "")
    assert sentence in err and err.count("\n") == 1
    found, _, err = run(capsys, "select", "a", "-o", "b", "--debug")
    assert found == status and "Traceback" in err and sentence in err


def test_a_name_without_end_does_not_make_a_sentence_without_end(
    capsys: Captured, scores: Path
) -> None:
    path = scores / "scores" / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": "x" * 3_000_000}))
    assert cli.main(["select", "scores", "-o", "o"]) == 2
    told = capsys.readouterr().err
    assert len(told) < 20_000 and "run.json says 'xxx" in told
    assert told.endswith("expected a folder that `attninfluence score` wrote\n")


def test_an_interrupted_selection_names_what_is_to_be_removed(
    capsys: Captured, scores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Any, items: int, tokens: int, share: float) -> None:
        if Path("sel/run.json").exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(console.ScoreProgress, "advance", interrupt)
    status, out, err = run(capsys, "select", "scores", "-o", "sel")
    assert (status, out) == (130, "")
    assert err.endswith("interrupted; remove sel before you select again\n")


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_finished_run_is_told_again_from_where_nothing_can_be_written(
    capsys: Captured, scores: Path, monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, code: int
) -> None:
    model_folder = str(tiny_folder)
    heads = ["heads", model_folder, "-o", "h.json", "--samples", "1", "--max-length", "700"]
    assert run(capsys, *heads, "--no-require-success")[0] == 0
    command = ["score", "corpus.jsonl", "-o", "out", "--model", model_folder, "--heads", "h.json"]
    status, out, _ = run(capsys, *command)
    assert status == 0

    def refuse(self: Any, *_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code), "out/.lock")

    monkeypatch.setattr(RunLock, "_open", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    status, again, err = run(capsys, *command)
    assert status == 0, err
    assert json.loads(out).items() <= json.loads(again).items()
    os.remove("out/_SUCCESS")
    status, _, err = run(capsys, *command)
    assert status == 2 and f"out/.lock: {os.strerror(code)}; " in err
    assert not Path("out/_SUCCESS").exists(), "nobody goes on with a run without its lock"


def test_numbers_have_an_end() -> None:
    assert numbers.count("9223372036854775807") == numbers.MOST
    with pytest.raises(argparse.ArgumentTypeError, match="is too large"):
        numbers.count("9223372036854775808")


def test_the_bundled_model_can_be_looked_at(capsys: Captured) -> None:
    """The fingerprint begins as errors tell it, and the summary has all of it."""
    status, out, err = run(capsys, "inspect", bundled_folder())
    fingerprint = json.loads(out)["fingerprint"]
    assert status == 0 and len(fingerprint) == 64
    assert f"fingerprint      {fingerprint[:12]}\n" in err
    assert max(map(len, err.splitlines())) <= 80


def test_a_selection_is_what_the_summary_says(capsys: Captured, scores: Path) -> None:
    summary = json.loads(run(capsys, "select", "scores", "-o", "sel", "--json")[1])
    assert open_finished("sel", "selection").totals["rows"] == summary["all"]["selected"]
