"""attninfluence mix: the corpus plus its selected subset."""

from __future__ import annotations

import argparse
from typing import Any

from attninfluence.cli import console

HELP = "write the corpus plus the selected documents"
DESCRIPTION = """\
Write the training mix of a selection: the whole corpus, and the selected
documents once more. MIX/corpus/ and MIX/selected/ hold files like the input;
recipe.json names them as sources with weights, as datasets.interleave_datasets
and datatrove's readers take them. With --recipe the corpus is not copied, only
named.
"""
EXAMPLE = "attninfluence mix selected/ -o mix/ --recipe"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.add_argument("selection", metavar="SELECTED", help="the folder that `select` wrote")
    parser.add_argument("-o", "--output", required=True, metavar="MIX", help="a new folder")
    parser.add_argument(
        "--recipe", action="store_true", help="name the corpus files instead of copying them"
    )
    parser.add_argument(
        "--root",
        action="append",
        metavar="FOLDER",
        help="where relative names of the input files start from, as far as the files are there"
        " (else: the folder that `score` ran in), and a place to read them below: needed where they"
        " are neither below the current folder nor below one that holds SELECTED or MIX; a URL's"
        " beginning too",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the mix and print its totals."""
    from attninfluence.mix.write import mix

    try:
        with console.ScoreProgress("files") as progress:
            summary = mix(
                arguments.selection,
                arguments.output,
                recipe_only=arguments.recipe,
                root=arguments.root,
                progress=progress,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{arguments.output} is not complete and has no _SUCCESS; remove it and mix again"
        ) from None
    _report(summary)
    console.print_json({"output": arguments.output, **summary})
    return 0


def _report(summary: dict[str, Any]) -> None:
    """Tokens in all, tokens selected and shares, as the paper reports its corpus."""
    whole = summary["all"]
    header = ["domain", "corpus", "selected", "in all", "share"]
    rows = [
        [
            console.printed_domain(entry["domain"]),
            console.short_count(entry["corpus_tokens"]),
            console.short_count(entry["selected_tokens"]),
            console.short_count(entry["tokens"]),
            console.percent_of_one(entry.get("share", 1.0)),
        ]
        for entry in [*summary["domains"], {"domain": "all domains", **whole}]
    ]
    console.print_table("tokens of the mix", header, rows[:-1], rows[-1])
    console.say(
        f"{whole['tokens']:,} tokens in all: {whole['corpus_tokens']:,} of the corpus plus"
        f" {whole['selected_tokens']:,} selected"
    )
