"""The whole Llama family in float64 NumPy, as METHOD.md reads: the tests' second opinion.

Slow and direct on purpose. It shares nothing with the C core or with transformers: it
reads the files, rotates, attends, masks and takes the losses on its own.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Heads = NDArray[np.bool_]


@dataclass(frozen=True)
class Reading:
    """What one pass over a document gives."""

    logits: Floats  # [n_tokens, vocab]
    attention: Floats  # [n_layers, n_heads, n_tokens, n_tokens], as applied to the values


class Oracle:
    """A Llama model in float64. `masked` arguments are bool[n_layers, n_heads] or None."""

    def __init__(self, folder: str | Path) -> None:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        self.weights = read_weights(Path(folder))
        self.n_layers: int = config["num_hidden_layers"]
        self.n_heads: int = config["num_attention_heads"]
        self.n_kv_heads: int = config.get("num_key_value_heads") or self.n_heads
        self.head_dim: int = config.get("head_dim") or config["hidden_size"] // self.n_heads
        self.context: int = config["max_position_embeddings"]
        self.epsilon: float = config["rms_norm_eps"]
        self.rope = rope_settings(config)
        tied = config.get("tie_word_embeddings", False)
        self.head = self.weights["model.embed_tokens.weight" if tied else "lm_head.weight"]

    def read(self, ids: ArrayLike, masked: Heads | None = None, mask: str = "uniform") -> Reading:
        """Logits and attention of the document `ids`, with the heads of `masked` masked."""
        if masked is None:
            masked = np.zeros((self.n_layers, self.n_heads), dtype=bool)
        x = self.weights["model.embed_tokens.weight"][np.asarray(ids)]
        cos, sin = self.rotation(len(x))
        attention = []
        for layer in range(self.n_layers):
            name = f"model.layers.{layer}."
            normed = self.norm(x, name + "input_layernorm")
            q = rotate(self.heads(normed, name + "self_attn.q_proj"), cos, sin)
            k = rotate(self.heads(normed, name + "self_attn.k_proj"), cos, sin)
            v = self.heads(normed, name + "self_attn.v_proj")
            group = self.n_heads // self.n_kv_heads
            k, v = k.repeat(group, axis=0), v.repeat(group, axis=0)
            a = masked_weights(softmax_causal(q, k), masked[layer], mask)
            mixed = (a @ v).transpose(1, 0, 2).reshape(len(x), -1)
            x = x + self.linear(mixed, name + "self_attn.o_proj")
            normed = self.norm(x, name + "post_attention_layernorm")
            gate = self.linear(normed, name + "mlp.gate_proj")
            up = self.linear(normed, name + "mlp.up_proj")
            x = x + self.linear(gate / (1 + np.exp(-gate)) * up, name + "mlp.down_proj")
            attention.append(a)
        return Reading(self.norm(x, "model.norm") @ self.head.T, np.stack(attention))

    def losses(self, ids: ArrayLike, masked: Heads | None = None, mask: str = "uniform") -> Floats:
        """Loss in nats of every token but the first, float64[n_tokens - 1]."""
        return token_losses(self.read(ids, masked, mask).logits, ids)

    def linear(self, x: Floats, name: str) -> Floats:
        """Weights are stored [out, in]; a bias is there or not."""
        return x @ self.weights[name + ".weight"].T + self.weights.get(name + ".bias", 0.0)

    def norm(self, x: Floats, name: str) -> Floats:
        mean_square = (x * x).mean(axis=-1, keepdims=True)
        return x / np.sqrt(mean_square + self.epsilon) * self.weights[name + ".weight"]

    def heads(self, x: Floats, name: str) -> Floats:
        """A projection split by head: [heads, n_tokens, head_dim]."""
        return self.linear(x, name).reshape(len(x), -1, self.head_dim).transpose(1, 0, 2)

    def rotation(self, n_tokens: int) -> tuple[Floats, Floats]:
        """cos and sin of every position's angles, [n_tokens, head_dim / 2]."""
        frequencies, factor = rope_frequencies(self.rope, self.head_dim, self.context, n_tokens)
        angles = np.arange(n_tokens)[:, None] * frequencies
        return np.cos(angles) * factor, np.sin(angles) * factor


def token_losses(logits: Floats, ids: ArrayLike) -> Floats:
    """-log softmax(logits[t])[ids[t + 1]] for every t that has a next token."""
    rows, targets = logits[:-1], np.asarray(ids)[1:]
    top = rows.max(axis=1)
    normaliser = top + np.log(np.exp(rows - top[:, None]).sum(axis=1))
    return normaliser - rows[np.arange(len(rows)), targets]


def softmax_causal(q: Floats, k: Floats) -> Floats:
    """Attention weights [heads, n_tokens, n_tokens], zero above the diagonal."""
    scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
    scores = np.where(np.tri(q.shape[1], dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def masked_weights(weights: Floats, masked: NDArray[np.bool_], mask: str) -> Floats:
    """The chosen heads' weights replaced: 1/(t + 1) on the keys row t sees, or nothing."""
    n_tokens = weights.shape[-1]
    uniform = np.tri(n_tokens) / np.arange(1, n_tokens + 1)[:, None]
    replacement = {"uniform": uniform, "zero": np.zeros_like(uniform)}[mask]
    return np.where(masked[:, None, None], replacement, weights)


def copies(
    attention: Floats, ids: ArrayLike, answer: tuple[int, int], needle: tuple[int, int]
) -> NDArray[np.int64]:
    """Steps each head copies (METHOD.md section 2), int64[n_layers, n_heads].

    Position t predicts token t + 1, so the rows are answer[0] - 1 up to answer[1] - 2.
    """
    ids = np.asarray(ids)
    count = np.zeros(attention.shape[:2], dtype=np.int64)
    for step in range(answer[0], answer[1]):
        largest = attention[:, :, step - 1].argmax(axis=-1)
        inside = (needle[0] <= largest) & (largest < needle[1])
        count += inside & (ids[largest] == ids[step])
    return count


def rotate(x: Floats, cos: Floats, sin: Floats) -> Floats:
    """Rotates the pairs (i, i + head_dim / 2) of x [heads, n_tokens, head_dim]."""
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def rope_settings(config: dict[str, Any]) -> dict[str, Any]:
    """`rope_parameters` of the newer dialect, or the older one's settings in its shape."""
    settings = config.get("rope_parameters")
    if settings is None:
        settings = dict(config.get("rope_scaling") or {})
        settings["rope_theta"] = config.get("rope_theta", 10000.0)
    return {**settings, "rope_type": settings.get("rope_type") or settings.get("type", "default")}


def rope_frequencies(
    rope: dict[str, Any], head_dim: int, context: int, n_tokens: int
) -> tuple[Floats, float]:
    """Angle per position of each pair, [head_dim / 2], and the factor on cos and sin."""
    base, kind = rope["rope_theta"], rope["rope_type"]
    factor = rope.get("factor", 1.0)
    exponents = np.arange(0, head_dim, 2) / head_dim
    if kind == "dynamic" and n_tokens > context:
        growth = factor * n_tokens / context - (factor - 1)
        base = base * growth ** (head_dim / (head_dim - 2))
    frequencies = base**-exponents
    original = rope.get("original_max_position_embeddings") or context
    if kind == "linear":
        return frequencies / factor, 1.0
    if kind == "llama3":
        return llama3_frequencies(rope, frequencies, original), 1.0
    if kind == "yarn":
        kept = yarn_kept(rope, head_dim, base, original)
        attention_factor = rope.get("attention_factor") or 0.1 * math.log(factor) + 1.0
        return frequencies * (kept + (1 - kept) / factor), attention_factor
    if kind not in ("default", "dynamic"):
        raise ValueError(f"the oracle has no RoPE of type {kind!r}")
    return frequencies, 1.0


def llama3_frequencies(rope: dict[str, Any], frequencies: Floats, original: int) -> Floats:
    """Long wavelengths divided by the factor, short ones kept, a straight line between."""
    turns = original * frequencies / (2 * math.pi)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return frequencies * (kept + (1 - kept) / rope["factor"])


def yarn_kept(rope: dict[str, Any], head_dim: int, base: float, original: int) -> Floats:
    """How much of each frequency yarn keeps: 1 for fast pairs, 0 for slow ones."""

    def dimension(rotations: float) -> float:
        turns = original / (rotations * 2 * math.pi)
        return head_dim * math.log(turns) / (2 * math.log(base))

    low = dimension(rope.get("beta_fast") or 32)
    high = dimension(rope.get("beta_slow") or 1)
    if rope.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head_dim - 1)
    ramp = (np.arange(head_dim // 2) - low) / (high - low if high != low else 0.001)
    return 1.0 - np.clip(ramp, 0.0, 1.0)


def read_weights(folder: Path) -> dict[str, Floats]:
    """All tensors of the safetensors files in `folder`, as float64."""
    weights: dict[str, Floats] = {}
    for file in sorted(folder.glob("*.safetensors")):
        data = file.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        for name, entry in json.loads(data[8:start]).items():
            if name != "__metadata__":
                first, last = entry["data_offsets"]
                flat = decode(data[start + first : start + last], entry["dtype"])
                weights[name] = flat.reshape(entry["shape"])
    return weights


def decode(data: bytes, dtype: str) -> Floats:
    if dtype == "BF16":
        bits = np.frombuffer(data, dtype="<u2").astype(np.uint32) << 16
        return bits.view(np.float32).astype(np.float64)
    return np.frombuffer(data, dtype={"F32": "<f4", "F16": "<f2"}[dtype]).astype(np.float64)
