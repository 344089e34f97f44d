"""Configurations of the dense families from llama to ministral3; the rest is in family_more.py."""

from __future__ import annotations

from tests.kit.family_variants import (
    DYNAMIC,
    FULL,
    LINEAR,
    LLAMA3,
    SLIDING,
    TIED,
    WIDE,
    WINDOW,
    YARN,
    YARN_OPTIONS,
    Variant,
    layers,
    longrope,
    per_layer_type,
    rope,
)

DENSE: dict[str, dict[str, Variant]] = {
    "llama": {
        "biases": Variant(
            "head_dim 20 of hidden 48, groups of 2, llama3 RoPE, biases in attention and MLP",
            {**LLAMA3, "head_dim": 20, "attention_bias": True, "mlp_bias": True},
        ),
        "tied": Variant(
            "one head a group, dynamic RoPE past its context, tied",
            {**DYNAMIC, **TIED, "num_key_value_heads": 4},
        ),
    },
    "mistral": {
        "window": Variant(
            "a window in every layer, head_dim 16", {"sliding_window": WINDOW, "head_dim": 16}
        ),
        "full": Variant(
            "no window, yarn, head_dim 20", {**YARN, "sliding_window": None, "head_dim": 20}
        ),
    },
    "qwen2": {
        "window": Variant(
            "biases on q, k, v; a window from layer 2 of 4 on; tied",
            {
                **WIDE,
                **TIED,
                "num_hidden_layers": 4,
                "use_sliding_window": True,
                "sliding_window": WINDOW,
                "max_window_layers": 2,
            },
        ),
        "full": Variant(
            "biases on q, k, v; a window that is switched off; yarn with its options",
            {**YARN_OPTIONS, **WIDE, "use_sliding_window": False},
            written={"sliding_window": WINDOW, "max_window_layers": 1},
        ),
    },
    "qwen3": {
        "window": Variant(
            "norms of q and k by head, head_dim 20, a window from layer 1 of 3 on, biases",
            {
                "head_dim": 20,
                "attention_bias": True,
                "use_sliding_window": True,
                "sliding_window": WINDOW,
                "max_window_layers": 1,
            },
        ),
        "full": Variant(
            "norms of q and k by head, head_dim 16, tied, one head a group, large base",
            {**rope(theta=1e6), **TIED, "head_dim": 16, "num_key_value_heads": 4},
        ),
    },
    "gemma": {
        "tied": Variant(
            "1 + w norms, embeddings times sqrt(hidden), one key/value head, head_dim 20, "
            "hidden_act 'gelu' that means the tanh form",
            {**TIED, "num_key_value_heads": 1, "head_dim": 20},
            written={"hidden_act": "gelu"},
        ),
        "untied": Variant(
            "hidden_act spelt out, biases, linear RoPE, untied",
            {**LINEAR, "head_dim": 16, "attention_bias": True},
        ),
    },
    "gemma2": {
        "capped": Variant(
            "both soft caps in their range, scale from query_pre_attn_scalar, two periods of the "
            "window's pattern, tied",
            {
                **TIED,
                "num_hidden_layers": 4,
                "head_dim": 16,
                "query_pre_attn_scalar": 10,
                "sliding_window": WINDOW,
                "attn_logit_softcapping": 3.0,
                "final_logit_softcapping": 4.0,
            },
        ),
        "uncapped": Variant(
            "no caps, a pattern of its own, biases, linear RoPE, untied",
            {
                **LINEAR,
                **layers(FULL, FULL, SLIDING),
                "head_dim": 20,
                "query_pre_attn_scalar": 33,
                "sliding_window": 17,
                "attn_logit_softcapping": None,
                "final_logit_softcapping": None,
                "attention_bias": True,
            },
            dialects=("v5",),
        ),
    },
    "gemma3_text": {
        "pattern of 3": Variant(
            "two periods of a pattern of 3, bases of 20000 and 300, linear RoPE on full layers, "
            "scale from query_pre_attn_scalar, tied",
            {
                **TIED,
                **per_layer_type(rope("linear", 20000.0, factor=4.0), rope(theta=300.0)),
                **layers(SLIDING, SLIDING, FULL, SLIDING, SLIDING, FULL, SLIDING),
                "head_dim": 16,
                "query_pre_attn_scalar": 10,
                "sliding_window": WINDOW,
            },
        ),
        "pattern of 6": Variant(
            "the default pattern, a cap on logits, biases, untied",
            {
                **per_layer_type(rope(theta=1e6), rope(theta=1000.0)),
                "num_hidden_layers": 7,
                "head_dim": 20,
                "query_pre_attn_scalar": 20,
                "sliding_window": 40,
                "final_logit_softcapping": 4.0,
                "attention_bias": True,
            },
        ),
    },
    "gpt2": {
        "by layer": Variant(
            "scores divided by the layer's number, n_inner, tied",
            {
                **TIED,
                "num_hidden_layers": 4,
                "n_inner": 80,
                "scale_attn_by_inverse_layer_idx": True,
            },
        ),
        "plain": Variant(
            "inner width 4 x hidden, exact gelu, untied", {"activation_function": "gelu"}
        ),
        "unscaled": Variant(
            "scores not divided by sqrt(head_dim), computed in another order, tied",
            {**TIED, "scale_attn_weights": False, "reorder_and_upcast_attn": True},
        ),
    },
    "gpt_neox": {
        "parallel": Variant(
            "parallel residual of two norms, a quarter of the dimensions rotated",
            {**WIDE, **rope(theta=10000.0, partial_rotary_factor=0.25)},
        ),
        "serial": Variant(
            "serial residual, all dimensions rotated, linear RoPE, no biases in attention, tied",
            {
                **TIED,
                **rope("linear", 5000.0, factor=2.0, partial_rotary_factor=1.0),
                "use_parallel_residual": False,
                "attention_bias": False,
            },
        ),
    },
    "olmo": {
        "clipped": Variant("q, k and v clipped, tied", {**WIDE, **TIED, "clip_qkv": 0.9}),
        "unclipped": Variant("biases, dynamic RoPE", {**DYNAMIC, **WIDE, "attention_bias": True}),
    },
    "olmo2": {
        "grouped": Variant("groups of 2, biases", {**WIDE, "attention_bias": True}),
        "yarn": Variant("one head a group, yarn, tied", {**YARN, **TIED, "num_key_value_heads": 4}),
    },
    "olmo3": {
        "yarn": Variant(
            "the default pattern of 4, yarn on full layers alone",
            {
                **WIDE,
                **per_layer_type(
                    rope("yarn", 500000.0, factor=4.0, original_max_position_embeddings=32),
                    rope(theta=500000.0),
                ),
                "num_hidden_layers": 6,
                "sliding_window": WINDOW,
            },
        ),
        "two bases": Variant(
            "a pattern of its own, a base by layer type, biases, tied",
            {
                **WIDE,
                **TIED,
                **per_layer_type(rope(theta=50000.0), rope(theta=300.0)),
                **layers(FULL, SLIDING, FULL, SLIDING),
                "sliding_window": 40,
                "attention_bias": True,
            },
            dialects=("v5",),
        ),
    },
    "phi": {
        "plain": Variant(
            "half of the dimensions rotated, yarn, groups of 2",
            {
                **WIDE,
                **rope(
                    "yarn",
                    factor=4.0,
                    original_max_position_embeddings=64,
                    partial_rotary_factor=0.5,
                ),
            },
        ),
        "normed": Variant(
            "LayerNorm of q and k, a quarter rotated, one head a group",
            {
                **WIDE,
                **rope(theta=10000.0, partial_rotary_factor=0.25),
                "qk_layernorm": True,
                "num_key_value_heads": 4,
            },
        ),
    },
    "phi3": {
        "longrope": Variant(
            "longrope on half of the dimensions, a window",
            {**WIDE, **longrope(4, partial_rotary_factor=0.5), "sliding_window": WINDOW},
        ),
        "longrope full": Variant(
            "longrope on all dimensions with a factor on cos and sin, tied",
            {**WIDE, **TIED, **longrope(8, attention_factor=1.4), "num_key_value_heads": 4},
            dialects=("v5",),
        ),
        "plain": Variant("default RoPE", {**WIDE, **rope(theta=5000.0)}),
    },
    "stablelm": {
        "serial": Variant(
            "serial residual, biases on q, k, v, LayerNorm of each head's own weight",
            {
                **WIDE,
                **rope(theta=10000.0, partial_rotary_factor=0.25),
                "use_qkv_bias": True,
                "qk_layernorm": True,
            },
        ),
        "parallel": Variant(
            "parallel residual of one norm, no biases, linear RoPE on half, tied",
            {
                **WIDE,
                **TIED,
                **rope("linear", factor=2.0, partial_rotary_factor=0.5),
                "use_parallel_residual": True,
                "num_key_value_heads": 4,
            },
        ),
    },
    "smollm3": {
        "every second": Variant(
            "no RoPE on every second layer of 5, tied",
            {**TIED, "num_hidden_layers": 5, "no_rope_layer_interval": 2},
        ),
        "window": Variant(
            "listed layers without RoPE, which have a window; biases in attention and MLP; yarn",
            {
                **YARN,
                "num_hidden_layers": 5,
                "no_rope_layers": [1, 0, 1, 1, 0],
                "use_sliding_window": True,
                "sliding_window": WINDOW,
                "attention_bias": True,
                "mlp_bias": True,
            },
        ),
    },
    "granite": {
        "biases": Variant(
            "all four multipliers, biases",
            {
                **WIDE,
                "embedding_multiplier": 0.4,
                "attention_multiplier": 0.2,
                "residual_multiplier": 0.4,
                "logits_scaling": 1.7,
                "attention_bias": True,
                "mlp_bias": True,
            },
        ),
        "tied": Variant(
            "all four multipliers, dynamic RoPE, tied",
            {
                **DYNAMIC,
                **TIED,
                "embedding_multiplier": 4,
                "attention_multiplier": 0.4,
                "residual_multiplier": 0.22,
                "logits_scaling": 0.6,
            },
        ),
    },
    "ministral": {
        "alternating": Variant(
            "windows by layer type, head_dim 16",
            {**layers(SLIDING, FULL, SLIDING, FULL), "sliding_window": WINDOW, "head_dim": 16},
        ),
        "sliding": Variant(
            "a window in all layers, yarn, head_dim 20, tied",
            {**YARN, **TIED, "sliding_window": 40, "head_dim": 20},
        ),
    },
    "ministral3": {
        "full": Variant(
            "queries scaled by position, yarn with equal mscales",
            {
                **rope(
                    "yarn",
                    1e6,
                    factor=8.0,
                    original_max_position_embeddings=32,
                    beta_fast=32.0,
                    beta_slow=1.0,
                    mscale=1.0,
                    mscale_all_dim=1.0,
                    llama_4_scaling_beta=0.4,
                ),
                "head_dim": 16,
            },
        ),
        "window": Variant(
            "queries scaled by position, yarn with two mscales, a window, head_dim 20, tied",
            {
                **TIED,
                **rope(
                    "yarn",
                    10000.0,
                    factor=4.0,
                    original_max_position_embeddings=48,
                    mscale=1.5,
                    mscale_all_dim=0.5,
                    llama_4_scaling_beta=0.2,
                ),
                "sliding_window": WINDOW,
                "head_dim": 20,
            },
        ),
    },
}
