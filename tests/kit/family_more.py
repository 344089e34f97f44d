"""Configurations of the families from nemotron on, and of the mixtures of experts."""

from __future__ import annotations

from tests.kit.family_variants import (
    DYNAMIC,
    EXPERTS,
    FULL,
    LINEAR,
    LLAMA3,
    SLIDING,
    TIED,
    WIDE,
    WINDOW,
    YARN,
    YARN_EXACT,
    YARN_OPTIONS,
    Variant,
    layers,
    rope,
)

MORE: dict[str, dict[str, Variant]] = {
    "nemotron": {
        "biases": Variant(
            "1 + w LayerNorm, squared relu, half of the dimensions rotated, biases, head_dim 16",
            {
                **rope(theta=10000.0, partial_rotary_factor=0.5),
                "head_dim": 16,
                "attention_bias": True,
                "mlp_bias": True,
            },
        ),
        "plain": Variant(
            "all dimensions rotated, linear RoPE, tied",
            {**rope("linear", factor=2.0, partial_rotary_factor=1.0), **TIED},
        ),
    },
    "cohere": {
        "normed": Variant(
            "LayerNorm of q and k with a weight by head, interleaved RoPE, logits scaled, biases",
            {**WIDE, "use_qk_norm": True, "logit_scale": 0.4, "attention_bias": True},
        ),
        "plain": Variant(
            "no norms of q and k, logits scaled up, dynamic RoPE, tied",
            {**DYNAMIC, **WIDE, **TIED, "logit_scale": 1.5, "num_key_value_heads": 4},
        ),
    },
    "cohere2": {
        "pattern of 4": Variant(
            "more than one period of windows with RoPE and full layers without, tied",
            {**WIDE, **TIED, "num_hidden_layers": 6, "sliding_window": WINDOW, "logit_scale": 0.5},
        ),
        "pattern of 3": Variant(
            "another period than the default, biases, tied",
            {
                **WIDE,
                **TIED,
                **layers(SLIDING, SLIDING, FULL, SLIDING),
                "sliding_window": WINDOW,
                "logit_scale": 0.7,
                "attention_bias": True,
            },
        ),
        "pattern of its own": Variant(
            "listed layer types, biases, linear RoPE, untied",
            {
                **LINEAR,
                **WIDE,
                **layers(FULL, SLIDING, SLIDING),
                "sliding_window": 40,
                "logit_scale": 1.3,
                "attention_bias": True,
            },
            dialects=("v5",),
        ),
    },
    "glm": {
        "half": Variant(
            "interleaved RoPE on half of the dimensions, biases on q, k, v alone, fused MLP",
            {**rope(theta=10000.0, partial_rotary_factor=0.5), "head_dim": 16},
        ),
        "yarn": Variant(
            "yarn on a quarter of the dimensions, no biases, head_dim 32, tied",
            {
                **rope(
                    "yarn",
                    factor=4.0,
                    original_max_position_embeddings=64,
                    partial_rotary_factor=0.25,
                ),
                **TIED,
                "head_dim": 32,
                "attention_bias": False,
            },
        ),
    },
    "glm4": {
        "half": Variant(
            "four norms, interleaved RoPE on half of the dimensions, biases on q, k, v alone",
            {**rope(theta=10000.0, partial_rotary_factor=0.5), "head_dim": 16},
        ),
        "full": Variant(
            "four norms, linear RoPE on all dimensions, no biases, tied",
            {
                **rope("linear", factor=2.0, partial_rotary_factor=1.0),
                **TIED,
                "head_dim": 20,
                "attention_bias": False,
            },
        ),
    },
    "starcoder2": {
        "window": Variant(
            "LayerNorm, biases everywhere, a window, tied",
            {**WIDE, **TIED, "sliding_window": WINDOW},
        ),
        "full": Variant(
            "no biases, no window, exact gelu, linear RoPE, untied",
            {**LINEAR, **WIDE, "use_bias": False, "hidden_act": "gelu", "sliding_window": None},
        ),
    },
    "ernie4_5": {
        "biases": Variant(
            "interleaved RoPE, biases, head_dim 20", {"use_bias": True, "head_dim": 20}
        ),
        "tied": Variant(
            "interleaved RoPE, linear, no biases, head_dim 16, one key/value head, tied",
            {**LINEAR, **TIED, "head_dim": 16, "num_key_value_heads": 1},
        ),
    },
    "exaone4": {
        "hybrid": Variant(
            "norms after the blocks, of q and k by head; windows with RoPE, full layers without",
            {**WIDE, "num_hidden_layers": 6, "sliding_window": WINDOW},
        ),
        "pattern of 3": Variant(
            "another period than the default, one head a group",
            {
                **WIDE,
                "num_hidden_layers": 5,
                "sliding_window": 40,
                "sliding_window_pattern": 3,
                "num_key_value_heads": 4,
            },
        ),
        "full": Variant(
            "no window, so RoPE in every layer; llama3 RoPE, tied",
            {**LLAMA3, **WIDE, **TIED, **layers(FULL, FULL, FULL), "sliding_window": None},
        ),
    },
    "opt": {
        "before": Variant(
            "norms before the blocks, biases, relu, tied",
            {**TIED, "ffn_dim": 80, "max_position_embeddings": 210},
        ),
        "bare": Variant(
            "no biases, exact gelu, untied",
            {"ffn_dim": 80, "enable_bias": False, "activation_function": "gelu"},
        ),
        "after": Variant(
            "norms after the blocks and no last norm, tied",
            {**TIED, "ffn_dim": 80, "do_layer_norm_before": False},
            refused="do_layer_norm_before",
        ),
        "projected": Variant(
            "embeddings of 32 projected in and out, tied",
            {**TIED, "ffn_dim": 80, "word_embed_proj_dim": 32},
            refused="word_embed_proj_dim",
        ),
        "weightless": Variant(
            "norms without weights",
            {"ffn_dim": 80, "layer_norm_elementwise_affine": False},
            refused="layer_norm_elementwise_affine",
        ),
    },
    "nanochat": {
        "capped": Variant(
            "norms without weights, of the embeddings too, of q and k after RoPE, which turns the "
            "other way; squared relu; a cap on logits",
            {**WIDE, "final_logit_softcapping": 4.0},
        ),
        "uncapped": Variant(
            "no cap, biases in attention, yarn, whose factor the norms after RoPE take out again",
            {
                **YARN_OPTIONS,
                **WIDE,
                "final_logit_softcapping": None,
                "attention_bias": True,
                "num_key_value_heads": 4,
            },
        ),
    },
    "arcee": {
        "biases": Variant(
            "squared relu without a gate, biases, head_dim 20",
            {"head_dim": 20, "attention_bias": True, "mlp_bias": True},
        ),
        "yarn": Variant("yarn, tied, head_dim 16", {**YARN_OPTIONS, **TIED, "head_dim": 16}),
    },
    "helium": {
        "biases": Variant(
            "interleaved RoPE, biases in MLP and on q, k, v alone",
            {**WIDE, "head_dim": 16, "attention_bias": True, "mlp_bias": True},
        ),
        "plain": Variant(
            "interleaved RoPE, dynamic, one head a group, tied",
            {**DYNAMIC, **TIED, "head_dim": 12, "num_key_value_heads": 4},
        ),
    },
    "hunyuan_v1_dense": {
        "alpha": Variant(
            "norms of q and k after RoPE, whose base a fixed alpha changes at every length; biases",
            {
                **rope("dynamic", 10000.0, factor=1.0, alpha=50.0),
                "head_dim": 16,
                "attention_bias": True,
            },
        ),
        "dynamic": Variant(
            "dynamic RoPE without alpha, past its context, head_dim 20, tied",
            {**DYNAMIC, **TIED, "head_dim": 20},
        ),
    },
    "seed_oss": {
        "biases": Variant("biases on q, k, v alone, head_dim 20", {"head_dim": 20}),
        "all biases": Variant(
            "biases on the output alone and in the MLP, llama3 RoPE, tied",
            {
                **LLAMA3,
                **TIED,
                "head_dim": 16,
                "attention_bias": False,
                "attention_out_bias": True,
                "mlp_bias": True,
            },
        ),
    },
    "apertus": {
        "llama3": Variant(
            "xielu with parameters by layer, norms of q and k by head, llama3 RoPE",
            {**LLAMA3, **WIDE},
        ),
        "biases": Variant(
            "default RoPE, biases in attention, tied",
            {**rope(theta=5000.0), **WIDE, **TIED, "attention_bias": True},
            dialects=("v5",),  # no rope_scaling means llama3 in this family
        ),
    },
    "vaultgemma": {
        "capped": Variant(
            "gemma2 without the norms after the blocks: both soft caps in their range, tied",
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
            "no caps, full layers alone, biases, linear RoPE, untied",
            {
                **LINEAR,
                **layers(FULL, FULL, FULL),
                "head_dim": 20,
                "query_pre_attn_scalar": 33,
                "attn_logit_softcapping": None,
                "final_logit_softcapping": None,
                "attention_bias": True,
            },
            dialects=("v5",),
        ),
    },
    "olmoe": {
        "clipped": Variant(
            "norms of the whole of q and of k, then clipped; top 2 of 8 as they come",
            {**WIDE, "clip_qkv": 1.5, "num_experts": 8, "num_experts_per_tok": 2},
        ),
        "normed": Variant(
            "top 3 of 9 scaled to 1, biases in attention, linear RoPE, tied",
            {
                **LINEAR,
                **TIED,
                "num_experts": 9,
                "num_experts_per_tok": 3,
                "norm_topk_prob": True,
                "attention_bias": True,
                "intermediate_size": 20,
            },
            seed=8,
        ),
    },
    "qwen3_moe": {
        "listed": Variant(
            "one dense layer listed, top 2 of 8 scaled to 1, a window in every layer, head_dim 16",
            {
                "head_dim": 16,
                "num_experts": 8,
                "num_experts_per_tok": 2,
                "moe_intermediate_size": 24,
                "mlp_only_layers": [1],
                "norm_topk_prob": True,
                "use_sliding_window": True,
                "sliding_window": WINDOW,
            },
        ),
        "every second": Variant(
            "experts in every second layer of 4, top 3 of 9 as they come, yarn, biases, tied",
            {
                **YARN,
                **TIED,
                "head_dim": 20,
                "num_hidden_layers": 4,
                "num_experts": 9,
                "num_experts_per_tok": 3,
                "moe_intermediate_size": 40,
                "decoder_sparse_step": 2,
                "norm_topk_prob": False,
                "attention_bias": True,
            },
            written={"sliding_window": WINDOW, "max_window_layers": 1},
            seed=2,
        ),
    },
    "mixtral": {
        "window": Variant(
            "top 2 of 8, a window, head_dim 16",
            {**EXPERTS, "sliding_window": WINDOW, "head_dim": 16},
        ),
        "full": Variant(
            "top 3 of 9, no window, linear RoPE, tied",
            {**LINEAR, **TIED, "num_local_experts": 9, "num_experts_per_tok": 3, "head_dim": 12},
            seed=1,
        ),
    },
    "granitemoe": {
        "multipliers": Variant(
            "all four multipliers, top 2 of 8, biases in attention",
            {
                **EXPERTS,
                **WIDE,
                "embedding_multiplier": 0.4,
                "attention_multiplier": 0.2,
                "residual_multiplier": 0.4,
                "logits_scaling": 1.7,
                "attention_bias": True,
            },
            seed=1,
        ),
        "tied": Variant(
            "other multipliers, top 3 of 9, linear RoPE, tied",
            {
                **LINEAR,
                **TIED,
                "num_local_experts": 9,
                "num_experts_per_tok": 3,
                "embedding_multiplier": 4,
                "attention_multiplier": 0.4,
                "residual_multiplier": 0.22,
                "logits_scaling": 0.6,
            },
            seed=4,
        ),
    },
    "gpt_oss": {
        "alternating": Variant(
            "two periods of the window's pattern, sinks, yarn that is not rounded, biases",
            {
                **EXPERTS,
                **YARN_EXACT,
                "num_hidden_layers": 4,
                "sliding_window": WINDOW,
                "head_dim": 16,
            },
        ),
        "limited": Variant(
            "listed layer types, a limit of 0.8 on gate and up, alpha 1.2, default RoPE, no biases "
            "in attention, tied",
            {
                **TIED,
                **rope(theta=10000.0),
                **layers(FULL, SLIDING, SLIDING),
                "sliding_window": 40,
                "head_dim": 20,
                "num_local_experts": 9,
                "num_experts_per_tok": 3,
                "swiglu_limit": 0.8,
                "swiglu_alpha": 1.2,
                "attention_bias": False,
            },
            dialects=("v5",),  # no rope_scaling means yarn in this family
        ),
    },
}
