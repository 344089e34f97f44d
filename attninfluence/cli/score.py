"""attninfluence score: every row of a corpus, into a folder of Parquet parts."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from attninfluence.cli import console, options
from attninfluence.cli.names import columns
from attninfluence.cli.numbers import positive, seconds
from attninfluence.views.words import plural

if TYPE_CHECKING:
    from attninfluence.model.model import Model
    from attninfluence.run.shards import Shard
    from attninfluence.run.source import Source

HELP = "score every document of a corpus, or go on with it"
DESCRIPTION = """\
Score every row of Parquet, Arrow, JSON and CSV files and every text file (also
.gz, .zst, .bz2, .xz). OUT gets Parquet parts with one row for each input row:
file, row, id, domain, n_tokens, n_scored, base_loss, ref_loss, score, status,
truncated, repaired, partly_counted; run.json; and _SUCCESS when all of it is
there. Rows without a score have a status that says why.

Killed at any instant, the same command goes on where it was. With another
model, option or input it refuses, and says what differs.
"""
EXAMPLE = "attninfluence score corpus/ 'more/*.jsonl.gz' -o scores/ --heads heads.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="a file, folder, glob or URL")
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="a new folder, or an unfinished one (needed unless --dry-run)",
    )
    parser.add_argument(
        "--model", help="a model folder, GGUF file or hub id (default: the model of the package)"
    )
    _add_columns(parser)
    _add_running(parser)
    options.add_scoring_options(parser)
    options.add_loading_options(parser)


def _add_columns(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("columns")
    group.add_argument(
        "--text-column",
        default="text",
        metavar="NAME",
        help="column to score; dots lead into structs and objects (default: text)",
    )
    group.add_argument(
        "--id-column", metavar="NAME", help="default: id, where there is one; '' for none"
    )
    group.add_argument(
        "--domain-column", metavar="NAME", help="default: domain, where there is one; '' for none"
    )
    group.add_argument(
        "--domain-from",
        choices=("column", "path"),
        default="column",
        help="path: the domain is the first folder below INPUT that holds the file, or the file's"
        " own name where there is none",
    )
    group.add_argument(
        "--keep-columns",
        type=columns,
        action="extend",
        default=[],
        metavar="NAME,...",
        help="""write these as well; a name with a comma as '["a, b"]'""",
    )
    group.add_argument("--keep-text", action="store_true", help="write the text into OUT as well")


def _add_running(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the run")
    group.add_argument(
        "--dry-run", action="store_true", help="say what to expect: documents, tokens, time, memory"
    )
    group.add_argument("--limit", type=positive, metavar="N", help="score N rows at most")
    group.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="score one of N equal shares of the input, I from 0 to N-1, into an OUT of its own",
    )
    group.add_argument(
        "--on-bad-shard",
        choices=("stop", "skip"),
        default="stop",
        help="a file that cannot be read to its end: stop, or go on without it and exit with"
        " status 1 (default: stop)",
    )
    group.add_argument(
        "--checkpoint-seconds",
        type=seconds,
        default=300.0,
        metavar="S",
        help="write a part at least this often; what a killed run loses (default: 300)",
    )
    group.add_argument(
        "--mixed-kernels",
        action="store_true",
        help="go on with another matrix kernel than the run began with: scores then differ in"
        " their last bits, and each part records its kernel",
    )


def _shard(text: str) -> Shard:
    from attninfluence.run.shards import parse_shard

    try:
        return parse_shard(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(arguments: argparse.Namespace) -> int:
    """Score and print the totals; 1 when a file had to be left out."""
    from attninfluence.run.lock import check_unlocked

    source = _source(arguments)
    if arguments.dry_run:
        return _expect(arguments, source)
    if not arguments.output:
        raise ValueError("name the folder for the scores: -o OUT")
    check_unlocked(arguments.output)  # before the model is opened, which may take long
    try:
        with _terminable():
            totals, model = _score(arguments, source)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_kept(arguments.output)) from None
    except SystemExit:
        console.warn(f"attninfluence score: terminated; {_kept(arguments.output)}")
        raise
    _report(totals)
    _tell_misfit(totals, model)
    totals["output"] = arguments.output
    del totals["files"]
    console.print_json(totals)
    return 1 if totals["bad_files"] else 0


def _source(arguments: argparse.Namespace) -> Source:
    from attninfluence.run.source import Source

    return Source(
        inputs=arguments.inputs,
        text_column=arguments.text_column,
        id_column=arguments.id_column,
        domain_column=arguments.domain_column,
        domain_from=arguments.domain_from,
        keep_columns=arguments.keep_columns,
        on_bad_shard=arguments.on_bad_shard,
        shard=arguments.shard,
        limit=arguments.limit,
    )


def _score(arguments: argparse.Namespace, source: Source) -> tuple[dict[str, Any], Model]:
    """The totals of the run, and the model that it was made with."""
    from attninfluence.run.session import score_files

    model = options.load_model(arguments)
    with console.ScoreProgress() as progress:
        totals = score_files(
            source,
            arguments.output,
            model=model,
            heads=arguments.heads,
            control=arguments.control,
            keep_text=arguments.keep_text,
            checkpoint_seconds=arguments.checkpoint_seconds,
            mixed_kernels=arguments.mixed_kernels,
            progress=progress,
            **options.scoring_options(arguments),
        )
    return totals, model


@contextmanager
def _terminable() -> Iterator[None]:
    """A batch system asks before it kills: let SIGTERM end the run so that its rows are written."""

    def terminate(signum: int, frame: object) -> NoReturn:
        raise SystemExit(128 + signum)

    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _kept(output: str) -> str:
    parts = len(list(Path(output).glob("part-*.parquet"))) if Path(output).is_dir() else 0
    if not parts:
        return "no row was written"
    return f"{output} keeps its {parts} parts; the same command goes on from there"


def _expect(arguments: argparse.Namespace, source: Source) -> int:
    """Print what the run would come to; nothing is written."""
    from attninfluence.run.dry_run import dry_run

    model = options.load_model(arguments)
    expected = dry_run(
        source,
        model=model,
        heads=arguments.heads,
        control=arguments.control,
        **options.scoring_options(arguments),
    )
    sampled = expected["sampled_documents"]
    console.say("expected, from a sample:" if sampled else "nothing to score:")
    console.print_facts(
        [
            ("files", f"{expected['files']:,}"),
            ("documents", f"{expected['documents']:,}"),
            ("tokens", console.short_count(expected["tokens"])),
            ("tokens a second", f"{expected['tokens_per_second']:,.1f}"),
            ("time", console.clock(expected["seconds"])),
            ("memory", f"{expected['memory_bytes'] / 2**20:,.0f} MiB"),
        ]
    )
    _tell_no_label(expected)
    _tell_passed_over(expected)
    fate = "stop the run at" if source.on_bad_shard == "stop" else "be left out"
    for bad in expected["bad_files"]:
        console.say(console.printable(f"would {fate}: {bad['file']}: {bad['error']}"))
    console.print_json(expected)
    return 1 if expected["bad_files"] else 0


def _row(name: str, entry: dict[str, Any]) -> list[str]:
    scored = entry["statuses"].get("ok", 0)
    numbers = (entry["rows"], scored, entry["rows"] - scored, entry["tokens"])
    return [name, *(f"{number:,}" for number in numbers)]


def _report(totals: dict[str, Any]) -> None:
    """Tell of rows by domain and status, and of files that were left out."""
    header = ["domain", "rows", "scored", "not scored", "tokens"]
    rows = [_row(console.printed_domain(entry["domain"]), entry) for entry in totals["domains"]]
    whole = _row("all domains", totals) if len(rows) > 1 else None
    title = f"{plural(totals['rows'], 'row')} in {console.clock(totals['seconds'])}"
    console.print_table(title, header, rows, whole)
    others = {name: n for name, n in totals["statuses"].items() if name != "ok"}
    if others:
        told = ", ".join(f"{n:,} {name}" for name, n in others.items())
        console.say(f"not scored: {told}")
    _tell_no_label(totals)
    if partly := totals.get("partly_counted"):  # a run of before has none
        verb = "goes" if partly == 1 else "go"
        console.say(
            f"partly counted: {plural(partly, 'row')}, of which the text {verb} on after n_tokens"
            " (--count document counts all)"
        )
    if totals["repeated_ids"] is None:
        console.say("repeated ids were not counted: there are too many ids")
    elif totals["repeated_ids"]:
        console.say(f"{totals['repeated_ids']:,} rows repeat an id; their key is (file, row)")
    _tell_passed_over(totals)
    for bad in totals["bad_files"]:
        console.say(console.printable(f"left out: {bad['file']}: {bad['error']}"))


def _tell_no_label(totals: dict[str, Any]) -> None:
    for found in totals.get("no_label", ()):  # a run of before has none
        where = f"{plural(found['rows'], 'row')} of {plural(found['files'], 'file')}"
        told = f"no {found['column']}: {where} hold something else there, the first in"
        console.say(console.printable(f"{told} {found['first_file']}"))


def _tell_passed_over(totals: dict[str, Any]) -> None:
    from attninfluence.corpus.passed_over import passed_over_in_words

    for entry in totals.get("passed_over", ()):
        console.say(console.printable(passed_over_in_words(entry)))


def _tell_misfit(totals: dict[str, Any], model: Model) -> None:
    """The likeliest cause of texts that the tokenizer failed on, where it has more ids."""
    if totals["statuses"].get("tokenizer_error") and model.tokenizer.vocab_size > model.vocab_size:
        console.say(
            f"the tokenizer has {model.tokenizer.vocab_size:,} ids and the model's vocabulary "
            f"{model.vocab_size:,}: a text with a token beyond it is not scored (tokenizer_error)"
        )
