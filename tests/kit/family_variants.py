"""What the configurations of all model families are written with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BOTH_DIALECTS = ("v5", "v4")


@dataclass(frozen=True)
class Variant:
    """One configuration of a family."""

    deltas: str
    config: Mapping[str, Any]  # of transformers' configuration class, beyond BASE
    dialects: tuple[str, ...] = BOTH_DIALECTS
    seed: int = 0
    refused: str = ""  # the setting that the core names when it refuses this configuration
    written: Mapping[str, Any] = field(default_factory=dict)  # set in config.json afterwards


BASE: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": None,
    "tie_word_embeddings": False,
    # Far above what is published, so that one left out shows. A family knows one of these names.
    "rms_norm_eps": 0.03,
    "layer_norm_eps": 0.03,
    "layer_norm_epsilon": 0.03,
    "norm_eps": 0.03,
    "norm_epsilon": 0.03,
}
WINDOW = 24
SLIDING, FULL = "sliding_attention", "full_attention"


def rope(kind: str = "default", theta: float = 10000.0, **parameters: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **parameters}}


def layers(*types: str) -> dict[str, Any]:
    return {"num_hidden_layers": len(types), "layer_types": list(types)}


LINEAR = rope("linear", 3000.0, factor=4.0)
DYNAMIC = {**rope("dynamic", 10000.0, factor=3.0), "max_position_embeddings": 64}
LLAMA3 = rope(
    "llama3",
    500000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
YARN = rope("yarn", 10000.0, factor=4.0, original_max_position_embeddings=64)
YARN_OPTIONS = rope(
    "yarn",
    40000.0,
    factor=8.0,
    original_max_position_embeddings=32,
    attention_factor=1.3,
    beta_fast=16.0,
    beta_slow=2.0,
)
YARN_EXACT = rope(
    "yarn",
    150000.0,
    factor=4.0,
    original_max_position_embeddings=64,
    beta_fast=32.0,
    beta_slow=1.0,
    truncate=False,
)


def longrope(pairs: int, **parameters: Any) -> dict[str, Any]:
    """Short factors near 1, long ones growing; documents lie on both sides of 64 tokens."""
    short = [1.0 + 0.1 * i for i in range(pairs)]
    long = [1.5 + 1.5 * i for i in range(pairs)]
    settings = rope("longrope", 10000.0, short_factor=short, long_factor=long, **parameters)
    return {**settings, "original_max_position_embeddings": 64}


def per_layer_type(full: dict[str, Any], sliding: dict[str, Any]) -> dict[str, Any]:
    return {"rope_parameters": {FULL: full["rope_parameters"], SLIDING: sliding["rope_parameters"]}}


# Heads of 16 in families whose head_dim is hidden_size / num_attention_heads.
WIDE = {"hidden_size": 64}
EXPERTS = {"num_local_experts": 8, "num_experts_per_tok": 2, "intermediate_size": 40}
TIED = {"tie_word_embeddings": True}
