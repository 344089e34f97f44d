"""attninfluence demo: the whole story on text that every machine has."""

from __future__ import annotations

import argparse

from attninfluence.cli import console

HELP = "try everything on text that every machine has"
DESCRIPTION = """\
Find the heads of the model in the package, score several hundred documents of
the Python installation and of the package, select within each domain, and write
tables, Parquet files and report.html into a folder.
"""
EXAMPLE = "attninfluence demo -o demo/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.add_argument(
        "-o",
        "--output",
        default="attninfluence-demo",
        metavar="FOLDER",
        help="a new folder (default: attninfluence-demo)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demonstration."""
    from attninfluence.demo import run_demo

    run_demo(arguments.output)
    console.print_json({"output": arguments.output})
    return 0
