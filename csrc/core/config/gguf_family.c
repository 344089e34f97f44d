#include "config/gguf_family.h"

/* Rows are laid out by hand, as those of family.c. */
/* clang-format off */

/* Read as settings of rotary embedding, or once used to keep frequencies. */
static const char *const apart[] = {"rope_freqs.weight", "rope_factors_long.weight",
                                    "rope_factors_short.weight", ".attn_rot_embd.weight", NULL};

#define NAMED(name_, type)                                              \
    .name = (name_), .model_type = (type), .stored.body = "",           \
    .stored.unembedding = "output.weight", .stored.ignored = apart
/* The rotation turns neighbours, for which conversion moves the rows of queries and keys. */
#define PAIRS .stored.rope_pairs = true

#define ENDS .embeddings = "token_embd", .final_norm = "output_norm"
#define PRE_NORM .attention_norm = "blk.{}.attn_norm"
#define PRE_NORMS PRE_NORM, .mlp_norm = "blk.{}.ffn_norm"
#define LATE_PRE_NORMS PRE_NORM, .mlp_norm = "blk.{}.post_attention_norm"
#define POST_NORMS                                          \
    .attention_post_norm = "blk.{}.post_attention_norm",    \
    .mlp_post_norm = "blk.{}.post_ffw_norm"
#define QKV .qkv = "blk.{}.attn_qkv"
#define ATTENTION                                                               \
    .query = "blk.{}.attn_q", .key = "blk.{}.attn_k", .value = "blk.{}.attn_v", \
    QKV, .output = "blk.{}.attn_output"
#define QK_NORMS .query_norm = "blk.{}.attn_q_norm", .key_norm = "blk.{}.attn_k_norm"
#define PLAIN .up = "blk.{}.ffn_up", .down = "blk.{}.ffn_down"
#define GATED .gate = "blk.{}.ffn_gate", PLAIN
#define FUSED .gate_up = "blk.{}.ffn_up", .down = "blk.{}.ffn_down"
#define EXPERTS                                                                  \
    .router = "blk.{}.ffn_gate_inp", .expert_gate = "blk.{}.ffn_gate_exps",      \
    .expert_up = "blk.{}.ffn_up_exps", .expert_down = "blk.{}.ffn_down_exps"

static const ati_gguf_family rows[] = {
    {
        NAMED("llama", "mixtral"), .where = "expert_count", PAIRS,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, EXPERTS},
        .stored.experts = ATI_EXPERTS_APART,
    },
    {
        NAMED("llama", "mistral"), .where = "attention.sliding_window", PAIRS,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
    },
    {
        NAMED("llama", "llama"), PAIRS,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
    },
    {
        NAMED("mistral3", "ministral3"), .where = "attention.temperature_scale", PAIRS,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
    },
    {
        NAMED("mistral3", "mistral"), PAIRS,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
    },
    {
        NAMED("qwen2", "qwen2"),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
    },
    {
        NAMED("qwen3", "qwen3"),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, QK_NORMS, GATED},
        .stored.qk_norm = ATI_QK_NORM_HEAD,
    },
    {
        NAMED("qwen3moe", "qwen3_moe"),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, QK_NORMS, EXPERTS},
        .stored.qk_norm = ATI_QK_NORM_HEAD, .stored.experts = ATI_EXPERTS_APART,
        .unsaid = "\"norm_topk_prob\":true",
    },
    {
        NAMED("gemma", "gemma"),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
    },
    {
        NAMED("gemma2", "gemma2"),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED, POST_NORMS},
        .window = 4096, .wide_scale_layers = 46,
    },
    {
        NAMED("gemma3", "gemma3_text"),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, QK_NORMS, GATED, POST_NORMS},
        .stored.qk_norm = ATI_QK_NORM_HEAD, .wide_scale_layers = 62,
    },
    {
        NAMED("gpt2", "gpt2"),
        .stored.names = {ENDS, .positions = "position_embd", PRE_NORMS, ATTENTION, PLAIN},
    },
    {
        NAMED("gptneox", "gpt_neox"),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, PLAIN},
    },
    {
        NAMED("olmo", "olmo"), PAIRS, .no_biases = true, .stored.gain = ATI_GAIN_NONE,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
    },
    {
        NAMED("olmo2", "olmo3"), .where = "attention.sliding_window",
        .stored.names = {ENDS, POST_NORMS, ATTENTION, QK_NORMS, GATED},
        .stored.qk_norm = ATI_QK_NORM_WHOLE,
    },
    {
        NAMED("olmo2", "olmo2"),
        .stored.names = {ENDS, POST_NORMS, ATTENTION, QK_NORMS, GATED},
        .stored.qk_norm = ATI_QK_NORM_WHOLE,
    },
    {
        NAMED("olmoe", "olmoe"),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, QK_NORMS, EXPERTS},
        .stored.qk_norm = ATI_QK_NORM_WHOLE, .stored.experts = ATI_EXPERTS_APART,
    },
    {
        NAMED("phi2", "phi"),
        .stored.names = {ENDS, PRE_NORM, ATTENTION, QK_NORMS, PLAIN},
        .stored.qk_norm = ATI_QK_NORM_HEAD,
    },
    {
        NAMED("phi3", "phi3"),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, FUSED},
    },
    {
        NAMED("stablelm", "stablelm"),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, QK_NORMS, GATED},
        .stored.qk_norm = ATI_QK_NORM_EACH_HEAD,
    },
    {
        NAMED("smollm3", "smollm3"), PAIRS,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
    },
    {
        NAMED("granite", "granite"), PAIRS,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
    },
    {
        NAMED("granitemoe", "granitemoe"), PAIRS,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, EXPERTS},
        .stored.experts = ATI_EXPERTS_APART,
    },
    {
        NAMED("gpt-oss", "gpt_oss"),
        .stored.names = {ENDS, LATE_PRE_NORMS, ATTENTION, .sinks = "blk.{}.attn_sinks.weight",
                         EXPERTS},
        .stored.experts = ATI_EXPERTS_APART, .exact_yarn = true,
    },
    {
        NAMED("nemotron", "nemotron"),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, PLAIN},
    },
    {
        NAMED("command-r", "cohere"), PAIRS,
        .stored.names = {ENDS, PRE_NORM, ATTENTION, QK_NORMS, GATED},
        .stored.qk_norm = ATI_QK_NORM_EACH_HEAD,
    },
    {
        NAMED("cohere2", "cohere2"), PAIRS,
        .stored.names = {ENDS, PRE_NORM, ATTENTION, GATED},
    },
    {
        NAMED("chatglm", "glm"), PAIRS,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, FUSED},
    },
    {
        NAMED("glm4", "glm4"), PAIRS,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, FUSED, POST_NORMS},
    },
    {
        NAMED("starcoder2", "starcoder2"), .window = 4096,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, PLAIN},
    },
    {
        NAMED("ernie4_5", "ernie4_5"), PAIRS,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, GATED},
    },
    {
        NAMED("exaone4", "exaone4"),
        .stored.names = {ENDS, POST_NORMS, ATTENTION, QK_NORMS, GATED},
        .stored.qk_norm = ATI_QK_NORM_HEAD,
    },
    {
        NAMED("arcee", "arcee"), PAIRS,
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, PLAIN},
    },
    {
        NAMED("hunyuan-dense", "hunyuan_v1_dense"),
        .stored.names = {ENDS, PRE_NORMS, ATTENTION, QK_NORMS, GATED},
        .stored.qk_norm = ATI_QK_NORM_HEAD,
    },
    {
        NAMED("seed_oss", "seed_oss"),
        .stored.names = {ENDS, LATE_PRE_NORMS, ATTENTION, GATED},
    },
};

/* clang-format on */

const ati_gguf_family *ati_gguf_family_at(size_t i) {
    return i < sizeof rows / sizeof *rows ? &rows[i] : NULL;
}
