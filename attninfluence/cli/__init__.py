"""The command line: `attninfluence COMMAND ...`, one file for each command.

Progress, tables and errors go to stderr, a JSON summary to stdout. Exit status: 0 when everything
asked for was done (rows that cannot be scored are reported, not lost), 1 when a file was left out,
2 for an error, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from attninfluence import __version__
from attninfluence.cli import bench, demo, heads, inspect, mix, report, score, select, verify

COMMANDS = (demo, heads, score, select, mix, inspect, verify, report, bench)

DESCRIPTION = """\
Score text by AttentionInfluence: how much the loss of a small language model
rises when its retrieval heads are masked. The usual order of commands:

  attninfluence heads  MODEL -o heads.json
  attninfluence score  corpus/ -o scores/ --model MODEL --heads heads.json
  attninfluence select scores/ -o selected/ --fraction 0.2
  attninfluence mix    selected/ -o mix/
"""


class Parser(argparse.ArgumentParser):
    """argparse, with an error of one sentence instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def build_parser() -> Parser:
    """The parser of all commands; `run` of the result carries the command out."""
    parser = Parser(
        prog="attninfluence",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"attninfluence {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="command")
    for module in COMMANDS:
        command = commands.add_parser(
            module.__name__.rsplit(".", 1)[-1],
            help=module.HELP,
            description=module.DESCRIPTION,
            epilog=f"example:\n  {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(command)
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; `argv` without the program's name, by default that of the process."""
    try:
        arguments = build_parser().parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
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
    except (ValueError, OSError, MemoryError, ImportError) as error:
        if arguments.debug:
            traceback.print_exc()
        print(f"attninfluence {arguments.command}: error: {sentence(error)}", file=sys.stderr)
        return 2


def sentence(error: BaseException) -> str:
    """An exception as one line of text."""
    if isinstance(error, OSError) and error.strerror:
        named = f"{error.filename}: " if error.filename else ""
        text = named + error.strerror
    elif isinstance(error, MemoryError) and not str(error):
        text = "not enough memory"
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())
