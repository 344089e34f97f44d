"""attninfluence inspect: what a model is, and what reading with it takes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from attninfluence.cli import console, options

if TYPE_CHECKING:
    from attninfluence._core import Model as Core
    from attninfluence.model import Model

HELP = "show what a model is"
DESCRIPTION = """\
Show a model's family, sizes, heads, context, rotary embedding, windows,
experts, tokenizer, BOS, memory in each precision, kernels, expected speed, and
its retrieval heads where the folder has a heads.json.

The speed is of both readings of documents of random tokens, as in
`attninfluence bench`, but measured within half a second or so: an estimate.
"""
EXAMPLE = "attninfluence inspect HuggingFaceTB/SmolLM2-135M"

SPEED_SECONDS = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    options.add_model_argument(parser)
    options.add_loading_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the description."""
    from attninfluence.cli.description import lines_of

    described = describe(options.load_model(arguments))
    lines = lines_of(described)
    width = max(len(label) for label, _ in lines)
    for label, text in lines:
        console.say(f"{label:<{width}}  {console.printable(text)}".rstrip())
    console.print_json(described)
    return 0


def describe(model: Model) -> dict[str, Any]:
    """The model in JSON values; None for what it does not have."""
    from attninfluence import _core

    core, found = model.core, model.heads
    return {
        "path": model.path,
        "commit": model.commit,
        "fingerprint": model.fingerprint,
        "family": core.model_type,
        "parameters": core.n_parameters,
        "layers": core.n_layers,
        "hidden_size": core.hidden_size,
        "intermediate_size": core.intermediate_size,
        "vocabulary": core.vocab_size,
        "tied_embeddings": core.tied,
        "experts": _experts(core),
        "heads": core.n_heads,
        "key_value_heads": core.n_kv_heads,
        "head_dim": core.head_dim,
        "context": model.context,
        "window": _window(core),
        "rope": _rope(core),
        **_tokenizer(model),
        "weight_bytes": {
            "fp32": core.fp32_bytes,
            "bf16": core.bf16_bytes,
            "int8": core.int8_bytes,
        },
        "precision": model.precision,
        "kernel": model.kernel,
        "kernels": list(_core.kernels(model.precision)),
        "speed": _speed(model),
        "retrieval_heads": None if found is None else [list(map(int, at)) for at in found.selected],
    }


def _experts(core: Core) -> dict[str, int] | None:
    if not core.n_experts:
        return None
    return {"count": core.n_experts, "per_token": core.experts_per_token}


def _window(core: Core) -> dict[str, int] | None:
    return {"tokens": core.window, "layers": core.n_windowed_layers} if core.window else None


def _rope(core: Core) -> dict[str, Any] | None:
    """The rotary embedding; None where positions are learned."""
    if not core.rotary_dim:
        return None
    return {
        "type": core.rope_type,
        "theta": core.rope_theta,
        "factor": None if core.rope_factor == 1 else core.rope_factor,
        "original_context": core.rope_original_context or None,
        "windowed_theta": core.window_rope_theta or None,
        "dimensions": core.rotary_dim,
        "layers_without": core.n_unrotated_layers,
    }


def _tokenizer(model: Model) -> dict[str, Any]:
    """The kind and size of the tokenizer, and what stands before each text."""
    if not model.has_tokenizer:
        return {"tokenizer": None, "bos": None, "bos_ids": None}
    tokenizer = model.tokenizer
    bos = tokenizer.bos_ids("auto")
    return {
        "tokenizer": {"kind": tokenizer.kind, "vocabulary": tokenizer.vocab_size},
        "bos": tokenizer.token_strings(bos),
        "bos_ids": bos,
    }


def _speed(model: Model) -> dict[str, Any]:
    """Document tokens a second of both readings, about."""
    from attninfluence.bench import choose_heads, measure_quickly

    rate = measure_quickly(model, choose_heads(model, None), SPEED_SECONDS)
    return {"tokens_per_second": rate, "threads": model.threads}
