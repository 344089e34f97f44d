"""A Llama decoder in plain torch, its start, and its export to the Hugging Face layout."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Head = tuple[int, int]
Watch = Callable[[int, Tensor], None]


@dataclass(frozen=True)
class Shape:
    """Sizes of the model. `match` counts the residual coordinates reserved for matching."""

    vocab: int = 2048
    width: int = 192
    layers: int = 6
    heads: int = 4
    head_dim: int = 64
    ffn: int = 512
    context: int = 1024
    theta: float = 500_000.0
    eps: float = 1e-5
    match: int = 64

    @property
    def inner(self) -> int:
        """Width of all heads of a layer together."""
        return self.heads * self.head_dim

    @property
    def content(self) -> int:
        """Coordinates that embeddings use: [0, content); then one constant; then `match`."""
        return self.width - self.match - 1

    @property
    def constant(self) -> int:
        """Index of the coordinate that is the same in every embedding."""
        return self.content

    @property
    def n_heads(self) -> int:
        """Heads of the whole model."""
        return self.layers * self.heads


class Norm(nn.Module):
    """RMSNorm as in Llama."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Scale x to unit root mean square, then by the weight."""
        return F.rms_norm(x.float(), (x.shape[-1],), self.weight, self.eps)


def rotary(length: int, shape: Shape, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and sine [length, head_dim] in the half-split order of Hugging Face's Llama."""
    power = torch.arange(0, shape.head_dim, 2, device=device, dtype=torch.float32)
    frequency = 1.0 / shape.theta ** (power / shape.head_dim)
    angle = torch.outer(torch.arange(length, device=device, dtype=torch.float32), frequency)
    angle = torch.cat((angle, angle), dim=-1)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply the rotary embedding to x [batch, heads, length, head_dim]."""
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), dim=-1) * sin


class Attention(nn.Module):
    """Causal self-attention with as many key and value heads as query heads."""

    def __init__(self, shape: Shape, layer: int) -> None:
        super().__init__()
        self.shape, self.layer = shape, layer
        self.q_proj = nn.Linear(shape.width, shape.inner, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.inner, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.inner, bias=False)
        self.o_proj = nn.Linear(shape.inner, shape.width, bias=False)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, masked: Iterable[Head], watch: Watch | None
    ) -> Tensor:
        """Attend; `masked` heads use uniform weights; `watch` sees the weights."""
        batch, length, _ = x.shape
        split = (batch, length, self.shape.heads, self.shape.head_dim)
        q, k, v = (
            proj(x).view(split).transpose(1, 2) for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        q = rotate(q, cos, sin).to(v.dtype)
        k = rotate(k, cos, sin).to(v.dtype)
        uniform = [head for layer, head in masked if layer == self.layer]
        if watch is None and not uniform:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            out = self._explicit(q, k, v, uniform, watch)
        return self.o_proj(out.transpose(1, 2).reshape(batch, length, self.shape.inner))

    def _explicit(
        self, q: Tensor, k: Tensor, v: Tensor, uniform: list[int], watch: Watch | None
    ) -> Tensor:
        length = q.shape[2]
        future = torch.ones(length, length, dtype=torch.bool, device=q.device).triu(1)
        scores = q @ k.transpose(-1, -2) / math.sqrt(self.shape.head_dim)
        weights = scores.masked_fill(future, float("-inf")).softmax(-1)
        if uniform:
            visible = torch.arange(1, length + 1, device=q.device, dtype=weights.dtype)
            weights[:, uniform] = (~future).to(weights.dtype) / visible[:, None]
        if watch is not None:
            watch(self.layer, weights)
        return weights @ v


class Mlp(nn.Module):
    """SwiGLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.ffn, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.ffn, bias=False)
        self.down_proj = nn.Linear(shape.ffn, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """down(silu(gate x) * up x)."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """One decoder layer; parameter names are those of Hugging Face's Llama."""

    def __init__(self, shape: Shape, layer: int) -> None:
        super().__init__()
        self.input_layernorm = Norm(shape.width, shape.eps)
        self.self_attn = Attention(shape, layer)
        self.post_attention_layernorm = Norm(shape.width, shape.eps)
        self.mlp = Mlp(shape)


class Decoder(nn.Module):
    """The whole model; the output projection is the embedding matrix."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab, shape.width)
        self.layers = nn.ModuleList(Block(shape, i) for i in range(shape.layers))
        self.norm = Norm(shape.width, shape.eps)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.norm.weight.device

    def forward(
        self, ids: Tensor, masked: Iterable[Head] = (), watch: Watch | None = None
    ) -> Tensor:
        """Logits [batch, length, vocab] of ids [batch, length]."""
        cos, sin = rotary(ids.shape[1], self.shape, ids.device)
        x = self.embed_tokens(ids)
        for block in self.layers:
            x = x + block.self_attn(block.input_layernorm(x), cos, sin, masked, watch)
            x = x + block.mlp(block.post_attention_layernorm(x))
        return F.linear(self.norm(x), self.embed_tokens.weight)


# --- the start ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Start:
    """Scales of the start; see `start_weights`."""

    constant: float = 4.0
    final_norm: float = 0.06
    shift_heads: int = 1
    shift_frequencies: int = 6
    shift_gap: float = 8.0
    shift_scale: float = 1.0
    copy_scale: float = 2.0
    copy_layer: int = 3
    copy_heads: int = 2


def orthonormal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Random matrix with orthonormal rows (rows <= columns)."""
    q, _ = torch.linalg.qr(torch.randn(columns, rows, generator=generator))
    return q.T.contiguous()


@torch.no_grad()
def start_weights(model: Decoder, start: Start, seed: int) -> None:
    """Set the weights that training starts from.

    Embeddings are random on the content coordinates, constant on one, zero on the match
    coordinates. A few heads of layer 0 attend to the token before and write it into the match
    coordinates. A few heads of one later layer carry the content of whatever they attend to
    towards the output (value and output projections are a scaled projector on the content
    coordinates). Their queries and keys are random like those of all others: which token to
    attend to is learnt.
    """
    shape, rng = model.shape, torch.Generator().manual_seed(seed)
    embedding = model.embed_tokens.weight
    embedding.zero_()
    embedding[:, : shape.content] = torch.randn(shape.vocab, shape.content, generator=rng)
    embedding[:, shape.constant] = start.constant
    model.norm.weight.fill_(start.final_norm)
    for layer, block in enumerate(model.layers):
        attention = block.self_attn
        for proj in (attention.q_proj, attention.k_proj, block.mlp.gate_proj, block.mlp.up_proj):
            weight = torch.randn(proj.weight.shape, generator=rng) / math.sqrt(shape.width)
            proj.weight.copy_(weight)
        block.mlp.down_proj.weight.zero_()
        attention.v_proj.weight.zero_()
        attention.o_proj.weight.zero_()
        for head in range(shape.heads):
            rows = slice(head * shape.head_dim, (head + 1) * shape.head_dim)
            value = orthonormal(shape.head_dim, shape.content, rng)
            attention.v_proj.weight[rows, : shape.content] = value
            if layer == start.copy_layer and head < start.copy_heads:
                attention.o_proj.weight[: shape.content, rows] = start.copy_scale * value.T
    _start_shift_heads(model, start, rng)


def _start_shift_heads(model: Decoder, start: Start, rng: torch.Generator) -> None:
    """Make the first heads of layer 0 attend to the token before and write into `match`."""
    shape, attention = model.shape, model.layers[0].self_attn
    half, n = shape.head_dim // 2, start.shift_frequencies
    frequency = shape.theta ** (-torch.arange(half) * 2.0 / shape.head_dim)[:n]
    # After the norm the constant is `normed`; the score is a^2 normed^2 sum(cos) / sqrt(head_dim).
    normed = start.constant / math.sqrt((shape.content + start.constant**2) / shape.width)
    drop = float((1 - frequency.cos()).sum())
    a = math.sqrt(start.shift_gap * math.sqrt(shape.head_dim) / drop) / normed
    values = orthonormal(min(shape.match, start.shift_heads * shape.head_dim), shape.content, rng)
    for head in range(start.shift_heads):
        first = head * shape.head_dim
        rows = slice(first, first + shape.head_dim)
        for proj in (attention.q_proj, attention.k_proj):
            proj.weight[rows] = 0
        attention.q_proj.weight[first : first + n, shape.constant] = a
        # The key is the query's vector rotated by one position.
        attention.k_proj.weight[first : first + n, shape.constant] = a * frequency.cos()
        attention.k_proj.weight[first + half : first + half + n, shape.constant] = (
            a * frequency.sin()
        )
        part = values[rows]
        attention.v_proj.weight[rows] = 0
        attention.v_proj.weight[first : first + len(part), : shape.content] = part
        target = shape.width - shape.match + head * shape.head_dim
        for i in range(len(part)):
            attention.o_proj.weight[target + i, first + i] = start.shift_scale


@torch.no_grad()
def hold_embedding(model: Decoder, start: Start) -> None:
    """Keep the constant coordinate constant and the match coordinates empty in the embeddings."""
    shape = model.shape
    model.embed_tokens.weight[:, shape.constant] = start.constant
    model.embed_tokens.weight[:, shape.constant + 1 :] = 0


@torch.no_grad()
def hold_readers(model: Decoder) -> None:
    """Let values and MLPs read nothing from the match coordinates: those serve matching only."""
    first = model.shape.width - model.shape.match
    for block in model.layers:
        for proj in (block.self_attn.v_proj, block.mlp.gate_proj, block.mlp.up_proj):
            proj.weight[:, first:] = 0


# --- export -------------------------------------------------------------------------------------


def llama_config(shape: Shape, bos: int) -> dict[str, object]:
    """The config.json of the model."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocab,
        "hidden_size": shape.width,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": shape.context,
        "rms_norm_eps": shape.eps,
        "rope_theta": shape.theta,
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": True,
        "bos_token_id": bos,
        "eos_token_id": None,
        "torch_dtype": "bfloat16",
    }


def llama_tensors(model: Decoder) -> dict[str, Tensor]:
    """Weights in bf16 under the names that LlamaForCausalLM uses."""
    return {
        f"model.{name}": value.detach().to("cpu", torch.bfloat16).contiguous()
        for name, value in model.state_dict().items()
    }
