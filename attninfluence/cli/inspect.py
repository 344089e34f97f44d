"""attninfluence inspect: what a model is, and what reading with it takes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from attninfluence.cli import console, options

if TYPE_CHECKING:
    from attninfluence.model.model import Model

HELP = "show what a model is"
DESCRIPTION = """\
Show a model's family, sizes, heads, context, rotary embedding, windows,
experts, tokenizer, BOS, memory in each precision, kernels, expected speed, and
where a heads.json lies with it, its retrieval heads and whether the samples
tell them from the others. Of a GGUF file also what it calls itself, how many
values it keeps in each type, and which tokenizer and split it names.

The speed is of both readings of documents of random tokens, as in
`attninfluence bench`, but measured within half a second or so: an estimate.

The tokenizer is opened by another process first: a file that crashes the
library that reads it is told of, and ends nothing else.
"""
EXAMPLE = "attninfluence inspect HuggingFaceTB/SmolLM2-135M"

SPEED_SECONDS = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    options.add_model_argument(parser)
    options.add_loading_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the description."""
    from attninfluence.model.lines import lines_of
    from attninfluence.tokenizer.trial import try_in_child

    model = options.load_model(arguments)
    if model.has_tokenizer:
        try_in_child(model.path)
    described = {**model.describe(), "speed": _speed(model)}
    console.print_facts(lines_of(described))
    console.print_json(described)
    return 0


def _speed(model: Model) -> dict[str, Any]:
    """Document tokens a second of both readings, about."""
    from attninfluence.bench import choose_heads, measure_quickly

    rate = measure_quickly(model, choose_heads(model, None), SPEED_SECONDS)
    return {"tokens_per_second": rate, "threads": model.threads}
