"""The command line: `attninfluence COMMAND ...`, one file for each command.

Progress, tables and errors go to stderr. Each command has a summary, one JSON object, whose names
and meanings are stable: it is printed on stdout where that is no terminal, so that a person sees
the table alone; with `--json` it always is, and stderr is left to errors.

Exit status: 0 when everything asked for was done (rows that cannot be scored are reported, not
lost); 1 when a file was left out, a bound was exceeded or nobody read the summary; 2 for an error;
70 for a bug in this package; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from attninfluence.base.stderr import open_stderr
from attninfluence.base.version import __version__
from attninfluence.cli import (
    bench,
    completion,
    console,
    demo,
    heads,
    inspect,
    mix,
    report,
    score,
    select,
    verify,
)
from attninfluence.cli.errors import bug, is_bug, sentence
from attninfluence.cli.parser import Help, Program

COMMANDS = (demo, heads, score, select, mix, inspect, verify, report, bench, completion)

DESCRIPTION = """\
Score text by AttentionInfluence: how much the loss of a small language model
rises when its retrieval heads are masked. The usual order of commands:

  attninfluence heads  MODEL -o heads.json
  attninfluence score  corpus/ -o scores/ --model MODEL --heads heads.json
  attninfluence select scores/ -o selected/ --fraction 0.2
  attninfluence mix    selected/ -o mix/
  attninfluence report scores/ -o report.html
"""

EPILOG = """\
Tables and progress go to stderr. A JSON summary with stable names goes to
stdout where that is a file or a pipe; with --json it always does, alone.
Exit status: 0 done, 1 something was left out, 2 error, 70 bug, 130 Ctrl-C.
"""


def build_parser() -> Program:
    """The parser of all commands; `run` of the result carries the command out."""
    program = Program(
        prog="attninfluence",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    program.add_argument("--version", action="version", version=f"attninfluence {__version__}")
    program.set_defaults(program=program)
    for module in COMMANDS:
        command = program.add_command(
            module.__name__.rsplit(".", 1)[-1],
            module.HELP,
            description=module.DESCRIPTION,
            epilog=f"example:\n  {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(command)
        command.add_argument(
            "--json", action="store_true", help="print the JSON summary, and nothing but errors"
        )
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        command.set_defaults(run=module.run)
    return program


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; `argv` without the program's name, by default that of the process."""
    with _streams():
        return _main(sys.argv[1:] if argv is None else list(argv))


@contextmanager
def _streams() -> Iterator[None]:
    """Standard streams to write to, whatever the program was started with.

    A service, a shell's `2>&-` and a program that calls this one may have none or closed ones.
    Nobody hears then, and nothing else differs.
    """
    for descriptor in (0, 1, 2):
        # The next file that is opened, of scores perhaps, would get the number of a closed one,
        # and what libraries print there.
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    with ExitStack() as stack:
        stack.enter_context(redirect_stderr(open_stderr()))
        if sys.stdout is None or getattr(sys.stdout, "closed", False):
            nobody = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(redirect_stdout(nobody))
        yield


def _main(words: list[str]) -> int:
    program = build_parser()
    if not words:
        program.print_help(sys.stderr)
        return 2
    try:
        arguments = program.parse(words)
    except SystemExit as stop:
        return int(stop.code or 0)
    completion.expand_homes(arguments, program.commands[arguments.command])
    with console.summary_only(arguments.json), _own_warnings(arguments.command):
        return _run(arguments)


@contextmanager
def _own_warnings(command: str) -> Iterator[None]:
    """Tell the package's own warnings in a line, without the place in its source."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
            if category.__module__.startswith("attninfluence"):
                console.warn(f"attninfluence {command}: warning: {message}")
            else:
                others(message, category, *where, **more)

        warnings.showwarning = show
        yield


def _run(arguments: argparse.Namespace) -> int:
    """The exit status of a command; its errors are told."""
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt as stop:
        kept = str(stop) or "nothing was written"
        print(f"\nattninfluence {arguments.command}: interrupted; {kept}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of stdout has gone, as in `| head`; keep Python from flushing into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the last to hear of it: nobody is shown a traceback
        if arguments.debug:
            traceback.print_exc()
        told = bug(error) if is_bug(error) else sentence(error)
        print(f"attninfluence {arguments.command}: error: {told}", file=sys.stderr)
        return 70 if is_bug(error) else 2
