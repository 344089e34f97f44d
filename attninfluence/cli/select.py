"""attninfluence select: the best documents of each domain, or a baseline."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attninfluence.cli import console, options
from attninfluence.cli.names import budgets
from attninfluence.cli.numbers import above_zero, count, fraction
from attninfluence.output.files import RUN_NAME, SUCCESS_NAME

if TYPE_CHECKING:
    from attninfluence.select.rule import Rule

HELP = "select the best documents within each domain"
DESCRIPTION = """\
Select documents of finished score runs within each domain: a fraction of the
candidates, or candidates in order of score while they fit a budget of tokens
and, of the next thousand, those that still do. A candidate has a score, and at
least --min-tokens tokens. Ties go by file, in the order of the input, and row.
SELECTED gets the selected rows as Parquet and a summary; `mix` turns them into
documents.
"""
EXAMPLE = "attninfluence select scores/ -o selected/ --fraction 0.2 --random-control 1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    options.add_scores_arguments(parser)
    parser.add_argument("-o", "--output", required=True, metavar="SELECTED", help="a new folder")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument(
        "--fraction", type=fraction, help="share of each domain's candidates (default: 0.2)"
    )
    amount.add_argument(
        "--tokens",
        action="append",
        metavar="N|DOMAIN=N,...|JSON",
        help="budget of tokens, like 50B, shared over the domains by the tokens of their"
        " candidates; or by domain, like math=1B,code=2B, where a domain that is not named gets"
        """ none. Names with a comma in JSON, like '{"a, b": "1B"}' or, for documents without a"""
        """ domain, '[{"domain": null, "tokens": "1B"}]', or @FILE of such JSON. Documents count"""
        " whole, with what was cut off before scoring",
    )
    parser.add_argument(
        "--by",
        choices=("domain", "all"),
        default="domain",
        help="rank within each domain, or the corpus as if it were one domain (default: domain)",
    )
    parser.add_argument(
        "--rank-by",
        choices=("score", "base_loss", "random"),
        default="score",
        help="the highest are selected; base_loss and random are baselines (default: score)",
    )
    parser.add_argument("--bottom", action="store_true", help="select the lowest instead")
    parser.add_argument(
        "--temperature",
        type=above_zero,
        metavar="T",
        help="sample instead, a document the more likely the higher its score: in proportion to"
        " exp(score / T), in standard deviations of its domain's scores",
    )
    parser.add_argument(
        "--seed", type=count, default=0, help="seed of random orders and sampling (default: 0)"
    )
    parser.add_argument(
        "--min-tokens",
        type=count,
        default=0,
        metavar="N",
        help="leave out documents of fewer tokens, before a fraction is taken (default: 0)",
    )
    parser.add_argument(
        "--approximate",
        action="store_true",
        help="save a reading of the scores: cuts are within 0.1 percentage point of the fraction"
        " in domains of 10,000 documents or more; a budget is never exceeded",
    )
    parser.add_argument(
        "--random-control",
        type=count,
        metavar="SEED",
        help="also write SELECTED-random-SEED: random documents with as many tokens by domain",
    )


def run(arguments: argparse.Namespace) -> int:
    """Select and print the summary."""
    from attninfluence.output.finished import open_finished
    from attninfluence.select.selector import select

    control = None
    if arguments.random_control is not None:
        control = f"{arguments.output.rstrip('/')}-random-{arguments.random_control}"
    rule = _rule(arguments)
    try:
        with console.ScoreProgress("rows read") as progress:
            summary = select(
                arguments.scores,
                arguments.output,
                rule,
                by=arguments.by,
                control=control,
                control_seed=arguments.random_control or 0,
                approximate=arguments.approximate,
                mixed_kernels=arguments.mixed_kernels,
                allow_missing_shards=arguments.allow_missing_shards,
                progress=progress,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_left(arguments.output, control)) from None
    _report("selected", summary)
    if control is not None:
        _report("random control", summary["control"])
    left_out = (
        open_finished(arguments.output, "selection").run["scores_totals"].get("bad_files", [])
    )
    for bad in left_out[: console.MOST_ROWS]:
        console.say(console.printable(f"not among the scores: {bad['file']}: {bad['error']}"))
    console.print_json({"output": arguments.output, **summary})
    return 0


def _left(*folders: str | None) -> str:
    """What a selection that was stopped leaves."""
    begun = [name for name in folders if name is not None and Path(name, RUN_NAME).is_file()]
    if not begun:
        return "nothing was written"
    unfinished = [name for name in begun if not Path(name, SUCCESS_NAME).is_file()]
    return f"remove {' and '.join(unfinished or begun)} before you select again"


def _rule(arguments: argparse.Namespace) -> Rule:
    from attninfluence.select.rule import Rule, as_fraction

    tokens = None
    if arguments.tokens is not None:
        try:
            tokens = budgets(arguments.tokens)
        except argparse.ArgumentTypeError as error:
            raise ValueError(f"--tokens: {error}") from None
    share = arguments.fraction
    if tokens is None and share is None:
        share = as_fraction("0.2")
    return Rule(
        share,
        tokens,
        arguments.rank_by,
        arguments.bottom,
        arguments.seed,
        arguments.temperature,
        arguments.min_tokens,
    )


def _report(title: str, summary: dict[str, Any]) -> None:
    """How many documents of each domain were selected, and what share of its tokens they are.

    With a budget of tokens also what was asked for.
    """
    header = ["domain", "candidates", "selected", "share", "tokens", "share", "cut"]
    everything = {"domain": "all domains", "cut": None, **summary["all"]}
    asked = everything["budget"]
    rows = [
        [
            console.printed_domain(entry["domain"]),
            f"{entry['candidates']:,}",
            f"{entry['selected']:,}",
            console.percent_of_one(entry["share_of_documents"]),
            console.short_count(entry["selected_tokens"]),
            console.percent_of_one(entry["share_of_tokens"]),
            "-" if entry["cut"] is None else f"{entry['cut']:.4f}",
        ]
        for entry in [*summary["domains"], everything]
    ]
    whole = summary["all"]
    if asked is not None:
        header.insert(4, "asked")
        for row, entry in zip(rows, [*summary["domains"], everything], strict=True):
            row.insert(4, console.short_count(entry["budget"]))
    console.print_table(title, header, rows[:-1], rows[-1])
    console.say(
        f"{title}: {console.percent_of_one(whole['share_of_documents'])} of the candidates are"
        f" {console.percent_of_one(whole['share_of_tokens'])} of their tokens"
    )
    if asked is not None:
        console.say(f"{title}: {whole['selected_tokens']:,} tokens of {asked:,} asked for")
    if not whole["selected"]:
        console.say(
            "nothing was selected: the first thousand documents of each domain are larger than its"
            " budget"
        )
    unscored = whole["rows"] - whole["scored"]
    if unscored:
        console.say(f"{unscored:,} rows have no score and were not considered")
    short = whole["scored"] - whole["candidates"]
    if short:
        console.say(f"{short:,} documents have too few tokens and were not considered")
