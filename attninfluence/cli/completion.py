"""attninfluence completion: a script that lets a shell complete commands, options and files."""

from __future__ import annotations

import argparse

from attninfluence.base.paths import expand_home
from attninfluence.cli import console
from attninfluence.cli.parser import Program

HELP = "print a script that lets a shell complete with Tab"
DESCRIPTION = """\
Print a script for a shell. With it, Tab completes commands, options, their
choices and the names of files. Print it again after an upgrade.

  bash  attninfluence completion bash \\
          > ~/.local/share/bash-completion/completions/attninfluence
  zsh   attninfluence completion zsh > DIR/_attninfluence
          where DIR is a folder of $fpath, named there before compinit runs
  fish  attninfluence completion fish \\
          > ~/.config/fish/completions/attninfluence.fish
  tcsh  attninfluence completion tcsh > ~/.attninfluence.tcsh
          and in ~/.tcshrc: source ~/.attninfluence.tcsh

Make the folder first where there is none. The next shell that is opened has
it.
"""
EXAMPLE = "attninfluence completion bash > /tmp/ai.bash && source /tmp/ai.bash"

SHELLS = ("bash", "zsh", "fish", "tcsh")

# Arguments by what they take, FILES folders too: other names have nothing that a shell could know.
FILES = ("control", "inputs", "corpus", "model")
FOLDERS = ("output", "scores", "selection", "root", "cache_dir")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.add_argument("shell", choices=SHELLS, help="the shell: bash, zsh, fish or tcsh")


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    shell = arguments.shell
    script = script_of(arguments.program, shell)
    if console.is_quiet():
        console.print_json({"shell": shell, "script": script})
    else:
        console.print_result(script)
    return 0


def script_of(program: Program, shell: str) -> str:
    """The script for a shell.

    The shell reads it once and then completes on its own: no Python starts when Tab is pressed.
    """
    import shtab

    for command in program.commands.values():
        command.description = command.summary  # a line, which a shell shows beside the name
        for action in command._actions:
            if _takes_file(action):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif action.dest in FOLDERS:
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    return str(shtab.complete(program, shell))


def expand_homes(arguments: argparse.Namespace, command: argparse.ArgumentParser) -> None:
    """Replace the ~ that a shell leaves, within quotes and in ``--heads=~/heads.json``."""
    for action in command._actions:
        if _takes_file(action) or action.dest in FOLDERS:
            value = getattr(arguments, action.dest)
            if isinstance(value, list):
                setattr(arguments, action.dest, [expand_home(path) for path in value])
            elif isinstance(value, str):
                setattr(arguments, action.dest, expand_home(value))


def _takes_file(action: argparse.Action) -> bool:
    return action.metavar == "FILE" or action.dest in FILES
