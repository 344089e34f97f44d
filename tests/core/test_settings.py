"""Settings of config.json that a folder lacks, or has beside what its family writes.

transformers is the judge: whatever it makes of such a file, the core gives the same losses or
refuses the file. It may read what transformers fails on.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from attninfluence import _core
from attninfluence.verify.reference import Reference
from tests.kit.child import IS_SANITIZED
from tests.kit.family_models import (
    FAMILIES,
    REMOVED,
    SUPPORTED,
    changed_settings,
    default_shape,
    make_family_folder,
    read_folder,
)
from tests.kit.parity import difference
from tests.kit.tiny_models import random_ids

TOLERANCE = 1e-3  # nats a token: a setting moves losses by more, and some make attention sharper
DOCUMENTS = [random_ids(n, n, 290) for n in (30, 130)]

YARN = {"type": "yarn", "factor": 3.0}
# Settings whose absence or presence means something else in one family than in its neighbours.
TELLING: list[tuple[str, str, dict[str, Any]]] = [
    ("llama", "tied", {"head_dim": REMOVED}),
    ("llama", "biases", {"rms_norm_eps": REMOVED}),
    ("qwen2", "full", {"head_dim": 8}),
    ("gemma", "untied", {"hidden_act": REMOVED}),
    ("gemma", "untied", {"hidden_act": "gelu", "hidden_activation": None}),
    ("gemma2", "capped", {"attn_logit_softcapping": REMOVED, "final_logit_softcapping": REMOVED}),
    ("gemma2", "capped", {"query_pre_attn_scalar": REMOVED}),
    ("gemma3_text", "pattern of 3", {"attn_logit_softcapping": 2.5}),
    ("gemma3_text", "pattern of 3", {"rope_scaling": {"type": "linear", "factor": 3.0}}),
    ("gemma3_text", "pattern of 6", {"rope_parameters": REMOVED}),
    ("gpt2", "by layer", {"scale_attn_weights": REMOVED, "scale_attn_by_inverse_layer_idx": None}),
    ("gpt_neox", "parallel", {"head_dim": 8}),
    ("gpt_neox", "parallel", {"rope_parameters": REMOVED}),
    ("gpt_neox", "serial", {"use_parallel_residual": REMOVED}),
    ("olmo", "clipped", {"clip_qkv": REMOVED}),
    ("olmo3", "yarn", {"original_max_position_embeddings": 100}),
    ("olmo3", "yarn", {"rope_scaling": YARN}),
    ("olmo3", "yarn", {"rope_parameters": REMOVED, "rope_theta": 9000.0, "rope_scaling": YARN}),
    ("phi", "plain", {"rope_parameters": REMOVED, "partial_rotary_factor": REMOVED}),
    ("phi3", "longrope", {"original_max_position_embeddings": REMOVED}),
    ("phi3", "longrope", {"max_position_embeddings": 128}),
    ("stablelm", "serial", {"rope_parameters": REMOVED}),
    ("smollm3", "window", {"no_rope_layers": REMOVED}),
    ("smollm3", "window", {"layer_types": REMOVED}),
    ("granite", "biases", {"attention_multiplier": REMOVED}),
    ("granitemoe", "multipliers", {"attention_multiplier": REMOVED}),
    ("ministral", "sliding", {"layer_types": REMOVED}),
    ("ministral", "sliding", {"layer_types": REMOVED, "sliding_window": REMOVED}),
    ("ministral3", "full", {"rope_parameters.rope_type": REMOVED}),
    ("ministral3", "full", {"rope_parameters": REMOVED}),
    ("nemotron", "biases", {"rope_parameters": REMOVED}),
    ("cohere", "normed", {"logit_scale": REMOVED}),
    ("cohere2", "pattern of 4", {"layer_types": REMOVED, "sliding_window_pattern": REMOVED}),
    ("glm", "half", {"rope_parameters": REMOVED}),
    ("starcoder2", "full", {"hidden_act": REMOVED}),
    ("exaone4", "hybrid", {"layer_types": REMOVED, "sliding_window_pattern": "LLLG"}),
    ("hunyuan_v1_dense", "alpha", {"rope_parameters.alpha": REMOVED}),
    ("apertus", "biases", {"rope_parameters": REMOVED, "rope_theta": 5000.0}),
    ("olmoe", "normed", {"norm_topk_prob": REMOVED}),
    ("qwen3_moe", "listed", {"norm_topk_prob": REMOVED}),
    ("qwen3_moe", "listed", {"mlp_only_layers": REMOVED}),
    ("mixtral", "full", {"rope_parameters": REMOVED}),
    ("gpt_oss", "limited", {"swiglu_alpha": REMOVED, "swiglu_limit": REMOVED}),
    ("gpt_oss", "limited", {"layer_types": REMOVED, "sliding_window": REMOVED}),
    ("gpt_oss", "limited", {"rope_parameters": REMOVED, "rope_theta": 9000.0}),
]

LONGROPE = {
    key: FAMILIES["phi3"]["longrope"].config["rope_parameters"][key]
    for key in ("short_factor", "long_factor")
}
# Settings of published files, which are read.
PUBLISHED: list[tuple[str, str, dict[str, Any]]] = [
    (
        "phi3",
        "longrope",
        {
            "rope_parameters": REMOVED,
            "partial_rotary_factor": 0.5,
            "rope_scaling": {"type": kind, **LONGROPE},
        },
    )
    for kind in ("longrope", "su", "yarn")
] + [
    ("hunyuan_v1_dense", "alpha", {"use_qk_norm": True}),
    ("gemma", "tied", {"hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh"}),
    ("mixtral", "full", {"router_jitter_noise": 0.1, "sliding_window": None}),
    ("llama", "tied", {"rope_scaling": None, "pretraining_tp": 1}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    made: dict[tuple[str, str], Path] = {}

    def make(family: str, variant: str) -> Path:
        if (family, variant) not in made:
            path = tmp_path_factory.mktemp(family)
            made[family, variant] = make_family_folder(path, family, variant)
        return made[family, variant]

    return make


def disagreement(folder: Path) -> str:
    """What the core makes of a folder that is neither transformers' numbers nor a refusal."""
    try:
        core = _core.Model(str(folder), "fp32")
    except _core.ModelError:
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference = Reference(folder)
            expected = [reference.read(ids).losses for ids in DOCUMENTS]
    except Exception:  # noqa: BLE001  # whatever transformers fails with, it has no numbers
        return ""
    found = core.run(DOCUMENTS)
    largest = max(difference(a[0], b) for a, b in zip(found, expected, strict=True))
    return "" if largest <= TOLERANCE else f"{largest:.1e} nat a token off"


@pytest.mark.parametrize(("family", "variant", "fields"), TELLING)
def test_a_telling_setting(
    folder: Callable[[str, str], Path], family: str, variant: str, fields: dict[str, Any]
) -> None:
    path = folder(family, variant)
    with changed_settings(path, fields):
        assert disagreement(path) == ""


@pytest.mark.parametrize(("family", "variant", "fields"), PUBLISHED)
def test_a_published_setting(
    folder: Callable[[str, str], Path], family: str, variant: str, fields: dict[str, Any]
) -> None:
    path = folder(family, variant)
    with changed_settings(path, fields):
        assert _core.Model(str(path)).model_type == family
        assert disagreement(path) == ""


EPSILONS = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "norm_epsilon")


@pytest.mark.parametrize(("family", "variant"), SUPPORTED[::5] if IS_SANITIZED else SUPPORTED)
def test_the_epsilon_of_norms(tmp_path: Path, family: str, variant: str) -> None:
    """The stated one, and the family's own where none is stated, which small inputs tell."""
    path = make_family_folder(tmp_path, family, variant, embeddings=0.003)
    assert disagreement(path) == ""
    with changed_settings(path, dict.fromkeys(EPSILONS, REMOVED)):
        assert disagreement(path) == ""


@pytest.mark.parametrize("family", FAMILIES)
def test_default_shapes(tmp_path: Path, family: str) -> None:
    """A file that leaves out what equals its family's default, which may be another's size."""
    shape = default_shape(family)
    path = make_family_folder(tmp_path, family, next(iter(FAMILIES[family])), settings=shape)
    for name in ("", *shape):
        with changed_settings(path, {name: REMOVED}):
            assert disagreement(path) == ""


# ------------------------------------------------------------------------ sweep

# What no loss depends on, and sizes of matrices: a file without one describes another model.
NO_NUMBERS = {
    "hidden_size",
    "n_embd",
    "intermediate_size",
    "moe_intermediate_size",
    "ffn_dim",
    "word_embed_proj_dim",
    "architectures",
    "transformers_version",
    "dtype",
    "torch_dtype",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "use_cache",
    "initializer_range",
    "model_type",
    "vocab_size",
    "num_hidden_layers",
    "n_layer",
    "output_router_logits",
    "router_aux_loss_coef",
}
# Settings of some family, written into every other.
ADDED: dict[str, Any] = {
    "rope_theta": 777.0,
    "rope_scaling": {"type": "linear", "factor": 3.0},
    "partial_rotary_factor": 0.5,
    "original_max_position_embeddings": 100,
    "head_dim": 8,
    "sliding_window": 9,
    "use_sliding_window": True,
    "attention_bias": True,
    "attn_logit_softcapping": 2.0,
    "final_logit_softcapping": 3.0,
    "query_pre_attn_scalar": 3,
    "clip_qkv": 0.5,
    "hidden_act": "gelu",
    "hidden_activation": "silu",
    "attention_multiplier": 0.3,
    "embedding_multiplier": 2.0,
    "logit_scale": 0.5,
    "use_qk_norm": True,
}


def all_changes(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each setting removed, null, the other flag, or another number; and foreign ones set."""
    for name, value in config.items():
        if name not in NO_NUMBERS:
            yield name, REMOVED
            yield name, None
            yield from ((name, other) for other in others(value))
    rope = config.get("rope_parameters")
    for name, value in (rope or {}).items():
        yield f"rope_parameters.{name}", REMOVED
        yield from ((f"rope_parameters.{name}", other) for other in others(value))
    yield from ((name, value) for name, value in ADDED.items() if config.get(name) is None)


def others(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1]
    return [value * 2] if isinstance(value, float) else []


# transformers reads the others as other models, or not at all.
WRITTEN = [
    (*pair, dialect) for pair in SUPPORTED for dialect in FAMILIES[pair[0]][pair[1]].dialects
]


@pytest.mark.full
@pytest.mark.parametrize(("family", "variant", "dialect"), WRITTEN)
def test_every_setting(tmp_path: Path, family: str, variant: str, dialect: str) -> None:
    path = make_family_folder(tmp_path, family, variant, dialect=dialect)
    wrong = []
    for name, value in all_changes(read_folder(path)[0]):
        with changed_settings(path, {name: value}):
            found = disagreement(path)
            if found:
                shown = "removed" if value is REMOVED else repr(value)
                wrong.append(f"{name} {shown}: {found}")
    assert not wrong, "\n".join(wrong)
