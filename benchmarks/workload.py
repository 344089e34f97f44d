"""What every peer is given: a random-weight model, documents of token ids, heads to mask.

Speed does not depend on the weights' values, so random ones stand for a real model of that
shape. Nothing here knows who reads the model, or imports more than NumPy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Head = tuple[int, int]


@dataclass(frozen=True)
class Shape:
    """The sizes of a Llama with tied embeddings, and the retrieval heads of the trained model."""

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    context: int = 2048
    own_heads: tuple[Head, ...] = ()


def stored_heads(name: str) -> tuple[Head, ...]:
    """The retrieval heads of a published model that come with the package, in order."""
    path = Path(__file__).parents[1] / "attninfluence" / "heads" / "stored" / f"{name}.json"
    selected = json.loads(path.read_text(encoding="utf-8"))["selected"]
    return tuple(sorted((layer, head) for layer, head in selected))


SMOLLM2_HEADS = stored_heads("SmolLM2-135M-Instruct.Q4_1")
SMOLLM2_135M = Shape("SmolLM2-135M", 576, 30, 9, 3, 64, 1536, 49152, own_heads=SMOLLM2_HEADS)
LLAMA_1B = Shape("Llama-3.2-1B", 2048, 16, 32, 8, 64, 8192, 128256)
TINY = Shape("tiny", 64, 3, 4, 2, 16, 96, 320, own_heads=((2, 1),))
SHAPES = {"135m": SMOLLM2_135M, "1b": LLAMA_1B, "tiny": TINY}


def write_model(folder: Path, shape: Shape, seed: int = 0) -> Path:
    """Writes config.json and bf16 model.safetensors of random weights; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = _tensor_sizes(shape)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, size in sizes.items():
        stop = start + 2 * math.prod(size)
        header[name] = {"dtype": "BF16", "shape": size, "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    generator = np.random.default_rng(seed)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for size in sizes.values():
            file.write(_random_bf16(generator, size).data)
    (folder / "config.json").write_text(json.dumps(_config(shape), indent=2))
    return folder


def read_tensors(folder: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Each tensor of a folder that `write_model` wrote, by name, widened to float32."""
    path = folder / "model.safetensors"
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__")
    data = np.memmap(path, np.uint16, "r", offset=8 + length)
    for name, entry in header.items():
        start, stop = (at // 2 for at in entry["data_offsets"])
        bits = data[start:stop].astype(np.uint32) << 16
        yield name, bits.view(np.float32).reshape(entry["shape"])


def _tensor_sizes(shape: Shape) -> dict[str, tuple[int, ...]]:
    wide, narrow = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    sizes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (shape.vocab, shape.hidden),
        "model.norm.weight": (shape.hidden,),
    }
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        sizes |= {
            prefix + "input_layernorm.weight": (shape.hidden,),
            prefix + "post_attention_layernorm.weight": (shape.hidden,),
            prefix + "self_attn.q_proj.weight": (wide, shape.hidden),
            prefix + "self_attn.k_proj.weight": (narrow, shape.hidden),
            prefix + "self_attn.v_proj.weight": (narrow, shape.hidden),
            prefix + "self_attn.o_proj.weight": (shape.hidden, wide),
            prefix + "mlp.gate_proj.weight": (shape.ffn, shape.hidden),
            prefix + "mlp.up_proj.weight": (shape.ffn, shape.hidden),
            prefix + "mlp.down_proj.weight": (shape.hidden, shape.ffn),
        }
    return sizes


def _random_bf16(generator: np.random.Generator, size: tuple[int, ...]) -> NDArray[np.uint16]:
    """Bits of a matrix of variance 1 / columns, rounded to nearest even; a norm's are ones."""
    if len(size) == 1:
        return np.full(size, 0x3F80, np.uint16)
    values = generator.standard_normal(size, dtype=np.float32)
    values /= np.float32(math.sqrt(size[1]))
    bits = values.view(np.uint32)
    bits += 0x7FFF + ((bits >> 16) & 1)
    return (bits >> 16).astype(np.uint16)


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
    """Random ids in documents of log-normal lengths within `low`..`high` tokens, shuffled.

    The lengths are the distribution's `count` quantiles, so that few documents have the mean
    of many: about 550 tokens for 64..1,024. The median is 0.49 of `high`.
    """
    generator = np.random.default_rng(seed)
    normal = NormalDist(math.log(0.49 * high), 0.6)
    lengths = [math.exp(normal.inv_cdf((at + 0.5) / count)) for at in range(count)]
    bounded = np.clip(np.rint(lengths).astype(np.int64), low, high)
    return make_documents_of(shape, generator.permutation(bounded).tolist(), seed)


def make_documents_of(
    shape: Shape, lengths: Sequence[int], seed: int = 0
) -> list[NDArray[np.int32]]:
    """Random ids in documents of these lengths."""
    generator = np.random.default_rng(seed)
    return [generator.integers(0, shape.vocab, size=n, dtype=np.int32) for n in lengths]


def choose_heads(shape: Shape, fraction: float = 0.05, seed: int = 0) -> tuple[Head, ...]:
    """`ceil(fraction * all heads)` heads at random over all layers, in order."""
    total = shape.layers * shape.heads
    count = math.ceil(fraction * total)
    flat = np.random.default_rng(seed).choice(total, size=count, replace=False)
    return tuple(sorted((int(i) // shape.heads, int(i) % shape.heads) for i in flat))
