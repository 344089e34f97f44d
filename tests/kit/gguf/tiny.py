"""A Llama folder as the GGUF file that llama.cpp's converter makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.kit.gguf.metadata import byte_level, write_fields
from tests.kit.oracle import read_weights

NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
PARTS = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def make_gguf(folder: Path, path: Path, *, most_tensors: int = 0, **changes: Any) -> Path:
    """Write the file, or several of `most_tensors` each; returns the path of the first.

    changes: of the metadata, by the keys of `write_fields`.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    heads, pairs = config["num_attention_heads"], config["num_key_value_heads"]
    tensors = {}
    for name, values in read_weights(folder).items():
        if ".q_proj." in name or ".k_proj." in name:
            values = _neighbours(values, heads if ".q_proj." in name else pairs)
        tensors[_name(name)] = np.ascontiguousarray(values, dtype=np.float32)
    metadata = {
        "general.name": "tiny",
        "llama.block_count": config["num_hidden_layers"],
        "llama.context_length": config["max_position_embeddings"],
        "llama.embedding_length": config["hidden_size"],
        "llama.feed_forward_length": config["intermediate_size"],
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": pairs,
        "llama.attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
        "llama.rope.dimension_count": config["head_dim"],
        "llama.rope.freq_base": config["rope_parameters"]["rope_theta"],
        "llama.vocab_size": config["vocab_size"],
        **byte_level(folder, "gpt-2", bos_token_id=0, eos_token_id=1, add_bos_token=True),
    }
    return write_fields(path, metadata | changes, tensors=tensors, most_tensors=most_tensors)


def _name(name: str) -> str:
    if name in NAMES:
        return NAMES[name]
    layer, part = name.removeprefix("model.layers.").split(".", 1)
    part, kind = part.rsplit(".", 1)
    return f"blk.{layer}.{PARTS[part]}.{kind}"


def _neighbours(values: NDArray[Any], heads: int) -> NDArray[Any]:
    """Rows moved so that the two of a rotary pair follow each other."""
    rest = values.shape[1:]
    return values.reshape(heads, 2, -1, *rest).swapaxes(1, 2).reshape(values.shape)
