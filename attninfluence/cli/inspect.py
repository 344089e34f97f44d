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

The speed is of both readings of documents of random tokens, measured as
`attninfluence bench` does, but over half a second only: an estimate.
"""
EXAMPLE = "attninfluence inspect HuggingFaceTB/SmolLM2-135M"

SPEED_SECONDS = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a model folder or hub id (default: the model of the package)",
    )
    options.add_loading_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the description."""
    model = options.load_model(arguments)
    described = describe(model)
    width = max(map(len, described))
    for name, value in described.items():
        console.say(f"{name:<{width}}  {console.printable(_told(value))}")
    console.print_json(described)
    return 0


def _told(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_told(item)}" for name, item in value.items())
    return f"{value:,}" if type(value) is int else str(value)


def describe(model: Model) -> dict[str, Any]:
    """The model in JSON values; bytes for memory, the speed in document tokens a second."""
    core = model.core
    return {
        "path": model.path,
        "commit": model.commit,
        "family": core.model_type,
        "parameters": core.n_parameters,
        "layers": core.n_layers,
        "heads": core.n_heads,
        "key_value_heads": core.n_kv_heads,
        "head_dim": core.head_dim,
        "hidden_size": core.hidden_size,
        "intermediate_size": core.intermediate_size,
        "vocabulary": core.vocab_size,
        "tied_embeddings": core.tied,
        "context": model.context,
        "rope": _rope(core),
        "window": _window(core),
        "experts": _experts(core),
        **_tokenizer(model),
        **_arithmetic(model),
        "tokens_per_second": _speed(model),
        "fingerprint": model.fingerprint,
        "retrieval_heads": _retrieval_heads(model),
    }


def _rope(core: Core) -> dict[str, Any] | None:
    """The rotary embedding; None where positions are learned."""
    if not core.rotary_dim:
        return None
    rope: dict[str, Any] = {"type": core.rope_type, "theta": core.rope_theta}
    if core.rope_factor != 1:
        rope["factor"] = core.rope_factor
    if core.window_rope_theta:
        rope["theta_of_windowed_layers"] = core.window_rope_theta
    if core.rotary_dim < core.head_dim:
        rope["dimensions"] = core.rotary_dim
    if core.n_unrotated_layers:
        rope["layers_without"] = core.n_unrotated_layers
    return rope


def _window(core: Core) -> dict[str, int] | None:
    return {"keys": core.window, "layers": core.n_windowed_layers} if core.window else None


def _experts(core: Core) -> dict[str, int] | None:
    if not core.n_experts:
        return None
    return {"count": core.n_experts, "per_token": core.experts_per_token}


def _tokenizer(model: Model) -> dict[str, Any]:
    """The kind and size of the tokenizer, and what stands before each text."""
    if not model.has_tokenizer:
        return {"tokenizer": None, "tokenizer_vocabulary": None, "bos": None}
    tokenizer = model.tokenizer
    return {
        "tokenizer": tokenizer.kind,
        "tokenizer_vocabulary": tokenizer.vocab_size,
        "bos": tokenizer.token_strings(tokenizer.bos_ids("auto")),
    }


def _arithmetic(model: Model) -> dict[str, Any]:
    from attninfluence import _core

    core = model.core
    memory = {"fp32": core.fp32_bytes, "bf16": core.bf16_bytes, "int8": core.int8_bytes}
    return {
        "weight_bytes": core.weight_bytes,
        "weight_bytes_by_precision": memory,
        "precision": model.precision,
        "kernel": model.kernel,
        "kernels": list(_core.kernels(model.precision)),
        "threads": model.threads,
    }


def _speed(model: Model) -> int:
    """Document tokens a second of both readings, about."""
    from attninfluence.bench import choose_heads, measure

    speed = measure(model, choose_heads(model, None), seconds=SPEED_SECONDS)
    return round(speed.tokens_per_second)


def _retrieval_heads(model: Model) -> list[list[int]] | None:
    found = model.heads
    if found is None:
        return None
    return [[int(layer), int(head)] for layer, head in found.selected]
