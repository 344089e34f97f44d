#include "config/family.h"

#include <string.h>

/* Rows are laid out by hand: names, norms, attention, positions, MLP, ends. */
/* clang-format off */

/* ---- What many rows share ---- */

#define LONG_KEYS                                                              \
    .n_layers = "num_hidden_layers", .n_heads = "num_attention_heads",         \
    .hidden_size = "hidden_size", .context = "max_position_embeddings"
#define GROUPED_KEYS                                                           \
    LONG_KEYS, .n_kv_heads = "num_key_value_heads", .head_dim = "head_dim",    \
    .intermediate_size = "intermediate_size"

static const ati_config_keys usual_keys = {GROUPED_KEYS, .activation = "hidden_act"};
static const ati_config_keys gemma_keys = {GROUPED_KEYS, .activation = "hidden_activation"};
static const ati_config_keys neox_keys = {
    LONG_KEYS, .intermediate_size = "intermediate_size", .activation = "hidden_act"};
static const ati_config_keys opt_keys = {
    LONG_KEYS, .intermediate_size = "ffn_dim", .activation = "activation_function"};
static const ati_config_keys gpt2_keys = {
    .n_layers = "n_layer", .n_heads = "n_head", .hidden_size = "n_embd",
    .context = "n_positions", .intermediate_size = "n_inner",
    .activation = "activation_function"};

/* The classes' own defaults, which transformers 4 left out of a text_config. */
static const ati_sizes llama_sizes = {32, 32, 32, 4096, 11008, 32000, 2048, 0};
static const ati_sizes mistral_sizes = {32, 32, 8, 4096, 14336, 32000, 131072, 4096};
static const ati_sizes gemma3_sizes = {26, 8, 4, 2304, 9216, 262208, 131072, 4096};

/* Buffers that old checkpoints saved. */
static const char *const saved_frequencies[] = {".rotary_emb.inv_freq", NULL};
static const char *const saved_masks[] = {".attn.bias", ".attn.masked_bias", NULL};
static const char *const saved_neox_buffers[] = {".attention.bias", ".attention.masked_bias",
                                                 ".rotary_emb.inv_freq", NULL};

#define STORED(prefix, head) .stored.body = (prefix), .stored.unembedding = (head)
#define BODY(prefix) STORED(prefix, "lm_head.weight"), .stored.ignored = saved_frequencies
#define RMS_NORM(epsilon) .norm = ATI_NORM_RMS, .eps_key = "rms_norm_eps", .eps = (epsilon)
#define LAYER_NORM(key, epsilon) .norm = ATI_NORM_LAYER, .eps_key = (key), .eps = (epsilon)
#define USUAL(type) .model_type = (type), BODY("model."), .keys = &usual_keys, .activation = "silu"

#define ENDS .embeddings = "embed_tokens", .final_norm = "norm"
#define PROJECTIONS(block)                                                               \
    .query = "layers.{}." block ".q_proj", .key = "layers.{}." block ".k_proj",          \
    .value = "layers.{}." block ".v_proj"
#define ATTENTION PROJECTIONS("self_attn"), .output = "layers.{}.self_attn.o_proj"
#define GATED                                                                     \
    .gate = "layers.{}.mlp.gate_proj", .up = "layers.{}.mlp.up_proj",             \
    .down = "layers.{}.mlp.down_proj"
#define FUSED .gate_up = "layers.{}.mlp.gate_up_proj", .down = "layers.{}.mlp.down_proj"
#define PLAIN(block, first, second) \
    .up = "layers.{}." block first, .down = "layers.{}." block second
#define PRE_NORMS                                      \
    .attention_norm = "layers.{}.input_layernorm",     \
    .mlp_norm = "layers.{}.post_attention_layernorm"
#define POST_NORMS                                                 \
    .attention_post_norm = "layers.{}.post_attention_layernorm",   \
    .mlp_post_norm = "layers.{}.post_feedforward_layernorm"
#define QK_NORMS                                                                         \
    .query_norm = "layers.{}.self_attn.q_norm", .key_norm = "layers.{}.self_attn.k_norm"
#define QK_LAYER_NORMS(ending)                                \
    .query_norm = "layers.{}.self_attn.q_layernorm" ending,   \
    .key_norm = "layers.{}.self_attn.k_layernorm" ending
#define EXPERTS(block, gate_name, up_name, down_name)                           \
    .router = "layers.{}." block ".gate",                                       \
    .expert_gate = "layers.{}." block ".experts.{}." gate_name,                 \
    .expert_up = "layers.{}." block ".experts.{}." up_name,                     \
    .expert_down = "layers.{}." block ".experts.{}." down_name

#define BIASED_BY(flag) .qkv_bias = {flag, false}, .output_bias = {flag, false}
#define ALWAYS {NULL, true}

static const ati_family families[] = {
    {
        USUAL("llama"), RMS_NORM(1e-6), .implied = &llama_sizes,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
        BIASED_BY("attention_bias"), .mlp_bias = {"mlp_bias", false},
    },
    {
        USUAL("mistral"), RMS_NORM(1e-6), .implied = &mistral_sizes,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
        .window = ATI_WINDOW_ALL, .states_window = true,
    },
    {
        USUAL("ministral"), RMS_NORM(1e-6),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
        .window = ATI_WINDOW_TYPED, .states_window = true,
    },
    {
        USUAL("ministral3"), RMS_NORM(1e-5),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
        .head_dim = 128, .window = ATI_WINDOW_ALL,
        .query_growth_key = "llama_4_scaling_beta",
    },
    {
        USUAL("qwen2"), RMS_NORM(1e-6),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
        .qkv_bias = ALWAYS,
        .window = ATI_WINDOW_LATER, .window_switch = "use_sliding_window",
    },
    {
        USUAL("qwen3"), RMS_NORM(1e-6),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, QK_NORMS, GATED},
        .head_dim = 128, BIASED_BY("attention_bias"), .stored.qk_norm = ATI_QK_NORM_HEAD,
        .window = ATI_WINDOW_LATER, .window_switch = "use_sliding_window",
    },
    {
        USUAL("qwen3_moe"), RMS_NORM(1e-6),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, QK_NORMS, GATED,
                         EXPERTS("mlp", "gate_proj", "up_proj", "down_proj")},
        BIASED_BY("attention_bias"), .stored.qk_norm = ATI_QK_NORM_HEAD,
        .window = ATI_WINDOW_ALL, .window_switch = "use_sliding_window",
        .stored.experts = ATI_EXPERTS_LISTED,
        .expert_size_key = "moe_intermediate_size",
        .normalises_routing = {"norm_topk_prob", false},
    },
    {
        .model_type = "gemma", BODY("model."), .keys = &usual_keys,
        .activation = "gelu_pytorch_tanh", RMS_NORM(1e-6), .stored.gain = ATI_GAIN_ONE_PLUS_WEIGHT,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
        .head_dim = 256, BIASED_BY("attention_bias"), .gelu_is_tanh = true,
        .tied = true, .scales_embeddings = true,
    },
    {
        .model_type = "gemma2", BODY("model."), .keys = &gemma_keys,
        .activation = "gelu_pytorch_tanh", RMS_NORM(1e-6), .stored.gain = ATI_GAIN_ONE_PLUS_WEIGHT,
        .stored.names = {ENDS, .attention_norm = "layers.{}.input_layernorm", ATTENTION, GATED,
                         .mlp_norm = "layers.{}.pre_feedforward_layernorm", POST_NORMS},
        .head_dim = 256, BIASED_BY("attention_bias"),
        .query_scalar_key = "query_pre_attn_scalar",
        .attention_soft_cap_key = "attn_logit_softcapping", .attention_soft_cap = 50,
        .window = ATI_WINDOW_PERIOD, .states_window = true,
        .window_period = 2,
        .tied = true, .scales_embeddings = true,
        .logit_soft_cap_key = "final_logit_softcapping", .logit_soft_cap = 30,
    },
    {
        .model_type = "gemma3_text", BODY("model."), .keys = &gemma_keys, .implied = &gemma3_sizes,
        .activation = "gelu_pytorch_tanh", RMS_NORM(1e-6), .stored.gain = ATI_GAIN_ONE_PLUS_WEIGHT,
        .stored.names = {ENDS, .attention_norm = "layers.{}.input_layernorm", ATTENTION, QK_NORMS,
                         GATED, .mlp_norm = "layers.{}.pre_feedforward_layernorm", POST_NORMS},
        .head_dim = 256, BIASED_BY("attention_bias"),
        .stored.qk_norm = ATI_QK_NORM_HEAD, .query_scalar_key = "query_pre_attn_scalar",
        .window = ATI_WINDOW_PERIOD, .states_window = true,
        .window_period = 6,
        .window_period_key = "sliding_window_pattern",
        .rope_by_window = true, .theta = 1e6,
        .window_theta_key = "rope_local_base_freq",
        .tied = true, .scales_embeddings = true, .logit_soft_cap_key = "final_logit_softcapping",
    },
    {
        .model_type = "vaultgemma", BODY("model."), .keys = &gemma_keys,
        .activation = "gelu_pytorch_tanh", RMS_NORM(1e-6), .stored.gain = ATI_GAIN_ONE_PLUS_WEIGHT,
        .stored.names = {ENDS, .attention_norm = "layers.{}.input_layernorm", ATTENTION, GATED,
                         .mlp_norm = "layers.{}.pre_feedforward_layernorm"},
        .head_dim = 256, BIASED_BY("attention_bias"),
        .query_scalar_key = "query_pre_attn_scalar",
        .attention_soft_cap_key = "attn_logit_softcapping", .attention_soft_cap = 50,
        .window = ATI_WINDOW_PERIOD, .states_window = true,
        .window_period = 2,
        .tied = true, .scales_embeddings = true,
        .logit_soft_cap_key = "final_logit_softcapping", .logit_soft_cap = 30,
    },
    {
        .model_type = "gpt2", STORED("transformer.", "lm_head.weight"),
        .stored.ignored = saved_masks, .keys = &gpt2_keys, .activation = "gelu_new",
        .stored.names = {.embeddings = "wte", .positions = "wpe", .final_norm = "ln_f",
                         .attention_norm = "h.{}.ln_1", .qkv = "h.{}.attn.c_attn",
                         .output = "h.{}.attn.c_proj", .mlp_norm = "h.{}.ln_2",
                         .up = "h.{}.mlp.c_fc", .down = "h.{}.mlp.c_proj"},
        LAYER_NORM("layer_norm_epsilon", 1e-5), .norm_bias = true, .ffn_factor = 4,
        .stored.transposed = true, .plain_mlp = true,
        .qkv_bias = ALWAYS, .output_bias = ALWAYS, .mlp_bias = ALWAYS, .tied = true,
        .attention_scaled = {"scale_attn_weights", true},
        .attention_scaled_by_layer = {"scale_attn_by_inverse_layer_idx", false},
    },
    {
        .model_type = "gpt_neox", STORED("gpt_neox.", "embed_out.weight"),
        .stored.ignored = saved_neox_buffers, .keys = &neox_keys, .activation = "gelu",
        .stored.names = {.embeddings = "embed_in", .final_norm = "final_layer_norm", PRE_NORMS,
                         .qkv = "layers.{}.attention.query_key_value",
                         .output = "layers.{}.attention.dense",
                         PLAIN("mlp.", "dense_h_to_4h", "dense_4h_to_h")},
        LAYER_NORM("layer_norm_eps", 1e-5), .norm_bias = true,
        .stored.qkv_by_heads = true, .plain_mlp = true, .mlp_bias = ALWAYS,
        .qkv_bias = {"attention_bias", true}, .output_bias = {"attention_bias", true},
        .parallel = {"use_parallel_residual", true},
        .theta_key = "rotary_emb_base", .partial = 0.25, .partial_key = "rotary_pct",
    },
    {
        USUAL("olmo"), .norm = ATI_NORM_LAYER, .eps = 1e-5, .stored.gain = ATI_GAIN_NONE,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
        BIASED_BY("attention_bias"), .clip_key = "clip_qkv",
    },
    {
        USUAL("olmo2"), RMS_NORM(1e-5),
        .stored.names = {ENDS, POST_NORMS, ATTENTION, QK_NORMS, GATED},
        BIASED_BY("attention_bias"), .stored.qk_norm = ATI_QK_NORM_WHOLE,
    },
    {
        USUAL("olmo3"), RMS_NORM(1e-5),
        .stored.names = {ENDS, POST_NORMS, ATTENTION, QK_NORMS, GATED},
        BIASED_BY("attention_bias"), .stored.qk_norm = ATI_QK_NORM_WHOLE,
        .window = ATI_WINDOW_PERIOD, .states_window = true,
        .window_period = 4,
        .rope_by_window = true, .theta = 5e5, .window_theta = 5e5,
    },
    {
        USUAL("olmoe"), RMS_NORM(1e-5),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, QK_NORMS,
                         EXPERTS("mlp", "gate_proj", "up_proj", "down_proj")},
        BIASED_BY("attention_bias"), .stored.qk_norm = ATI_QK_NORM_WHOLE, .clip_key = "clip_qkv",
        .stored.experts = ATI_EXPERTS_LISTED,
        .normalises_routing = {"norm_topk_prob", false},
    },
    {
        .model_type = "phi", BODY("model."), .keys = &usual_keys, .activation = "gelu_new",
        .stored.names = {.embeddings = "embed_tokens", .final_norm = "final_layernorm",
                         .attention_norm = "layers.{}.input_layernorm", PROJECTIONS("self_attn"),
                         .output = "layers.{}.self_attn.dense", QK_LAYER_NORMS(""),
                         PLAIN("mlp.", "fc1", "fc2")},
        LAYER_NORM("layer_norm_eps", 1e-5), .norm_bias = true,
        .qkv_bias = ALWAYS, .output_bias = ALWAYS, .mlp_bias = ALWAYS, .unembedding_bias = true,
        .stored.qk_norm = ATI_QK_NORM_HEAD, .qk_norm_key = "qk_layernorm", .qk_norm_bias = true,
        .plain_mlp = true, .parallel = ALWAYS, .partial = 0.5,
    },
    {
        USUAL("phi3"), RMS_NORM(1e-5),
        .stored.names = {ENDS, PRE_NORMS, .qkv = "layers.{}.self_attn.qkv_proj",
                         .output = "layers.{}.self_attn.o_proj", FUSED},
        .window = ATI_WINDOW_ALL, .partial = 1, .rope_is_long = true,
        .original_context = 4096,
    },
    {
        USUAL("stablelm"), LAYER_NORM("layer_norm_eps", 1e-5), .norm_bias = true,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, QK_LAYER_NORMS(".norms.{}"), GATED},
        .qkv_bias = {"use_qkv_bias", false},
        .stored.qk_norm = ATI_QK_NORM_LISTED, .qk_norm_key = "qk_layernorm",
        .parallel = {"use_parallel_residual", false}, .parallel_shares_norm = true,
        .partial = 0.25,
    },
    {
        USUAL("smollm3"), RMS_NORM(1e-6),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
        BIASED_BY("attention_bias"), .mlp_bias = {"mlp_bias", false},
        .window = ATI_WINDOW_NO_ROPE, .window_switch = "use_sliding_window",
        .rope_layers = ATI_ROPE_LISTED, .theta = 2e6, .tied = true,
    },
    {
        USUAL("granite"), RMS_NORM(1e-6),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
        BIASED_BY("attention_bias"), .mlp_bias = {"mlp_bias", false},
        .attention_scale_key = "attention_multiplier",
        .residual_multiplier_key = "residual_multiplier",
        .embedding_multiplier_key = "embedding_multiplier", .logit_divisor_key = "logits_scaling",
    },
    {
        USUAL("granitemoe"), RMS_NORM(1e-6),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION,
                         .router = "layers.{}.block_sparse_moe.router.layer",
                         .expert_gate_up = "layers.{}.block_sparse_moe.input_linear.weight",
                         .expert_down = "layers.{}.block_sparse_moe.output_linear.weight"},
        BIASED_BY("attention_bias"), .attention_scale_key = "attention_multiplier",
        .residual_multiplier_key = "residual_multiplier",
        .stored.experts = ATI_EXPERTS_STACKED,
        .normalises_routing = ALWAYS,
        .embedding_multiplier_key = "embedding_multiplier", .logit_divisor_key = "logits_scaling",
    },
    {
        USUAL("mixtral"), RMS_NORM(1e-5),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, EXPERTS("block_sparse_moe", "w1", "w3", "w2")},
        .window = ATI_WINDOW_ALL, .theta = 1e6,
        .stored.experts = ATI_EXPERTS_LISTED,
        .normalises_routing = ALWAYS,
    },
    {
        USUAL("gpt_oss"), RMS_NORM(1e-5),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, .sinks = "layers.{}.self_attn.sinks",
                         .router = "layers.{}.mlp.router",
                         .expert_gate_up = "layers.{}.mlp.experts.gate_up_proj",
                         .expert_down = "layers.{}.mlp.experts.down_proj"},
        .head_dim = 64,
        .qkv_bias = {"attention_bias", true}, .output_bias = {"attention_bias", true},
        .window = ATI_WINDOW_PERIOD, .states_window = true,
        .window_period = 2,
        .rope_stated = true, .theta = 150000,
        .stored.experts = ATI_EXPERTS_TRANSPOSED,
        .expert_bias = true, .normalises_routing = ALWAYS, .clamped_glu = true,
    },
    {
        .model_type = "nemotron", BODY("model."), .keys = &usual_keys, .activation = "relu2",
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, PLAIN("mlp.", "up_proj", "down_proj")},
        LAYER_NORM("norm_eps", 1e-5), .stored.gain = ATI_GAIN_ONE_PLUS_WEIGHT, .norm_bias = true,
        BIASED_BY("attention_bias"), .plain_mlp = true, .mlp_bias = {"mlp_bias", false},
        .partial = 0.5,
    },
    {
        USUAL("cohere"), LAYER_NORM("layer_norm_eps", 1e-5),
        .stored.names = {ENDS, .attention_norm = "layers.{}.input_layernorm", ATTENTION, QK_NORMS,
                         GATED},
        BIASED_BY("attention_bias"),
        .stored.qk_norm = ATI_QK_NORM_EACH_HEAD, .qk_norm_key = "use_qk_norm",
        .stored.rope_pairs = true, .theta = 5e5, .parallel = ALWAYS, .tied = true,
        .logit_multiplier_key = "logit_scale", .logit_multiplier = 0.0625,
    },
    {
        USUAL("cohere2"), LAYER_NORM("layer_norm_eps", 1e-5),
        .stored.names = {ENDS, .attention_norm = "layers.{}.input_layernorm", ATTENTION, GATED},
        BIASED_BY("attention_bias"),
        .window = ATI_WINDOW_PERIOD, .states_window = true,
        .window_period = 4,
        .window_period_key = "sliding_window_pattern",
        .rope_layers = ATI_ROPE_WINDOWED, .stored.rope_pairs = true, .parallel = ALWAYS,
        .tied = true,
        .logit_multiplier_key = "logit_scale", .logit_multiplier = 0.0625,
    },
    {
        USUAL("glm"), RMS_NORM(1.5625e-7),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, FUSED},
        .head_dim = 128, .qkv_bias = {"attention_bias", true},
        .stored.rope_pairs = true, .partial = 0.5,
    },
    {
        USUAL("glm4"), RMS_NORM(1.5625e-7),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, FUSED,
                         .attention_post_norm = "layers.{}.post_self_attn_layernorm",
                         .mlp_post_norm = "layers.{}.post_mlp_layernorm"},
        .head_dim = 128, .qkv_bias = {"attention_bias", true},
        .stored.rope_pairs = true, .partial = 0.5,
    },
    {
        .model_type = "starcoder2", BODY("model."), .keys = &usual_keys,
        .activation = "gelu_pytorch_tanh",
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, PLAIN("mlp.", "c_fc", "c_proj")},
        LAYER_NORM("norm_epsilon", 1e-5), .norm_bias = true,
        .qkv_bias = {"use_bias", true}, .output_bias = {"use_bias", true},
        .plain_mlp = true, .mlp_bias = {"use_bias", true},
        .window = ATI_WINDOW_ALL, .tied = true,
    },
    {
        USUAL("ernie4_5"), RMS_NORM(1e-5),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
        .head_dim = 128, BIASED_BY("use_bias"),
        .mlp_bias = {"use_bias", false}, .stored.rope_pairs = true, .theta = 5e5, .tied = true,
    },
    {
        USUAL("exaone4"), RMS_NORM(1e-5),
        .stored.names = {ENDS, POST_NORMS, ATTENTION, QK_NORMS, GATED},
        .stored.qk_norm = ATI_QK_NORM_HEAD,
        .window = ATI_WINDOW_PERIOD, .states_window = true,
        .window_period = 4,
        .window_period_key = "sliding_window_pattern", .rope_layers = ATI_ROPE_WINDOWED_IF_ANY,
    },
    {
        .model_type = "opt", STORED("model.decoder.", "lm_head.weight"),
        .stored.ignored = saved_frequencies,
        .keys = &opt_keys, .activation = "relu",
        .stored.names = {.embeddings = "embed_tokens", .positions = "embed_positions",
                         .final_norm = "final_layer_norm",
                         .attention_norm = "layers.{}.self_attn_layer_norm",
                         PROJECTIONS("self_attn"),
                         .output = "layers.{}.self_attn.out_proj",
                         .mlp_norm = "layers.{}.final_layer_norm", PLAIN("", "fc1", "fc2")},
        .norm = ATI_NORM_LAYER, .eps = 1e-5, .norm_bias = true, .first_position = 2,
        .qkv_bias = {"enable_bias", true}, .output_bias = {"enable_bias", true},
        .plain_mlp = true, .mlp_bias = {"enable_bias", true}, .tied = true,
    },
    {
        .model_type = "nanochat", BODY("model."), .keys = &usual_keys, .activation = "relu2",
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, QK_NORMS, PLAIN("mlp.", "fc1", "fc2")},
        RMS_NORM(1e-6), .stored.gain = ATI_GAIN_NONE, BIASED_BY("attention_bias"),
        .stored.qk_norm = ATI_QK_NORM_HEAD, .qk_norm_after_rope = true, .rope_reversed = true,
        .plain_mlp = true, .norms_embeddings = true,
        .logit_soft_cap_key = "final_logit_softcapping", .logit_soft_cap = 15,
    },
    {
        .model_type = "arcee", BODY("model."), .keys = &usual_keys, .activation = "relu2",
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, PLAIN("mlp.", "up_proj", "down_proj")},
        RMS_NORM(1e-5), BIASED_BY("attention_bias"),
        .plain_mlp = true, .mlp_bias = {"mlp_bias", false},
    },
    {
        USUAL("helium"), RMS_NORM(1e-8),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
        .head_dim = 128, .qkv_bias = {"attention_bias", false}, .mlp_bias = {"mlp_bias", false},
        .stored.rope_pairs = true, .theta = 1e5,
    },
    {
        USUAL("hunyuan_v1_dense"), RMS_NORM(1e-5), .unread = "use_qk_norm",
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED,
                         .query_norm = "layers.{}.self_attn.query_layernorm",
                         .key_norm = "layers.{}.self_attn.key_layernorm"},
        BIASED_BY("attention_bias"),
        .stored.qk_norm = ATI_QK_NORM_HEAD, .qk_norm_after_rope = true, .rope_alpha = true,
    },
    {
        USUAL("seed_oss"), RMS_NORM(1e-6),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
        .head_dim = 128, .qkv_bias = {"attention_bias", true},
        .output_bias = {"attention_out_bias", false}, .mlp_bias = {"mlp_bias", false},
    },
    {
        .model_type = "apertus", BODY("model."), .keys = &usual_keys, .activation = "xielu",
        .stored.names = {ENDS, .attention_norm = "layers.{}.attention_layernorm",
                         .mlp_norm = "layers.{}.feedforward_layernorm", ATTENTION, QK_NORMS,
                         PLAIN("mlp.", "up_proj", "down_proj"),
                         .activation = "layers.{}.mlp.act_fn"},
        RMS_NORM(1e-5), BIASED_BY("attention_bias"), .stored.qk_norm = ATI_QK_NORM_HEAD,
        .rope_stated = true, .theta = 12e6, .plain_mlp = true,
    },
};

/* clang-format on */

/* Checkpoints of more than text whose text part reads text alone as its family does. */
static const char *const wrappers[] = {"gemma3", "llava", "llava_next", "mistral3", "aya_vision"};

const ati_family *ati_family_at(size_t i) {
    return i < sizeof families / sizeof *families ? &families[i] : NULL;
}

const ati_family *ati_family_find(const char *model_type) {
    const ati_family *family;
    for (size_t i = 0; (family = ati_family_at(i)) != NULL; i++) {
        if (strcmp(family->model_type, model_type) == 0) {
            return family;
        }
    }
    return NULL;
}

bool ati_family_is_wrapper(const char *model_type) {
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++) {
        if (strcmp(wrappers[i], model_type) == 0) {
            return true;
        }
    }
    return false;
}
