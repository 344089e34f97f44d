"""attninfluence demo: the whole story on text that every machine has."""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction

from attninfluence.cli import console, options
from attninfluence.cli.numbers import count, fraction, positive

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
        help="a new folder, or that of an earlier demo (default: attninfluence-demo)",
    )
    parser.add_argument(
        "--model", help="a model folder, GGUF file or hub id (default: the model of the package)"
    )
    parser.add_argument(
        "--documents",
        type=positive,
        default=150,
        help="documents of each domain, at most (default: 150)",
    )
    heads = parser.add_mutually_exclusive_group()
    heads.add_argument(
        "--samples",
        type=positive,
        default=200,
        help="questions asked to find the heads (default: 200)",
    )
    heads.add_argument(
        "--stored-heads",
        action="store_true",
        help="take the heads that the model comes with instead of finding some",
    )
    parser.add_argument(
        "--fraction",
        type=fraction,
        default=Fraction("0.2"),
        help="share of each domain's documents to select (default: 0.2)",
    )
    parser.add_argument(
        "--seed", type=count, default=0, help="seed of the questions and the control (default: 0)"
    )
    options.add_loading_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the demonstration and print what it came to."""
    from attninfluence.demo.steps import run_demo

    try:
        summary = run_demo(
            arguments.output,
            model=options.load_model(arguments),
            documents=arguments.documents,
            samples=None if arguments.stored_heads else arguments.samples,
            fraction=float(arguments.fraction),
            seed=arguments.seed,
            progress=sys.stderr.isatty() and not console.is_quiet(),
            console=console.console(),
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{arguments.output} is not complete; the same command begins it anew"
        ) from None
    console.print_json(summary)
    return 0
