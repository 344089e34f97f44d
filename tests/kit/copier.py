"""A Llama that really retrieves, with weights set by hand: one head copies, and it is known which.

Layer 0: head o attends to the token o + 1 places back, by rotary position alone, and notes it.
Layer 1: head 2 attends to the place whose N tokens before it are the last N tokens read, the
most recent one of several, and copies the token there. All other heads are random and unread.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.kit.tiny_models import write_safetensors, write_tokenizer

RETRIEVAL_HEAD = (1, 2)

N = 4  # tokens that must match
WIDTH = 32  # coordinates of one token's code, entries of +1 and -1
VOCAB, HIDDEN, HEAD_DIM, N_HEADS, N_KV_HEADS, INNER = 320, 198, 256, 6, 2, 16
PAIRS = HEAD_DIM // 2  # rotary pairs (i, i + PAIRS), the fastest first
THETA = 1e6
CONSTANT = 8.0  # coordinate 0 of every embedding
CODE = slice(1, 1 + WIDTH)
OUT = slice(1 + (N + 1) * WIDTH, 1 + (N + 2) * WIDTH)


def note(offset: int) -> slice:
    """Where the code of the token `offset` places back is noted."""
    return slice(1 + offset * WIDTH, 1 + (offset + 1) * WIDTH)


def norm(n_codes: int) -> float:
    """What RMS norm multiplies a vector of the constant and `n_codes` codes by."""
    return float(np.sqrt(HIDDEN / (CONSTANT**2 + n_codes * WIDTH)))


def make_copier_folder(path: Path) -> Path:
    """Writes the model and its byte-level tokenizer."""
    path.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "vocab_size": VOCAB,
        "hidden_size": HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": N_HEADS,
        "num_key_value_heads": N_KV_HEADS,
        "head_dim": HEAD_DIM,
        "intermediate_size": INNER,
        "max_position_embeddings": 1024,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": THETA},
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "dtype": "float32",
    }
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_safetensors(path / "model.safetensors", copier_tensors())
    return write_tokenizer(path, vocab_size=VOCAB)


def copier_tensors() -> dict[str, NDArray[np.float32]]:
    """All tensors by their names in a checkpoint."""
    random = np.random.default_rng(0)
    codes = random.choice([-1.0, 1.0], (VOCAB, WIDTH))
    embedding = np.zeros((VOCAB, HIDDEN))
    embedding[:, 0] = CONSTANT
    embedding[:, CODE] = codes
    readout = np.zeros((VOCAB, HIDDEN))
    readout[:, OUT] = 4 * codes
    tensors = {"model.embed_tokens.weight": embedding, "lm_head.weight": readout}
    tensors["model.norm.weight"] = np.ones(HIDDEN)
    for layer, projections in enumerate((previous_tokens(random), retrieval(random))):
        prefix = f"model.layers.{layer}."
        for name, weight in zip("qkvo", projections, strict=True):
            tensors[f"{prefix}self_attn.{name}_proj.weight"] = weight
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{name}.weight"] = np.ones(HIDDEN)
        for name in ("gate", "up"):
            tensors[f"{prefix}mlp.{name}_proj.weight"] = random.standard_normal((INNER, HIDDEN))
        tensors[f"{prefix}mlp.down_proj.weight"] = np.zeros((HIDDEN, INNER))
    return {name: np.ascontiguousarray(array, np.float32) for name, array in tensors.items()}


Projections = tuple[NDArray[np.float64], ...]


def previous_tokens(random: np.random.Generator) -> Projections:
    """Layer 0: q, k, v, o, as they are stored ([out, in])."""
    q = 0.05 * random.standard_normal((N_HEADS, HEAD_DIM, HIDDEN))
    k, v = np.zeros((2, N_KV_HEADS, HEAD_DIM, HIDDEN))
    o = np.zeros((HIDDEN, N_HEADS, HEAD_DIM))
    fast = np.arange(40)
    frequency = THETA ** (-fast / PAIRS)
    strength = 16 / (CONSTANT * norm(1))
    k[:, fast, 0] = strength
    v[:, :WIDTH, CODE] = np.eye(WIDTH) / norm(1)
    for head in range(N):
        q[head] = 0
        q[head, fast, 0] = strength * np.cos((head + 1) * frequency)
        q[head, PAIRS + fast, 0] = -strength * np.sin((head + 1) * frequency)
        o[note(head + 1), head, :WIDTH] = np.eye(WIDTH)
    return flat(q, k, v, o)


def retrieval(random: np.random.Generator) -> Projections:
    """Layer 1: its head 2 reads the second half of keys and values."""
    q = 0.05 * random.standard_normal((N_HEADS, HEAD_DIM, HIDDEN))
    k, v = 0.05 * random.standard_normal((2, N_KV_HEADS, HEAD_DIM, HIDDEN))
    o = np.zeros((HIDDEN, N_HEADS, HEAD_DIM))
    head, group = RETRIEVAL_HEAD[1], RETRIEVAL_HEAD[1] // (N_HEADS // N_KV_HEADS)
    slow = np.concatenate([np.arange(PAIRS // 2, PAIRS), PAIRS + np.arange(PAIRS // 2, PAIRS)])
    q[head], k[group], v[group] = 0, 0, 0
    for place in range(N):
        rows = slow[place * WIDTH : (place + 1) * WIDTH]
        q[head, rows, note(place)] = 4 * np.eye(WIDTH) / norm(N + 1)
        k[group, rows, note(place + 1)] = 4 * np.eye(WIDTH) / norm(N + 1)
    v[group, :WIDTH, CODE] = np.eye(WIDTH) / norm(N + 1)
    o[OUT, head, :WIDTH] = np.eye(WIDTH)
    return flat(q, k, v, o)


def flat(
    q: NDArray[np.float64],
    k: NDArray[np.float64],
    v: NDArray[np.float64],
    o: NDArray[np.float64],
) -> Projections:
    """[heads, head_dim, hidden] as [heads * head_dim, hidden]; o the other way round."""
    return (*(array.reshape(-1, HIDDEN) for array in (q, k, v)), o.reshape(HIDDEN, -1))
