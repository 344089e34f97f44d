"""What every peer is given: a random-weight model, documents of token ids, heads to mask.

Speed does not depend on the weights' values, so random ones stand for a real model of that
shape. Nothing here knows who reads the model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Head = tuple[int, int]


@dataclass(frozen=True)
class Shape:
    """The sizes of a Llama with tied embeddings."""

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    context: int = 2048


SMOLLM2_135M = Shape("SmolLM2-135M", 576, 30, 9, 3, 64, 1536, 49152)
TINY = Shape("tiny", 48, 3, 4, 2, 12, 96, 320)


def write_model(folder: Path, shape: Shape, seed: int = 0) -> Path:
    """Writes config.json and bf16 model.safetensors of random weights; returns the folder."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)

    def matrix(rows: int, columns: int) -> torch.Tensor:
        values = torch.randn(rows, columns, generator=generator) / math.sqrt(columns)
        return values.to(torch.bfloat16)

    ones = torch.ones(shape.hidden, dtype=torch.bfloat16)
    wide, narrow = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    tensors = {
        "model.embed_tokens.weight": matrix(shape.vocab, shape.hidden),
        "model.norm.weight": ones.clone(),
    }
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        tensors |= {
            prefix + "input_layernorm.weight": ones.clone(),
            prefix + "post_attention_layernorm.weight": ones.clone(),
            prefix + "self_attn.q_proj.weight": matrix(wide, shape.hidden),
            prefix + "self_attn.k_proj.weight": matrix(narrow, shape.hidden),
            prefix + "self_attn.v_proj.weight": matrix(narrow, shape.hidden),
            prefix + "self_attn.o_proj.weight": matrix(shape.hidden, wide),
            prefix + "mlp.gate_proj.weight": matrix(shape.ffn, shape.hidden),
            prefix + "mlp.up_proj.weight": matrix(shape.ffn, shape.hidden),
            prefix + "mlp.down_proj.weight": matrix(shape.hidden, shape.ffn),
        }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(_config(shape), indent=2))
    return folder


def _config(shape: Shape) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "intermediate_size": shape.ffn,
        "vocab_size": shape.vocab,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": None,
        "eos_token_id": None,
    }


def make_documents(
    shape: Shape, count: int, low: int, high: int, seed: int = 0
) -> list[NDArray[np.int32]]:
    """Random ids in documents of log-normal lengths within `low`..`high` tokens.

    The median is 0.49 of `high`; with 64..1,024 the mean is about 550 tokens.
    """
    generator = np.random.default_rng(seed)
    lengths = np.exp(generator.normal(math.log(0.49 * high), 0.6, size=count))
    bounded = np.clip(lengths.round().astype(np.int64), low, high)
    return [generator.integers(0, shape.vocab, size=n, dtype=np.int32) for n in bounded]


def choose_heads(shape: Shape, fraction: float = 0.05, seed: int = 0) -> tuple[Head, ...]:
    """`ceil(fraction * all heads)` heads at random over all layers, in order."""
    total = shape.layers * shape.heads
    count = math.ceil(fraction * total)
    flat = np.random.default_rng(seed).choice(total, size=count, replace=False)
    return tuple(sorted((int(i) // shape.heads, int(i) % shape.heads) for i in flat))


def flops(shape: Shape, lengths: Sequence[int], first_masked_layer: int = 0) -> float:
    """Floating-point operations of the base and the reference reading, a multiply-add being two.

    Layers below the first masked one are counted once: their hidden states are the same in
    both readings. Causal attention counts only the keys a row may see.
    """
    wide, narrow = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    weights = shape.hidden * (2 * wide + 2 * narrow + 3 * shape.ffn)
    tokens = sum(lengths)
    pairs = sum(n * (n + 1) for n in lengths)  # twice the visible (row, key) pairs
    layer = 2.0 * weights * tokens + 2.0 * wide * pairs
    head = 2.0 * shape.hidden * shape.vocab * (tokens - len(lengths))
    return (2 * shape.layers - first_masked_layer) * layer + 2 * head
