"""attninfluence score: every row of a corpus, into a folder of Parquet parts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from attninfluence.cli import console, options

HELP = "score every document of a corpus"
DESCRIPTION = """\
Score every row of Parquet or JSONL files (.gz, .zst). OUT gets Parquet parts
with one row for each input row: file, row, id, domain, n_tokens, n_scored,
base_loss, ref_loss, score, status, truncated, repaired; run.json; and _SUCCESS
when all of it is there. Rows without a score have a status that says why.
"""
EXAMPLE = "attninfluence score corpus/ 'more/*.jsonl.gz' -o scores/ --heads heads.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="a file, folder, glob or URL")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="a new folder")
    parser.add_argument(
        "--model", help="a model folder or hub id (default: the model of the package)"
    )
    parser.add_argument(
        "--text-column", default="text", metavar="NAME", help="column to score (default: text)"
    )
    parser.add_argument(
        "--id-column", metavar="NAME", help="default: id, where there is one; '' for none"
    )
    parser.add_argument(
        "--domain-column", metavar="NAME", help="default: domain, where there is one; '' for none"
    )
    parser.add_argument(
        "--domain-from",
        choices=("column", "folder"),
        default="column",
        help="folder: the domain is the name of the folder that holds the file",
    )
    parser.add_argument("--keep-text", action="store_true", help="write the text into OUT as well")
    parser.add_argument(
        "--bad-shard",
        choices=("stop", "quarantine"),
        default="stop",
        help="a file that cannot be read to its end: stop, or go on without it and exit with"
        " status 1 (default: stop)",
    )
    options.add_scoring_options(parser)
    options.add_loading_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score and print the totals; 1 when a file had to be left out."""
    from attninfluence.output import OutputFolder
    from attninfluence.score_files import Source, score_files

    source = Source(
        arguments.inputs,
        arguments.text_column,
        arguments.id_column,
        arguments.domain_column,
        arguments.domain_from,
        arguments.bad_shard,
    )
    OutputFolder(arguments.output, "scores").check_unused()
    model = options.load_model(arguments)
    try:
        with console.ScoreProgress() as progress:
            totals = score_files(
                source,
                arguments.output,
                model=model,
                heads=arguments.heads,
                control=arguments.control,
                keep_text=arguments.keep_text,
                progress=progress,
                **options.scoring_options(arguments),
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_kept(arguments.output)) from None
    _report(totals)
    totals["output"] = arguments.output
    del totals["files"]
    console.print_json(totals)
    return 1 if totals["bad_files"] else 0


def _kept(output: str) -> str:
    parts = len(list(Path(output).glob("part-*.parquet"))) if Path(output).is_dir() else 0
    if not parts:
        return "no part was finished"
    return f"{output} keeps {parts} finished parts and no _SUCCESS"


def _report(totals: dict[str, Any]) -> None:
    """Tell of rows by domain and status, and of files that were left out."""
    header = ["domain", "rows", "scored", "tokens", "not scored"]
    rows = []
    for entry in totals["domains"]:
        others = {name: n for name, n in entry["statuses"].items() if name != "ok"}
        told = ", ".join(f"{n} {name}" for name, n in others.items())
        scored = entry["statuses"].get("ok", 0)
        rows.append(
            [
                console.domain_name(entry["domain"]),
                f"{entry['rows']:,}",
                f"{scored:,}",
                f"{entry['tokens']:,}",
                told or "-",
            ]
        )
    seconds = totals["seconds"]
    title = f"{totals['rows']:,} rows, {totals['tokens']:,} tokens in {console.clock(seconds)}"
    console.print_table(title, header, rows)
    if totals["repeated_ids"]:
        console.say(f"{totals['repeated_ids']:,} rows repeat an id; their key is (file, row)")
    for bad in totals["bad_files"]:
        console.say(f"left out: {bad['file']}: {bad['error']}")
