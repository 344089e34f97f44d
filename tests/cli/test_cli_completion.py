"""`attninfluence completion`: the scripts are valid, and complete what can be completed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from attninfluence import cli
from attninfluence.cli import completion

COMPLETED = [
    ("attninfluence sc", {"score"}),
    ("attninfluence score --ma", {"--mask", "--max-length"}),
    ("attninfluence score x -o o --mask ", {"uniform", "zero"}),
    ("attninfluence score fo", {"folder"}),
    ("attninfluence score fi", {"file one.json"}),
    ("attninfluence score file -o f", {"folder"}),
    ("attninfluence select scores --rank-by b", {"base_loss"}),
    ("attninfluence select folder fo", {"folder"}),
    ("attninfluence mix f", {"folder"}),
    ("attninfluence inspect f", {"folder", "file one.json"}),  # a GGUF file is one
    ("attninfluence bench --heads fi", {"file one.json"}),
    ("attninfluence report folder --model f", {"folder", "file one.json"}),
    ("attninfluence completion ", set(completion.SHELLS)),
]


def test_bash_completes(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file one.json").touch()
    tries = [
        f"COMP_WORDS=({line}{' ' + repr('') if line.endswith(' ') else ''}); "
        'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "$function"; '
        "printf '%s\\t' \"${COMPREPLY[@]}\"; echo"
        for line, _ in COMPLETED
    ]
    find = "function=$(complete -p attninfluence | sed 's/.*-F \\([^ ]*\\).*/\\1/')"
    script = "\n".join([completion.script_of(cli.build_parser(), "bash"), find, *tries])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    found = [set(line.split("\t")) - {""} for line in done.stdout.splitlines()]
    assert found == [wanted for _, wanted in COMPLETED]


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_script_of_each_shell_is_valid_and_whole(
    capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    assert cli.main(["completion", shell]) == 0
    script, err = capsys.readouterr()
    assert err == ""
    for name in cli.build_parser().commands:
        assert name in script
    assert "base_loss" in script and "uniform" in script
    program = shutil.which(shell)
    if program is not None:  # bash is everywhere, the others are tried where they are
        subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_options_that_take_names_of_files_are_completed_as_such() -> None:
    program = cli.build_parser()
    places = {"FILE", "FOLDER", "OUT", "SELECTED", "MIX", "INPUT", "MODEL", "SEED|FILE"}
    known = {*completion.FILES, *completion.FOLDERS}
    for name, command in program.commands.items():
        for action in command._actions:
            if action.metavar in places or action.dest in ("model", "output"):
                assert action.metavar == "FILE" or action.dest in known, (name, action.dest)


@pytest.mark.parametrize(
    "words",
    [
        "score a.jsonl -o ~/o --model=~/m --heads=~/h.json --control ~/c.json --cache-dir ~/c",
        "heads ~/m -o ~/h.json --corpus ~/texts",
        "select ~/one ~/two -o ~/s",
        "mix ~/s -o ~/m --root ~/r",
        "inspect ~/m",
        "report ~/one -o ~/r.html --heads ~/h.json --model ~/m",
        "demo -o ~/d --model ~/m",
    ],
)
def test_the_home_is_found_where_a_shell_leaves_it(
    monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setenv("HOME", "/h")
    program = cli.build_parser()
    arguments = program.parse(words.split())
    completion.expand_homes(arguments, program.commands[arguments.command])
    told = repr(vars(arguments))
    assert told.count("'/h/") == words.count("~") and "'~" not in told


def test_the_command_line_finds_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "empty").mkdir()
    assert cli.main(["inspect", "~/empty"]) == 2
    assert f"{tmp_path}/empty: the folder is no model" in capsys.readouterr().err


def test_what_the_help_says_to_type_can_be_typed() -> None:
    typed = re.findall(r"^  (?:bash|fish)  (.+\n.+)$", completion.DESCRIPTION, re.MULTILINE)
    assert len(typed) == 2
    for command in typed:
        subprocess.run(["bash", "-n"], input=command, text=True, check=True)
