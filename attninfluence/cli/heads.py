"""attninfluence heads: find a model's retrieval heads."""

from __future__ import annotations

import argparse
import errno
import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from attninfluence.cli import console, options
from attninfluence.cli.numbers import above_zero, count, fraction, positive

if TYPE_CHECKING:
    from attninfluence.heads.head_scores import HeadScores
    from attninfluence.model.model import Model

HELP = "find a model's retrieval heads"
DESCRIPTION = """\
Find the heads that copy: the model answers which value belongs to a key of a
JSON object, and a head scores by how often its largest attention weight is on
the token to be copied. The scores of all heads and the selected ones go into a
heads.json, which `score` takes. Computed in fp32 unless told otherwise. The
same command goes on where it was interrupted.
"""
EXAMPLE = "attninfluence heads HuggingFaceTB/SmolLM2-135M -o heads.json --samples 200"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command: those of `attninfluence.find_retrieval_heads`."""
    parser.add_argument("model", metavar="MODEL", help="a model folder, GGUF file or hub id")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="heads.json to write")
    parser.add_argument(
        "--samples",
        type=_samples,
        default=800,
        metavar="N",
        help="questions asked, or auto: of 800 as many as settle which heads all of them would"
        " select (default: 800)",
    )
    parser.add_argument(
        "--max-length",
        type=positive,
        default=4096,
        metavar="TOKENS",
        help="tokens of a question with its answer, at most the model's context (default: 4096)",
    )
    parser.add_argument(
        "--shots", type=count, default=3, metavar="N", help="solved examples (default: 3)"
    )
    parser.add_argument(
        "--decoding",
        choices=("teacher_forced", "greedy"),
        default="teacher_forced",
        help="feed the answer, or let the model write it (default: teacher_forced)",
    )
    parser.add_argument(
        "--no-require-success",
        dest="require_success",
        action="store_false",
        help="count questions that the model answers wrongly, too",
    )
    parser.add_argument(
        "--corpus",
        metavar="INPUT",
        help="take the values from the text of this file or folder (default: sentences that come"
        " with the package)",
    )
    parser.add_argument("--seed", type=count, default=0, help="seed of the questions (default: 0)")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--fraction",
        type=fraction,
        default=Fraction("0.05"),
        metavar="SHARE",
        help="share of the heads to select (default: 0.05)",
    )
    choice.add_argument("--count", type=positive, metavar="N", help="number of heads to select")
    choice.add_argument(
        "--threshold",
        type=above_zero,
        metavar="SCORE",
        help="select heads with at least this score",
    )
    options.add_loading_options(parser, precisions=options.PRECISIONS[1:])


def _samples(text: str) -> int | Literal["auto"]:
    """A whole number above 0, or auto."""
    if text == "auto":
        return "auto"
    try:
        return positive(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, or auto") from None


def run(arguments: argparse.Namespace) -> int:
    """Find the heads, write them, and print which they are."""
    from attninfluence.heads.errors import RetrievalError

    folder = Path(arguments.output).parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder for {arguments.output}")
    if Path(arguments.output).is_dir():
        raise IsADirectoryError(f"{arguments.output}: is a folder; name a file like heads.json")
    if not os.access(folder, os.W_OK):  # told before the minutes that the search takes
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    model = options.load_model(arguments)
    keep = _keep_beside(arguments.output)
    try:
        found = _find(arguments, model, keep)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_kept(keep)) from None
    except RetrievalError:
        _remove(keep)
        raise
    found.save(arguments.output)
    _remove(keep)
    _tell(arguments, model, found)
    return 0


def _keep_beside(output: str) -> Path | None:
    """The file of what was read, beside a file that is written; None beside a device."""
    is_file = Path(output).is_file() or not Path(output).exists()
    return Path(f"{output}.readings") if is_file else None


def _kept(keep: Path | None) -> str:
    if keep is None or not keep.is_file():
        return ""
    return f"{keep} has what was read: the same command goes on from there"


def _remove(keep: Path | None) -> None:
    if keep is not None:
        keep.unlink(missing_ok=True)


def _find(arguments: argparse.Namespace, model: Model, keep: Path | None) -> HeadScores:
    from attninfluence.retrieval.find import find_retrieval_heads

    return find_retrieval_heads(
        model,
        samples=arguments.samples,
        max_length=arguments.max_length,
        shots=arguments.shots,
        decoding=arguments.decoding,
        require_success=arguments.require_success,
        fraction=float(arguments.fraction),
        count=arguments.count,
        threshold=arguments.threshold,
        corpus=arguments.corpus,
        seed=arguments.seed,
        precision=arguments.precision,
        keep=keep,
        progress=not console.is_quiet(),
    )


def _tell(arguments: argparse.Namespace, model: Model, found: HeadScores) -> None:
    from attninfluence.retrieval.find import MOST_SAMPLES

    best = [
        {"layer": layer, "head": head, "score": float(found.scores[layer, head])}
        for layer, head in found.selected
    ]
    rows = [[f"layer {b['layer']}, head {b['head']}", f"{b['score']:.3f}"] for b in best]
    console.print_table(
        f"{len(best)} retrieval heads of {found.scores.size}", ["head", "score"], rows
    )
    if arguments.samples == "auto" and found.samples < MOST_SAMPLES:
        console.say(
            f"After {found.samples} of {MOST_SAMPLES} samples it was settled, with a confidence of"
            " 99.9 %, that all of them would select these heads."
        )
    stability = found.stability()
    console.say(f"Are these samples enough? {stability}")
    console.print_json(
        {
            "output": arguments.output,
            "precision": model.precision,
            "kernel": model.kernel,
            "samples": found.samples,
            "counted": found.n_counted,
            "success_rate": found.success_rate,
            "selected": best,
            "stability": stability.summary(),
        }
    )
