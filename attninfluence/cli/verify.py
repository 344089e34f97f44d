"""attninfluence verify: compare a model with transformers, number by number."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attninfluence.cli import console, options
from attninfluence.cli.numbers import positive

if TYPE_CHECKING:
    from attninfluence.verify.ranking import Ranking
    from attninfluence.verify.table import ErrorTable

HELP = "compare a model with transformers"
DESCRIPTION = """\
Read a few built-in texts with this library and with transformers (fp32, eager
attention), as they are and with 5 % of the heads masked, and print by how much
losses, logits and scores differ. Needs torch and transformers:
pip install "attninfluence[verify]".

In fp32 no loss may differ by more than 0.0001 nat, or four times what the
smallest change of its weights does to transformers' own losses ("noise"). In
bf16 and int8 losses may differ by 0.045 on average. The exit status is 1 where
they differ by more. How bf16 and int8 rank 60 built-in texts by their score is
printed beside fp32, with the model's own heads where it has a heads.json.
"""
EXAMPLE = "attninfluence verify HuggingFaceTB/SmolLM2-135M"

PRECISIONS = options.PRECISIONS[1:]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    options.add_model_argument(parser)
    parser.add_argument(
        "--length",
        type=positive,
        metavar="TOKENS",
        help="tokens of the longest text (default: 640, or past a window of up to 1,024 tokens;"
        " at most the model's context)",
    )
    options.add_loading_options(parser, precisions=("all", *PRECISIONS))


def run(arguments: argparse.Namespace) -> int:
    """Print the error table; 1 where a bound is exceeded."""
    from attninfluence.verify.compare import verify

    # What transformers says while it loads would stand between the lines of the table.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    precisions = PRECISIONS if arguments.precision == "all" else (arguments.precision,)
    model = options.load_model(arguments, precision=precisions[0])
    # Read when torch is imported, which would take every CPU of the machine.
    os.environ.setdefault("OMP_NUM_THREADS", str(model.threads))
    console.say(f"reading with transformers, and in {', '.join(precisions)}")
    table = verify(
        model,
        precisions,
        length=arguments.length,
        kernel=arguments.kernel,
        progress=sys.stderr.isatty() and not console.is_quiet(),
    )
    _report(table)
    console.print_json({"model": model.path, "commit": model.commit, **table.as_dict()})
    return 1 if table.excess else 0


def _report(table: ErrorTable) -> None:
    """The table, what it was made with, and the verdict."""
    from attninfluence.verify.documents import PAST_WINDOW

    header = ["", "reading", "largest", "mean", "noise", "allowed", "logits", "score"]
    rows = [
        [
            row.precision if row.reading == "base" else "",
            row.reading,
            f"{row.largest:.1e}",
            f"{row.mean:.1e}",
            "-" if row.noise is None else f"{row.noise:.1e}",
            f"{row.bound:.2g}" + (" largest" if row.precision == "fp32" else " mean"),
            f"{row.logits:.1e}",
            "-" if row.score is None else f"{row.score:.1e}",
        ]
        for row in table.rows
    ]
    title = (
        f"differences from transformers over {table.tokens:,} tokens of {table.documents} texts,"
        f" {len(table.heads)} head{'s' * (len(table.heads) > 1)} masked; losses in nats a token"
    )
    console.print_table(title, header, rows)
    if table.rankings:
        _report_rankings(table.rankings)
    console.say(f"versions: {_told(table.versions)}")
    console.say(f"kernels: {_told({row.precision: row.kernel for row in table.rows})}")
    if not table.is_window_passed:
        console.say(
            f"no text was longer than the window of {table.window:,} tokens, which --length"
            f" {table.window + PAST_WINDOW} would check"
        )
    console.say(table.excess or "every difference is within what is allowed")


def _report_rankings(rankings: Sequence[Ranking]) -> None:
    """How the lower precisions rank the texts."""
    header = ["", "mean", "error / spread", "Spearman", "top fifth"]
    rows = [
        [
            ranking.precision,
            f"{ranking.rounding.moved:.1e}",
            f"{ranking.rounding.error:.3f}",
            f"{ranking.rounding.spearman:.5f}",
            f"{ranking.rounding.overlap:.0%}",
        ]
        for ranking in rankings
    ]
    whose = "the model's own heads" if rankings[0].own_heads else "random heads"
    title = f"scores of {rankings[0].rounding.texts} texts with {whose}, against fp32"
    console.print_table(title, header, rows)


def _told(named: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in named.items())
