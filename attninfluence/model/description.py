"""What a model is, in JSON values: the parts of `Model.describe`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attninfluence._core import kernels
from attninfluence.heads.file import finite_or_none

if TYPE_CHECKING:
    from pathlib import Path

    from attninfluence._core import Model as Core
    from attninfluence.heads.head_scores import HeadScores
    from attninfluence.tokenizer.tokenizer import Tokenizer

Described = dict[str, Any]


def describe_shape(core: Core) -> Described:
    """Family and sizes; None for what the model does not have."""
    return {
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
        "context": core.max_position_embeddings,
        "window": _window(core),
        "rope": _rope(core),
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


def describe_tokenizer(tokenizer: Tokenizer | None) -> Described:
    """Its kind and size, and what stands before each text; None without one."""
    if tokenizer is None:
        return {"tokenizer": None, "bos": None, "bos_ids": None}
    bos = tokenizer.bos_ids("auto")
    return {
        "tokenizer": {"kind": tokenizer.kind, "vocabulary": tokenizer.vocab_size},
        "bos": tokenizer.token_strings(bos),
        "bos_ids": bos,
    }


def describe_arithmetic(core: Core) -> Described:
    """Bytes of the weights in each precision, and with what matrices are multiplied."""
    return {
        "weight_bytes": {
            "fp32": core.fp32_bytes,
            "bf16": core.bf16_bytes,
            "int8": core.int8_bytes,
        },
        "precision": core.precision,
        "kernel": core.kernel,
        "kernels": list(kernels(core.precision)),
    }


def describe_heads(found: HeadScores | None, file: Path | None) -> Described:
    """Those that are selected, where they come from, and whether their samples tell them apart."""
    if found is None:
        return dict.fromkeys(("retrieval_heads", "heads_file", "stability", "rounding"))
    return {
        "retrieval_heads": [list(map(int, head)) for head in found.selected],
        "heads_file": str(file),
        "stability": found.stability().summary(),
        "rounding": finite_or_none(found.rounding),
    }
