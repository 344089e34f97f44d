"""What a model is, in JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attninfluence._core import Model as Core
    from attninfluence.heads.head_scores import HeadScores
    from attninfluence.model.model import Model

Described = dict[str, Any]


def describe(model: Model, *, fingerprint: bool = True) -> Described:
    """The model in JSON values; None for what it does not have.

    fingerprint: False leaves it None; it takes a reading of every file of the folder, once.
    ModelError when the tokenizer or the heads.json of the folder cannot be read.
    """
    from attninfluence import _core

    core, found = model.core, model.heads
    return {
        "path": model.path,
        "commit": model.commit,
        "fingerprint": model.fingerprint if fingerprint else None,
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
        **_heads(found),
    }


def _heads(found: HeadScores | None) -> Described:
    if found is None:
        return {"retrieval_heads": None, "stability": None}
    return {
        "retrieval_heads": [list(map(int, head)) for head in found.selected],
        "stability": found.stability().summary(),
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
