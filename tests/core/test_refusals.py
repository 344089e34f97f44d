"""What is not computed exactly is refused by name: no family, RoPE or setting is guessed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attninfluence._core import Model, ModelError
from tests.kit.family_models import FAMILIES, REFUSED, REMOVED, changed_settings, make_family_folder


@pytest.fixture(scope="module")
def refusal(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """The message with which a family's folder is refused after its config.json was changed."""
    made: dict[tuple[str, str], Path] = {}

    def refuse(family: str, variant: str, fields: dict[str, Any]) -> str:
        key = (family, variant)
        if key not in made:
            made[key] = make_family_folder(tmp_path_factory.mktemp(family), family, variant)
        with changed_settings(made[key], fields), pytest.raises(ModelError) as caught:
            Model(str(made[key]), "fp32")
        return str(caught.value)

    return refuse


def first(family: str) -> str:
    return next(iter(FAMILIES[family]))


@pytest.mark.parametrize(("family", "variant"), REFUSED)
def test_a_variant_that_is_not_supported(tmp_path: Path, family: str, variant: str) -> None:
    folder = make_family_folder(tmp_path, family, variant)
    with pytest.raises(ModelError, match=FAMILIES[family][variant].refused):
        Model(str(folder))


@pytest.mark.parametrize(
    "model_type",
    ["mamba", "bert", "t5", "qwen2_moe", "deepseek_v3", "gemma3n_text", "llama4_text", "", REMOVED],
)
def test_an_unknown_family(refusal: Callable[..., str], model_type: Any) -> None:
    message = refusal("llama", "tied", {"model_type": model_type})
    assert "model_type" in message
    if model_type not in ("", REMOVED):
        assert model_type in message


@pytest.mark.parametrize("kind", ["proportional", "mrope", "axial", "ntk"])
@pytest.mark.parametrize("family", ["llama", "qwen3", "cohere", "glm4", "gpt_oss", "olmoe"])
def test_an_unknown_rope_type(refusal: Callable[..., str], family: str, kind: str) -> None:
    rope = {"rope_type": kind, "rope_theta": 10000.0, "factor": 2.0}
    assert kind in refusal(family, first(family), {"rope_parameters": rope})
    older = {"rope_parameters": REMOVED, "rope_theta": 10000.0}
    assert kind in refusal(family, first(family), {**older, "rope_scaling": {"type": kind}})


@pytest.mark.parametrize("family", ["gemma3_text", "olmo3"])
def test_an_unknown_rope_type_of_one_layer_type(refusal: Callable[..., str], family: str) -> None:
    rope = {
        "full_attention": {"rope_type": "proportional", "rope_theta": 10000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
    }
    assert "proportional" in refusal(family, first(family), {"rope_parameters": rope})


CHANGES: list[tuple[str, dict[str, Any], str]] = [
    ("llama", {"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
    ("gpt_oss", {"quantization_config": {"quant_method": "fp8"}}, "quantization_config"),
    ("llama", {"hidden_act": "mish"}, "hidden_act"),
    ("qwen3_moe", {"hidden_act": "mish"}, "hidden_act"),
    ("apertus", {"hidden_act": "mish"}, "hidden_act"),
    ("gemma2", {"hidden_activation": "mish"}, "hidden_activation"),
    ("gpt2", {"activation_function": "mish"}, "activation_function"),
    ("opt", {"activation_function": "mish"}, "activation_function"),
    ("gemma", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
    ("gemma2", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
    ("gemma3_text", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
    ("gpt2", {"add_cross_attention": True}, "add_cross_attention"),
    ("opt", {"_remove_final_layer_norm": True}, "_remove_final_layer_norm"),
    ("qwen2", {"layer_types": ["full_attention"] * 3}, "layer_types"),
    ("gemma3_text", {"layer_types": ["chunked_attention"] * 7}, "layer_types"),
    ("cohere2", {"layer_types": ["linear_attention"] * 6}, "layer_types"),
    ("gpt_oss", {"layer_types": ["mamba"] * 4}, "layer_types"),
    ("smollm3", {"no_rope_layers": [1, 0]}, "no_rope_layers"),
    ("mixtral", {"num_experts_per_tok": 9}, "num_experts_per_tok"),
    ("mixtral", {"num_experts_per_tok": 0}, "num_experts_per_tok"),
    ("olmoe", {"num_experts": 7}, "mlp.gate"),
    ("qwen3_moe", {"decoder_sparse_step": 0}, "decoder_sparse_step"),
    ("qwen3_moe", {"mlp_only_layers": [0, 1]}, "layers.0"),
    ("granite", {"num_key_value_heads": 3}, "num_key_value_heads"),
    ("gpt_neox", {"num_attention_heads": 5}, "num_attention_heads"),
    ("stablelm", {"qk_layernorm": False}, "k_layernorm"),
    ("cohere", {"use_qk_norm": False}, "k_norm"),
]


@pytest.mark.parametrize(("family", "fields", "names"), CHANGES)
def test_a_setting_that_changes_the_model(
    refusal: Callable[..., str], family: str, fields: dict[str, Any], names: str
) -> None:
    """Unknown values, and settings that contradict the folder's own tensors."""
    message = refusal(family, first(family), fields)
    assert names in message and "\n" not in message


LONGROPE: list[tuple[dict[str, Any], str]] = [
    ({"short_factor": [1.0, 1.0, 1.0]}, "short_factor"),
    ({"long_factor": [1.0] * 5}, "long_factor"),
    ({"long_factor": None}, "long_factor"),
    ({"rope_type": "linear", "factor": 2.0}, "linear"),
]


@pytest.mark.parametrize(("settings", "names"), LONGROPE)
def test_longrope_settings(
    refusal: Callable[..., str], settings: dict[str, Any], names: str
) -> None:
    """transformers refuses these as well; of Phi-3 it knows no other type than longrope."""
    rope = {**FAMILIES["phi3"]["longrope"].config["rope_parameters"], **settings}
    assert names in refusal("phi3", "longrope", {"rope_parameters": rope})


def test_ministral3_needs_its_scaling(refusal: Callable[..., str]) -> None:
    rope = dict(FAMILIES["ministral3"]["full"].config["rope_parameters"])
    del rope["llama_4_scaling_beta"]
    message = refusal("ministral3", "full", {"rope_parameters": rope})
    assert "llama_4_scaling_beta" in message
