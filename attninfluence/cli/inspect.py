"""attninfluence inspect: what a model is, and what reading with it takes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from attninfluence.cli import console, options

if TYPE_CHECKING:
    from attninfluence.model import Model

HELP = "show what a model is"
DESCRIPTION = """\
Show a model's family, sizes, heads, context, rotary embedding, tokenizer, BOS,
memory, kernels, and its retrieval heads where the folder has a heads.json.
"""
EXAMPLE = "attninfluence inspect HuggingFaceTB/SmolLM2-135M"


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
    return f"{value:,}" if type(value) is int else str(value)


def describe(model: Model) -> dict[str, Any]:
    """The model in JSON values; bytes for memory; kernels: those of its precision here."""
    from attninfluence import _core

    core = model.core
    described: dict[str, Any] = {
        "path": model.path,
        "commit": model.commit,
        "family": core.model_type,
        "layers": core.n_layers,
        "heads": core.n_heads,
        "key_value_heads": core.n_kv_heads,
        "head_dim": core.head_dim,
        "hidden_size": core.hidden_size,
        "intermediate_size": core.intermediate_size,
        "vocabulary": core.vocab_size,
        "tied_embeddings": core.tied,
        "context": model.context,
        "rope": core.rope_type,
        "precision": model.precision,
        "kernel": model.kernel,
        "kernels": list(_core.kernels(model.precision)),
        "threads": model.threads,
        "weight_bytes": core.weight_bytes,
        "fingerprint": model.fingerprint,
        **_tokenizer(model),
    }
    found = model.heads
    if found is None:
        described["retrieval_heads"] = None
    else:
        described["retrieval_heads"] = [[int(layer), int(head)] for layer, head in found.selected]
    return described


def _tokenizer(model: Model) -> dict[str, Any]:
    if not model.has_tokenizer:
        return {"tokenizer": None, "bos": None}
    tokenizer = model.tokenizer
    bos = tokenizer.bos_ids("auto")
    return {"tokenizer": tokenizer.vocab_size, "bos": tokenizer.token_strings(bos)}
