"""attninfluence report: a score run as one HTML page."""

from __future__ import annotations

import argparse
from fractions import Fraction
from typing import TYPE_CHECKING

from attninfluence.cli import console, options
from attninfluence.cli.numbers import count, fraction

if TYPE_CHECKING:
    from attninfluence.model.model import Model

HELP = "write an HTML report of a score run"
DESCRIPTION = """\
Write one self-contained HTML page about a finished score run, or several that
are one: its heads, the scores by domain with the cut, what cuts of 10, 20 and
30 % keep, loss and length, the control, and the best, middle and worst
documents token by token. The scores are streamed, so there may be any number.
"""
EXAMPLE = "attninfluence report scores/ -o report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    options.add_scores_arguments(parser)
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="page to write, .html"
    )
    parser.add_argument(
        "--fraction",
        type=fraction,
        default=Fraction("0.2"),
        help="share of each domain that is shown as selected (default: 0.2)",
    )
    parser.add_argument(
        "--heads", metavar="FILE", help="heads.json of the run (default: the model's own)"
    )
    parser.add_argument(
        "--model",
        help="the model of the run, to read the best documents again, more of them than the run"
        " kept, in its precision (after `score --keep-text`)",
    )
    parser.add_argument(
        "--examples",
        type=count,
        default=3,
        help="best and worst documents shown of each domain, as far as a page has room"
        " (default: 3)",
    )
    options.add_loading_options(parser, precisions=())


def run(arguments: argparse.Namespace) -> int:
    """Write the page."""
    from attninfluence.report.write import write_report

    model = None if arguments.model is None else _model_of_the_run(arguments)
    with console.ScoreProgress("rows read") as progress:
        page = write_report(
            arguments.scores,
            arguments.output,
            heads=arguments.heads,
            model=model,
            fraction=str(arguments.fraction),
            examples=arguments.examples,
            mixed_kernels=arguments.mixed_kernels,
            allow_missing_shards=arguments.allow_missing_shards,
            progress=progress,
        )
    size = page.stat().st_size / 1e6
    console.say(f"{console.printable(arguments.output)}: a page of {size:.2g} MB, for any browser")
    console.print_json({"output": arguments.output})
    return 0


def _model_of_the_run(arguments: argparse.Namespace) -> Model:
    """The model, opened in the run's precision, and with its kernel where this CPU has it."""
    from attninfluence._core import ModelError
    from attninfluence.output.score_runs import open_scores
    from attninfluence.report.documents import check_has_text

    runs = open_scores(
        arguments.scores,
        mixed_kernels=arguments.mixed_kernels,
        allow_missing_shards=arguments.allow_missing_shards,
    )
    check_has_text(runs)
    scoring = runs.common["scoring"]
    precision, kernel = scoring["precision"], scoring["kernel"]
    try:
        return options.load_model(arguments, precision=precision, kernel=kernel)
    except ValueError as error:
        if isinstance(error, ModelError) or kernel not in str(error):
            raise
        return options.load_model(arguments, precision=precision)
