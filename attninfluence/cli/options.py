"""Arguments that several commands share. Scoring options are named as in `attninfluence.score`.

Choices are spelled out, so that `--help` loads no model code; a test compares them with the code.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attninfluence.cli import console
from attninfluence.cli.numbers import count, positive

if TYPE_CHECKING:
    from attninfluence.model.model import Model

PRECISIONS = ("auto", "fp32", "bf16", "int8")
_PRECISION_MEANING = {
    "auto": "auto: bf16 where the CPU has instructions for it, else fp32",
    "int8": "int8: fastest and least exact",
    "all": "all: each in turn",
}
_LOADING_OPTIONS = ("revision", "threads", "cache_dir", "local_files_only")

_NUMBER = re.compile(r"[+-]?[0-9]+")

SCORING_OPTIONS = (
    "mask",
    "bos",
    "max_length",
    "long",
    "stride",
    "special",
    "encoding_errors",
    "count",
)


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    """The model that a command is about, where the bundled one will do."""
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a model folder, GGUF file or hub id (default: the model of the package)",
    )


def add_scores_arguments(parser: argparse.ArgumentParser) -> None:
    """The score runs that a command is about, and what may be amiss with them."""
    parser.add_argument(
        "scores",
        nargs="+",
        metavar="OUT",
        help="the folder that `score` wrote; several are one input: the shards of a run, or runs"
        " over different files",
    )
    parser.add_argument(
        "--mixed-kernels",
        action="store_true",
        help="allow different kernels, which differ in the last bits, between runs or in one",
    )
    parser.add_argument(
        "--allow-missing-shards", action="store_true", help="go on without the shards not named"
    )


def add_loading_options(
    parser: argparse.ArgumentParser, precisions: Sequence[str] = PRECISIONS
) -> None:
    """How the model is opened: the arguments of `attninfluence.load`.

    precisions: the choices of --precision, the first the default; none leave it and --kernel out.
    """
    group = parser.add_argument_group("opening the model")
    group.add_argument(
        "--revision", metavar="NAME", help="branch, tag or commit of a hub model (default: main)"
    )
    if precisions:
        _add_arithmetic(group, precisions)
    group.add_argument(
        "--threads",
        type=positive,
        metavar="N",
        help="threads (default: the CPUs this process may use)",
    )
    group.add_argument(
        "--cache-dir",
        metavar="FOLDER",
        help="where hub models are kept (default: huggingface_hub's)",
    )
    group.add_argument(
        "--local-files-only", action="store_true", help="do not go to the hub, use the cache"
    )


def _add_arithmetic(group: argparse._ArgumentGroup, precisions: Sequence[str]) -> None:
    meanings = [_PRECISION_MEANING[name] for name in precisions if name in _PRECISION_MEANING]
    group.add_argument(
        "--precision",
        choices=precisions,
        default=precisions[0],
        help=f"arithmetic of the matrix products; {'; '.join(meanings)} (default: {precisions[0]})",
    )
    group.add_argument(
        "--kernel",
        metavar="NAME",
        help="code of the matrix products, for the same bits on unlike machines, like avx2 or"
        " portable (default: this CPU's fastest)",
    )


def load_model(arguments: argparse.Namespace, **fixed: Any) -> Model:
    """Open `arguments.model` with the options of `add_loading_options`, or those given here."""
    from attninfluence.model.opening import load

    names = [*_LOADING_OPTIONS, *(("precision", "kernel") if "precision" in arguments else ())]
    asked = {name: getattr(arguments, name) for name in names}
    if console.is_quiet():
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # read when the hub's library is imported
    opening = f"opening {console.printable(arguments.model or 'the model')}"
    with console.waiting(opening), _whole_model(arguments.model):
        return load(arguments.model, **(asked | fixed))


@contextmanager
def _whole_model(named: str | None) -> Iterator[None]:
    """Let the likeliest mistake, a folder that is no model, be told in more than two words."""
    try:
        yield
    except FileNotFoundError as error:
        if named is None or not error.filename or not os.path.isdir(named):
            raise
        missing = os.path.basename(error.filename)
        if missing not in ("config.json", "model.safetensors"):
            raise ValueError(
                f"{named}: the model is not complete, as it has no {missing}, which its "
                "model.safetensors.index.json names; download that file"
            ) from error
        raise ValueError(
            f"{named}: the folder is no model, as it has no {missing}; name one with config.json,"
            " *.safetensors and tokenizer.json, a GGUF file, or a hub id"
        ) from error


def add_scoring_options(parser: argparse.ArgumentParser) -> None:
    """How documents are read: the options of `attninfluence.score`, by the same names."""
    group = parser.add_argument_group("scoring")
    group.add_argument("--heads", metavar="FILE", help="heads.json (default: the model's own)")
    group.add_argument(
        "--control",
        type=_control,
        metavar="SEED|FILE",
        help="a second head set for control_loss and control_score: a seed for as many random"
        " heads that are not among --heads, or a heads.json",
    )
    group.add_argument(
        "--mask",
        choices=("uniform", "zero"),
        default="uniform",
        help="what masked heads do: average what they may see, or nothing (default: uniform)",
    )
    group.add_argument(
        "--bos",
        choices=("auto", "always", "never"),
        default="auto",
        help="begin with the BOS token; auto: as the model's tokenizer does (default: auto)",
    )
    _add_lengths(group)
    group.add_argument(
        "--special",
        choices=("text", "control"),
        default="text",
        help="text that looks like a special token: plain text, or the token (default: text)",
    )
    group.add_argument(
        "--encoding-errors",
        choices=("replace", "strict"),
        default="replace",
        help="invalid UTF-8: repair and flag it, or do not score the row (default: replace)",
    )


def _add_lengths(group: argparse._ArgumentGroup) -> None:
    """What becomes of documents that are longer than a window."""
    group.add_argument(
        "--max-length",
        type=positive,
        metavar="TOKENS",
        help="tokens of a window, BOS included (default: the model's context)",
    )
    group.add_argument(
        "--long",
        choices=("truncate", "chunk", "stride"),
        default="truncate",
        help="documents longer than that: cut them, read them in consecutive or in overlapping"
        " windows (default: truncate)",
    )
    group.add_argument(
        "--stride",
        type=positive,
        metavar="TOKENS",
        help="by how many tokens windows overlap with --long stride (default: half a window)",
    )
    group.add_argument(
        "--count",
        choices=("window", "document"),
        default="window",
        help="what n_tokens counts of a text of more than 262,144 characters with --long truncate:"
        " its beginning, told in partly_counted, or all, which is tokenised for it (default:"
        " window)",
    )


def scoring_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The chosen scoring options but heads and control, ready for `score`."""
    return {name: getattr(arguments, name) for name in SCORING_OPTIONS}


def _control(text: str) -> int | str:
    return count(text) if _NUMBER.fullmatch(text) else text
