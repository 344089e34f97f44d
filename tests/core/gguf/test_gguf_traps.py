"""What goes wrong in readers of GGUF models: each trap a test, and each refusal a sentence.

The traps of layout (rows of queries and keys moved, norms stored as 1 + w, stacks of experts,
matrices turned, factors of llama3) are those of the families in test_gguf_families.py; here are
what a file leaves out, what it says in other ways, and what may not be guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attninfluence import _core
from tests.core.gguf import models
from tests.core.gguf.test_gguf_families import assert_same
from tests.kit.family_models import Tensors, read_folder
from tests.kit.family_variants import per_layer_type, rope

Change = Callable[[Tensors], Tensors]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small llama with biases, grouped heads and llama3's scaling."""
    return models.make_folder(tmp_path_factory.mktemp("llama"), "llama", "biases")


# ------------------------------------------------------------- what a file leaves out


def test_gemma3_without_pattern_and_local_base(tmp_path: Path) -> None:
    """Every sixth layer sees everything, and the others turn by a base of 10,000."""
    bases = per_layer_type(rope(theta=1e6), rope(theta=10000.0))
    folder = models.make_folder(tmp_path / "folder", "gemma3_text", "pattern of 6", **bases)
    left_out = {"attention.sliding_window_pattern": None, "rope.freq_base_swa": None}
    file = models.gguf_of(folder, tmp_path / "model.gguf", changed=left_out)
    assert_same(folder, file)
    assert _core.Model(str(file), "fp32").n_windowed_layers == 6


def test_gemma3_as_ollama_converts_it(tmp_path: Path) -> None:
    """The local base under a name of its own."""
    folder = models.make_folder(tmp_path / "folder", "gemma3_text", "pattern of 6")
    renamed = {"rope.freq_base_swa": None, "rope.local.freq_base": 1000.0}
    assert_same(folder, models.gguf_of(folder, tmp_path / "model.gguf", changed=renamed))


def test_gemma2_without_caps_and_window(tmp_path: Path) -> None:
    """The caps of 50 and 30 and the window of 4,096 that it was published with."""
    caps = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "sliding_window": 4096}
    folder = models.make_folder(tmp_path / "folder", "gemma2", "capped", **caps)
    keys = ("attn_logit_softcapping", "final_logit_softcapping", "attention.sliding_window")
    file = models.gguf_of(folder, tmp_path / "model.gguf", changed=dict.fromkeys(keys))
    assert_same(folder, file)
    core = _core.Model(str(file), "fp32")
    assert (core.window, core.n_windowed_layers) == (4096, 2)


@pytest.mark.parametrize(
    ("family", "variant", "n_layers"),
    [("gemma2", "capped", 46), ("gemma3_text", "pattern of 6", 62)],
)
def test_the_largest_gemma_has_a_scale_of_its_own(
    tmp_path: Path, family: str, variant: str, n_layers: int
) -> None:
    """It divides scores by the root of hidden / heads, which its number of layers tells."""
    shape = {"num_hidden_layers": n_layers, "layer_types": None, "query_pre_attn_scalar": 12}
    folder = models.make_folder(tmp_path / "folder", family, variant, **shape)
    config = read_folder(folder)[0]
    assert config["hidden_size"] // config["num_attention_heads"] == 12 != config["head_dim"]
    assert_same(folder, models.gguf_of(folder, tmp_path / "model.gguf"))


@pytest.mark.parametrize("n_tokens", [290, 310])
def test_rows_decide_the_vocabulary(llama: Path, tmp_path: Path, n_tokens: int) -> None:
    """Whatever the tokenizer and the key say: vocabularies are padded, and cut."""
    file = models.gguf_of(llama, tmp_path / "model.gguf", changed={"vocab_size": n_tokens})
    assert _core.Model(str(file), "fp32").vocab_size == 300
    assert_same(llama, file)


def test_a_file_of_a_folder_that_is_padded(llama: Path, tmp_path: Path) -> None:
    """Rows that conversion cut off are as if they had not been."""
    config, tensors = read_folder(llama)
    config["vocab_size"] = 296
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = tensors[name][:296]
    cut = tmp_path / "folder"
    models.write_folder(cut, config, tensors)
    assert _core.Model(str(models.gguf_of(cut, tmp_path / "cut.gguf")), "fp32").vocab_size == 296


def test_factors_that_are_not_llama3s_are_applied(llama: Path, tmp_path: Path) -> None:
    """rope_freqs.weight divides frequencies, as linear scaling does where all are alike."""
    config, tensors = read_folder(llama)
    config["rope_parameters"] = rope("linear", 500000.0, factor=4.0)["rope_parameters"]
    linear = tmp_path / "folder"
    models.write_folder(linear, config, tensors)

    def with_factors(found: Tensors) -> Tensors:
        return {**found, "rope_freqs.weight": np.full(10, 4, dtype=np.float32)}

    without = {"rope.scaling.type": None, "rope.scaling.factor": None}
    file = models.gguf_of(linear, tmp_path / "x.gguf", changed=without, change=with_factors)
    assert _core.Model(str(file), "fp32").rope_type == "longrope"
    assert_same(linear, file)


def test_factors_rounded_otherwise_are_still_llama3s(llama: Path, tmp_path: Path) -> None:
    """As conversion has them, which works in float32."""

    def rounded(found: Tensors) -> Tensors:
        factors = found["rope_freqs.weight"]
        assert ((factors > 1) & (factors < 8)).any()
        return {**found, "rope_freqs.weight": np.nextafter(factors, np.float32(9))}

    file = models.gguf_of(llama, tmp_path / "model.gguf", change=rounded)
    core = _core.Model(str(file), "fp32")
    assert (core.rope_type, core.rope_original_context) == ("llama3", 64)
    assert core.rope_factor == pytest.approx(8, rel=1e-6)


# -------------------------------------------------------------- other ways to say it


def test_fused_projections_of_any_architecture(llama: Path, tmp_path: Path) -> None:
    """attn_qkv in place of the three, with the rows of each where they are anyhow."""

    def fused(found: Tensors) -> Tensors:
        kept = dict(found)
        for name in found:
            if ".attn_q." in name:
                parts = [kept.pop(name.replace("attn_q", f"attn_{x}")) for x in "qkv"]
                kept[name.replace("attn_q", "attn_qkv")] = np.concatenate(parts)
        return kept

    assert_same(llama, models.gguf_of(llama, tmp_path / "model.gguf", change=fused))


@pytest.mark.parametrize("key", ["rope.scaling.factor", "rope.scale_linear"])
def test_a_factor_without_a_type_is_linear(tmp_path: Path, key: str) -> None:
    folder = models.make_folder(tmp_path / "folder", "mixtral", "full")
    changed = {"rope.scaling.type": None, "rope.scaling.factor": None, key: 4.0}
    assert_same(folder, models.gguf_of(folder, tmp_path / "model.gguf", changed=changed))


def test_experts_with_tensors_of_their_own(tmp_path: Path) -> None:
    """As the first files of mixtrals have them."""
    folder = models.make_folder(tmp_path / "folder", "mixtral", "window")

    def listed(found: Tensors) -> Tensors:
        kept = {}
        for name, tensor in found.items():
            parts = enumerate(tensor) if "_exps" in name else [(None, tensor)]
            kept |= {name.replace("_exps", f".{i}"): part for i, part in parts}
        return kept

    assert_same(folder, models.gguf_of(folder, tmp_path / "model.gguf", change=listed))


def test_the_period_of_a_pattern_is_a_number(tmp_path: Path) -> None:
    folder = models.make_folder(tmp_path / "folder", "exaone4", "pattern of 3")
    file = models.gguf_of(
        folder, tmp_path / "model.gguf", changed={"attention.sliding_window_pattern": 3}
    )
    assert_same(folder, file)


def test_a_size_for_each_layer_that_is_the_same(llama: Path, tmp_path: Path) -> None:
    sizes = {"attention.head_count_kv": [2, 2, 2], "feed_forward_length": [64, 64, 64]}
    assert_same(llama, models.gguf_of(llama, tmp_path / "model.gguf", changed=sizes))


def test_split_files(llama: Path, tmp_path: Path) -> None:
    whole = models.gguf_of(llama, tmp_path / "model.gguf")
    first = models.gguf_of(llama, tmp_path / "part.gguf", most_tensors=7)
    assert first.name == "part-00001-of-00008.gguf"
    assert_same(whole, first)


def test_packed_weights_of_a_file(llama: Path, tmp_path: Path) -> None:
    """They are mapped in place of its tensors, of which none is read."""
    file = models.gguf_of(llama, tmp_path / "model.gguf", kinds=models.mixed)
    core = _core.Model(str(file), "fp32")
    packed = tmp_path / "packed.bin"
    packed.write_bytes(core.packed_header("some key") + core.packed.tobytes())
    ids = np.arange(50, dtype=np.int32)
    expected = core.run([ids])[0]
    mapped = _core.Model(str(file), "fp32", packed=str(packed), key="some key")
    assert np.array_equal(mapped.run([ids])[0], expected)
    with pytest.raises(_core.ModelError, match="key"):
        _core.Model(str(file), "fp32", packed=str(packed), key="another")


# ------------------------------------------------------------------------ refusals


def without(*names: str) -> Change:
    return lambda found: {k: v for k, v in found.items() if k not in names}


def also(name: str, *shape: int) -> Change:
    return lambda found: {**found, name: np.ones(shape, dtype=np.float32)}


def same(found: Tensors) -> Tensors:
    return found


SEVEN = dict.fromkeys(("attention.key_length", "attention.value_length", "rope.dimension_count"), 7)
REFUSED: list[tuple[Mapping[str, Any], Change, str]] = [
    # what is not known
    ({"general.architecture": "mamba"}, same, "'mamba', which is not supported; expected llama"),
    ({"general.type": "mmproj"}, same, "'general.type' is 'mmproj', expected 'model'"),
    ({"attention.banana": 1}, same, "'llama.attention.banana' is a key that is not known"),
    # parts that a llama does not have
    ({"attention.causal": False}, same, "'llama.attention.causal' is 0, which is not supported"),
    ({"logit_scale": 2.0}, same, "'llama.logit_scale' is 2, which a llama does not have"),
    ({"final_logit_softcapping": 30.0}, same, "'llama.final_logit_softcapping' is 30"),
    ({"expert_shared_count": 2}, same, "'llama.expert_shared_count' is 2"),
    ({"nextn_predict_layers": 1}, same, "'llama.nextn_predict_layers' is 1"),
    ({"attention.scale": 0.5}, same, "'llama.attention.scale' is 0.5, expected 0.223607"),
    ({"attention.temperature_scale": 0.1}, same, "'llama.attention.temperature_scale' is 0.1"),
    ({"use_parallel_residual": True}, same, "'llama.use_parallel_residual' is true"),
    ({"rope.dimension_count": 10}, same, "'llama.rope.dimension_count' is 10, expected 20"),
    ({"rope.freq_base_swa": 7.0}, same, "'llama.rope.freq_base_swa' is 7"),
    ({"rope.scaling.type": "banana"}, without("rope_freqs.weight"), "'banana', which is not"),
    ({"rope.scaling.attn_factor": 1.5}, same, "attn_factor' is 1.5, expected 1 without longrope"),
    ({"rope.scaling.type": "yarn"}, same, "and there is a rope_freqs.weight"),
    # what is no number, no size, or not one
    ({"block_count": 0}, same, "'llama.block_count' is 0, expected an integer from 1 to 1024"),
    ({"block_count": "3"}, same, "'llama.block_count' is of type string"),
    ({"block_count": None}, same, "'llama.block_count' is"),
    ({"embedding_length": 1 << 31}, same, "'llama.embedding_length' is 2147483648"),
    ({"attention.head_count_kv": [2, 1, 2]}, same, "is 2 in layer 0 and 1 in layer 1"),
    ({"attention.head_count_kv": [2] * 1025}, same, "is an array of 1025 items, expected one"),
    ({"attention.head_count_kv": 3}, same, "is no multiple of llama.attention.head_count_kv 3"),
    ({"attention.value_length": 8}, same, "'llama.attention.value_length' is 8, expected that"),
    (SEVEN, without("rope_freqs.weight"), "llama.attention.key_length 7 times"),
    ({"attention.layer_norm_rms_epsilon": None}, same, "epsilon' is missing, expected a number"),
    ({"attention.layer_norm_rms_epsilon": 7.0}, same, "epsilon' is 7, expected a number"),
    ({"rope.freq_base": float("nan")}, same, "'llama.rope.freq_base'"),
    ({"rope.freq_base": 0.5}, same, "'llama.rope.freq_base' is 0.5, expected a number"),
    # tensors
    ({}, without("token_embd.weight"), "tensor 'token_embd.weight' is missing"),
    ({}, without("blk.1.ffn_up.weight"), "tensor 'blk.1.ffn_up.weight' is missing"),
    ({}, without("blk.1.attn_k.bias"), "tensor 'blk.1.attn_k.bias' is missing"),
    ({}, also("blk.0.ffn_norm_2.weight", 48), "'blk.0.ffn_norm_2.weight' in .* has no place"),
    ({}, also("rope_freqs.weight", 3), "tensor 'rope_freqs.weight' in .* has 3 values"),
    ({}, also("blk.0.attn_norm.weight", 47), "expected shape .48., found .47."),
    ({}, also("output_norm.bias", 48), "'output_norm.bias' in .* that its metadata describes"),
]


@pytest.mark.parametrize(
    ("changed", "change", "why"), REFUSED, ids=[why[:40].replace("'", "") for *_, why in REFUSED]
)
def test_refused_by_name(
    llama: Path, tmp_path: Path, changed: Mapping[str, Any], change: Change, why: str
) -> None:
    file = models.gguf_of(llama, tmp_path / "model.gguf", changed=changed, change=change)
    with pytest.raises(_core.ModelError, match=why) as refusal:
        _core.Model(str(file), "fp32")
    assert "num_" not in str(refusal.value)  # the names are the file's, not those of config.json
    assert "Warning" not in str(refusal.value)


OTHERS = [
    ("granite", "biases", {"rope.scaling.finetuned": False}, "'granite.rope.scaling.finetuned'"),
    (
        "gemma2",
        "capped",
        {"attention.sliding_window_pattern": [True, False]},
        "an array of 2 items",
    ),
    ("gpt2", "plain", {"attention.head_count_kv": 2}, "'gpt2.attention.head_count_kv' is 2"),
    ("olmo", "clipped", {"attention.layer_norm_epsilon": 1e-6}, "is 1e-06, expected 1e-05"),
    ("qwen2", "full", {"attention.sliding_window": 64}, "'qwen2.attention.sliding_window' is 64"),
    ("qwen2", "full", {"rope.scaling.yarn_ext_factor": 0.5}, "yarn_ext_factor' is 0.5"),
    ("qwen2", "full", {"rope.scaling.factor": None}, "'qwen2.rope.scaling.factor' is"),
    ("qwen2", "full", {"expert_count": 4}, "'qwen2.expert_count' is 4, but a qwen2 has no"),
    ("qwen3_moe", "listed", {"expert_used_count": 9}, "'?qwen3moe.expert_used_count'? 9 is above"),
    ("qwen3_moe", "listed", {"expert_gating_func": 2}, "'qwen3moe.expert_gating_func' is 2"),
    ("mixtral", "full", {"expert_feed_forward_length": 8}, "expert_feed_forward_length' is 8"),
    ("mixtral", "full", {"expert_weights_norm": False}, "expert_weights_norm' is false"),
    ("phi3", "longrope", {"rope.scaling.original_context_length": 0}, "original_context_length'"),
    ("ministral3", "full", {"attention.temperature_length": 5}, "temperature_length' is 5"),
]


@pytest.mark.parametrize(("family", "variant", "changed", "why"), OTHERS)
def test_other_families_refuse_by_name(
    tmp_path: Path, family: str, variant: str, changed: Mapping[str, Any], why: str
) -> None:
    folder = models.make_folder(tmp_path / "folder", family, variant)
    file = models.gguf_of(folder, tmp_path / "model.gguf", changed=changed)
    with pytest.raises(_core.ModelError, match=why):
        _core.Model(str(file), "fp32")


def test_biases_that_conversion_leaves_in_place(tmp_path: Path) -> None:
    """It moves olmo's weights and not its biases: they may not be read as if it did."""
    folder = models.make_folder(tmp_path / "folder", "olmo", "clipped", attention_bias=True)
    file = models.gguf_of(folder, tmp_path / "model.gguf")
    with pytest.raises(_core.ModelError, match=r"attn_\w+.bias' in .* has no place"):
        _core.Model(str(file), "fp32")
