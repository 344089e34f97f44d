"""Writes rope_golden.h: rotary frequencies as transformers has them.

python csrc/tests/make_rope_golden.py > csrc/tests/rope_golden.h
"""

from __future__ import annotations

import json
from typing import Any

import torch
import transformers
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

SIZES: dict[str, Any] = {
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_size": 64,
    "intermediate_size": 10,
    "vocab_size": 11,
    "max_position_embeddings": 64,
}
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}

# (fields of config.json, tokens of the document)
CASES: list[tuple[dict[str, Any], int]] = [
    ({"head_dim": 10}, 600),
    ({"head_dim": 64, "rope_theta": 500000.0}, 600),
    (
        {"head_dim": 16, "rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 4.0}},
        600,
    ),
    ({"head_dim": 16, "rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, 64),
    ({"head_dim": 16, "rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, 65),
    ({"head_dim": 64, "rope_parameters": {"rope_type": "dynamic", "factor": 8.0}}, 600),
    ({"head_dim": 16, "rope_parameters": {"rope_type": "llama3", "factor": 8.0, **LLAMA3}}, 600),
    (
        {
            "head_dim": 64,
            "rope_theta": 500000.0,
            "rope_scaling": {"rope_type": "llama3", "factor": 32.0, **LLAMA3},
        },
        600,
    ),
    ({"head_dim": 16, "rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, 600),
    (
        {
            "head_dim": 64,
            "rope_parameters": {
                "rope_type": "yarn",
                "factor": 40.0,
                "original_max_position_embeddings": 4096,
                "mscale": 0.707,
                "mscale_all_dim": 1.0,
                "beta_fast": 16,
                "beta_slow": 2,
            },
        },
        600,
    ),
    (
        {
            "head_dim": 32,
            "rope_parameters": {
                "rope_type": "yarn",
                "factor": 16.0,
                "original_max_position_embeddings": 1024,
                "truncate": False,
                "attention_factor": 1.25,
            },
        },
        600,
    ),
]


def case(fields: dict[str, Any], n_tokens: int) -> str:
    """One item of the C table."""
    text = json.dumps({"model_type": "llama", **SIZES, **fields})
    settings: dict[str, Any] = {"rope_theta": 10000.0} | fields
    if "rope_parameters" in settings:
        settings["rope_parameters"] = {"rope_theta": 10000.0} | settings["rope_parameters"]
    rotary = LlamaRotaryEmbedding(LlamaConfig(**SIZES, **settings))
    cosines, sines = rotary(torch.zeros(1), torch.arange(n_tokens)[None])
    half = len(rotary.inv_freq)
    last = (cosines[0, -1, half // 2].item(), sines[0, -1, half // 2].item())
    frequencies = "".join(f"\n         {value.hex()}f," for value in rotary.inv_freq.tolist())
    quoted = text.replace('"', '\\"')
    return (
        f'    {{"{quoted}",\n     {n_tokens},\n     {float(rotary.attention_scaling).hex()},\n'
        f"     {last[0].hex()}f,\n     {last[1].hex()}f,\n     {{{frequencies}\n     }}}},\n"
    )


print(f"/* By make_rope_golden.py from transformers {transformers.__version__}. */")
print("/* clang-format off */")
print("static const struct {")
print("    const char *config;       /* config.json */")
print("    size_t n_tokens;")
print("    double attention_factor;")
print("    float cosine, sine;       /* of the last position, pair dim / 4 */")
print("    float inv_freq[64];       /* [dim / 2], then zeros */")
print("} rope_golden[] = {")
print("".join(case(fields, n_tokens) for fields, n_tokens in CASES) + "};")
