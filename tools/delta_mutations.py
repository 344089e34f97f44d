"""What tools/check_deltas.py breaks beside the rows of the table: parts of the computation."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """`old` occurs exactly once in `file`, as a regular expression when `pattern`."""

    name: str
    file: str
    old: str
    new: str
    families: tuple[str, ...]
    pattern: bool = False

    def apply(self, text: str) -> str:
        found = len(re.findall(self.old, text)) if self.pattern else text.count(self.old)
        if found != 1:
            raise ValueError(f"{self.name}: found {found} times in {self.file}, expected once")
        if self.pattern:
            return re.sub(self.old, self.new, text)
        return text.replace(self.old, self.new)


# Differences that are computed and stand in no row of the table.
MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "no learned positions are added",
        "csrc/core/forward/forward.c",
        "ati_add_to(row, weights->positions + position * width, width);",
        "(void)position;",
        ("gpt2", "opt"),
    ),
    Mutation(
        "embeddings are not scaled",
        "csrc/core/forward/forward.c",
        "ati_scale(row, width, config->embedding_multiplier);",
        "",
        ("gemma", "gemma2", "gemma3_text", "vaultgemma", "granite", "granitemoe"),
    ),
    Mutation(
        "attention before MLP in a parallel layer",
        "csrc/core/forward/forward.c",
        "if (part->pass->model->config.parallel) {",
        "if (false) {",
        ("gpt_neox", "phi", "stablelm", "cohere", "cohere2"),
    ),
    Mutation(
        "queries and keys are not clipped",
        "csrc/core/forward/heads.c",
        "if (config->clip_qkv > 0.0F) {",
        "if (false) {",
        ("olmo", "olmoe"),
    ),
    Mutation(
        "norms of heads before the rotation",
        "csrc/core/forward/heads.c",
        "bool norms_late = config->family->qk_norm_after_rope;",
        "bool norms_late = false;",
        ("hunyuan_v1_dense",),
    ),
    Mutation(
        "queries do not grow",
        "csrc/core/forward/heads.c",
        "if (config->query_growth > 0.0F) {",
        "if (false) {",
        ("ministral3",),
    ),
    Mutation(
        "attention without a window",
        "csrc/core/model/weights_memory.c",
        ".window = config->layers[l].is_windowed ? config->window : 0,",
        ".window = 0,",
        (
            "mistral",
            "ministral",
            "ministral3",
            "qwen2",
            "qwen3",
            "gemma2",
            "gemma3_text",
            "vaultgemma",
            "olmo3",
            "phi3",
            "smollm3",
            "cohere2",
            "starcoder2",
            "exaone4",
            "mixtral",
            "qwen3_moe",
            "gpt_oss",
        ),
    ),
    Mutation(
        "a masked head without a window",
        "csrc/core/forward/heads.c",
        "input.rule->window, input.head_dim",
        "0, input.head_dim",
        ("mistral", "gemma2", "gpt_oss", "cohere2"),
    ),
    Mutation(
        "scores are not capped",
        "csrc/core/model/weights_memory.c",
        ".soft_cap = config->attention_soft_cap,",
        "",
        ("gemma2", "vaultgemma"),
    ),
    Mutation(
        "scores are not divided by the layer",
        "csrc/core/model/weights_memory.c",
        "config->attention_scaled_by_layer ? (float)(l + 1) : 1.0F",
        "1.0F",
        ("gpt2",),
    ),
    Mutation(
        "no sinks",
        "csrc/core/forward/attention.c",
        "block->largest[row] = head->sink != NULL ? *head->sink : -INFINITY;",
        "block->largest[row] = -INFINITY;",
        ("gpt_oss",),
    ),
    Mutation(
        "residuals are not multiplied",
        "csrc/core/forward/block.c",
        ".factor = config->residual_multiplier",
        ".factor = 1.0F",
        ("granite", "granitemoe"),
    ),
    Mutation(
        "logits are not multiplied",
        "csrc/core/forward/loss.c",
        "ati_scale(logits, count, config->logit_multiplier);",
        "",
        ("cohere", "cohere2"),
    ),
    Mutation(
        "logits are not divided",
        "csrc/core/forward/loss.c",
        "ati_divide(logits, count, config->logit_divisor);",
        "",
        ("granite", "granitemoe"),
    ),
    Mutation(
        "logits are not capped",
        "csrc/core/forward/loss.c",
        "ati_soft_cap(logits, count, config->logit_soft_cap);",
        "",
        ("gemma2", "vaultgemma", "nanochat"),
    ),
    Mutation(
        "no bias of the logits",
        "csrc/core/forward/loss.c",
        "ati_add_to(logits, model->weights.unembedding_bias + first, count);",
        "",
        ("phi",),
    ),
    Mutation(
        "windowed layers turn like the rest",
        "csrc/core/config/config.h",
        "bool second = config->n_ropes > 1 && config->layers[l].is_windowed;",
        "bool second = false;",
        ("gemma3_text", "olmo3"),
    ),
    Mutation(
        "longrope is always short",
        "csrc/core/config/rope.c",
        "bool is_long = n_tokens > rope->original_context;",
        "bool is_long = false;",
        ("phi3",),
    ),
    Mutation(
        "the whole head turns the other way",
        "csrc/core/config/rope.c",
        "(rope->reversed ? -scale : scale)",
        "scale",
        ("nanochat",),
    ),
    Mutation(
        "neighbours are not pairs",
        "csrc/core/model/row_map.c",
        "bool moves = config->stored.rope_pairs && i < dim;",
        "bool moves = false;",
        ("cohere", "cohere2", "glm", "glm4", "ernie4_5", "helium"),
    ),
    Mutation(
        "experts' factors sum to 1",
        "csrc/core/forward/mlp.c",
        "config->normalises_routing ? chosen : total",
        "chosen",
        ("olmoe", "qwen3_moe"),
    ),
    Mutation(
        "experts' factors do not sum to 1",
        "csrc/core/forward/mlp.c",
        "config->normalises_routing ? chosen : total",
        "total",
        ("mixtral", "granitemoe", "gpt_oss"),
    ),
    Mutation(
        "the router has no bias",
        "csrc/core/forward/mlp.c",
        "layer->router_bias != NULL ? layer->router_bias[e] : 0.0F",
        "0.0F",
        ("gpt_oss",),
    ),
    Mutation(
        "experts have no bias before the activation",
        "csrc/core/forward/mlp.c",
        "if (mlp->up_bias != NULL) {",
        "if (false) {",
        ("gpt_oss", "gpt2", "opt"),
    ),
    Mutation(
        "gates are not clamped",
        "csrc/core/vector/activation.c",
        "float g = gate > a->limit ? a->limit : gate;",
        "float g = gate;",
        ("gpt_oss",),
    ),
    Mutation(
        "a norm does not subtract the mean",
        "csrc/core/vector/norm.c",
        "float mean = ati_sum(x, width) / (float)width;",
        "float mean = 0.0F;",
        ("gpt2", "olmo", "phi", "stablelm", "cohere", "nemotron", "starcoder2", "opt", "gpt_neox"),
    ),
)
