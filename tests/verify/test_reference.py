"""The reference itself: transformers' own numbers to the bit, and masking as METHOD.md reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from attninfluence.verify import reference as reference_module
from attninfluence.verify.reference import Reading, Reference
from tests.kit.family_models import (
    FAMILIES,
    LENGTHS,
    MIXTURES,
    VARIANTS,
    make_family_folder,
    make_vision_language_folder,
    read_folder,
    rewritten,
    with_head,
    without_body_prefix,
    write_folder,
)
from tests.kit.family_variants import FULL, SLIDING, WINDOW
from tests.kit.parity import head_sets
from tests.kit.tiny_models import random_ids

VOCABULARY = 300


def weights(reference: Reference) -> dict[str, NDArray[np.float32]]:
    return {name: p.detach().numpy().copy() for name, p in reference.model.named_parameters()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of a variant, written once for the same options."""
    made: dict[str, Path] = {}

    def make(family: str, variant: str, **options: Any) -> Path:
        key = repr((family, variant, sorted(options.items())))
        if key not in made:
            path = tmp_path_factory.mktemp(family)
            made[key] = make_family_folder(path, family, variant, **options)
        return made[key]

    return make


def eager_logits(folder: Path, ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """What a user of transformers gets, with nothing of ours in between."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
    )
    with torch.inference_mode():
        return model.eval()(torch.as_tensor(ids)[None].long(), use_cache=False).logits[0].numpy()


def some_heads(reference: Reference) -> NDArray[np.bool_]:
    return np.random.default_rng(1).random((reference.n_layers, reference.n_heads)) < 0.4


@pytest.mark.parametrize(("family", "variant"), VARIANTS)
def test_numbers_are_those_of_transformers(
    folder: Callable[..., Path], family: str, variant: str
) -> None:
    path = folder(family, variant)
    reference = Reference(path)
    for n_tokens in (200, 33):
        ids = random_ids(n_tokens, n_tokens, VOCABULARY)
        reading = reference.read(ids)
        assert np.array_equal(reading.logits, eager_logits(path, ids))
        assert reading.attention is None


@pytest.mark.parametrize(("family", "variant"), VARIANTS)
def test_masking_reaches_every_layer(
    folder: Callable[..., Path], family: str, variant: str
) -> None:
    """The first head of each layer alone: losses move, other heads' weights there do not."""
    reference = Reference(folder(family, variant))
    ids = random_ids(5, 90, VOCABULARY)
    base = reference.read(ids, attention=True)
    for layer in range(reference.n_layers):
        masked = np.zeros((reference.n_layers, reference.n_heads), dtype=bool)
        masked[layer, 0] = True
        for mask in ("uniform", "zero"):
            changed = reference.read(ids, masked, mask, attention=True)
            assert 0.01 < np.abs(changed.losses - base.losses).mean() < 2
            check_weights(base, changed, layer, mask)


def check_weights(base: Reading, changed: Reading, layer: int, mask: str) -> None:
    assert base.attention is not None and changed.attention is not None
    assert np.array_equal(base.attention[:layer, :], changed.attention[:layer, :])
    assert np.array_equal(base.attention[layer, 1:], changed.attention[layer, 1:])
    if mask == "zero":
        assert not changed.attention[layer, 0].any()
        return
    visible = base.attention[layer].any(axis=0)
    expected = visible / visible.sum(axis=1, keepdims=True)
    assert np.allclose(changed.attention[layer, 0], expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("family", "variant", "sliding"),
    [
        ("mistral", "window", [True, True, True]),
        ("gemma2", "capped", [True, False, True, False]),
        ("gpt_oss", "alternating", [True, False, True, False]),
        ("exaone4", "full", [False, False, False]),
    ],
)
def test_uniform_is_over_the_keys_a_row_sees(
    folder: Callable[..., Path], family: str, variant: str, sliding: list[bool]
) -> None:
    reference = Reference(folder(family, variant))
    ids = random_ids(6, 70, VOCABULARY)
    everything = np.ones((reference.n_layers, reference.n_heads), dtype=bool)
    found = reference.read(ids, everything, attention=True).attention
    assert found is not None
    rows, columns = np.indices((70, 70))
    for layer, has_window in enumerate(sliding):
        seen = (columns <= rows) & (columns > rows - (WINDOW if has_window else 70))
        expected = seen / seen.sum(axis=1, keepdims=True)
        assert np.allclose(found[layer], expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("family", "variant"), [("llama", "tied"), ("mistral", "window"), ("gemma2", "capped")]
)
def test_uniform_is_a_head_without_queries(
    folder: Callable[..., Path], tmp_path: Path, family: str, variant: str
) -> None:
    """Queries of zero score every key the same: a model so changed needs no masking."""
    path = folder(family, variant)
    size = read_folder(path)[0]["head_dim"]

    def without_queries(tensors: dict[str, Any]) -> dict[str, Any]:
        name = "model.layers.1.self_attn.q_proj.weight"
        weight = tensors[name].copy()
        weight[2 * size : 3 * size] = 0
        return {**tensors, name: weight}

    changed = Reference(rewritten(path, tmp_path, without_queries))
    reference = Reference(path)
    masked = np.zeros((reference.n_layers, reference.n_heads), dtype=bool)
    masked[1, 2] = True
    ids = random_ids(7, 90, VOCABULARY)
    expected = changed.read(ids).losses
    assert np.abs(reference.read(ids, masked).losses - expected).max() < 2e-5
    assert np.abs(reference.read(ids).losses - expected).max() > 0.1


def test_zero_is_a_head_without_output(folder: Callable[..., Path], tmp_path: Path) -> None:
    path = folder("qwen3", "window")
    size = read_folder(path)[0]["head_dim"]

    def without_output(tensors: dict[str, Any]) -> dict[str, Any]:
        name = "model.layers.2.self_attn.o_proj.weight"
        weight = tensors[name].copy()
        weight[:, size : 2 * size] = 0
        return {**tensors, name: weight}

    changed = Reference(rewritten(path, tmp_path, without_output))
    reference = Reference(path)
    masked = np.zeros((reference.n_layers, reference.n_heads), dtype=bool)
    masked[2, 1] = True
    ids = random_ids(8, 90, VOCABULARY)
    found = reference.read(ids, masked, "zero").losses
    assert np.abs(found - changed.read(ids).losses).max() < 2e-5


DYNAMIC = {"rope_type": "dynamic", "factor": 3.0}
REMEMBERS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("llama", "tied", None),
    ("phi3", "longrope", None),
    ("phi3", "longrope full", None),
    ("hunyuan_v1_dense", "dynamic", None),
    (
        "gemma3_text",
        "pattern of 3",
        {
            "max_position_embeddings": 64,
            "rope_parameters": {
                FULL: {**DYNAMIC, "rope_theta": 20000.0},
                SLIDING: {**DYNAMIC, "rope_theta": 300.0},
            },
        },
    ),
]


@pytest.mark.parametrize(("family", "variant", "settings"), REMEMBERS)
def test_earlier_documents_are_forgotten(
    folder: Callable[..., Path], family: str, variant: str, settings: dict[str, Any] | None
) -> None:
    """Some RoPE keeps the longest document's frequencies: a short one after it reads as alone."""
    path = folder(family, variant, **({"settings": settings} if settings else {}))
    used = Reference(path)
    lengths = (200, 100, 64, 33, 150, 200)
    for n_tokens in lengths:
        ids = random_ids(n_tokens, n_tokens, VOCABULARY)
        assert np.array_equal(used.read(ids).logits, Reference(path).read(ids).logits)


OLDER = [(f, v) for f, v in VARIANTS if "v4" in FAMILIES[f][v].dialects]


@pytest.mark.parametrize(("family", "variant"), OLDER)
def test_both_dialects_are_the_same_model(
    folder: Callable[..., Path], family: str, variant: str
) -> None:
    """The test models' config.json of transformers 4 means what that of transformers 5 does."""
    ids = random_ids(9, 120, VOCABULARY)
    older = folder(family, variant, dialect="v4")
    assert "rope_parameters" not in (older / "config.json").read_text()
    newer = Reference(folder(family, variant)).read(ids).logits
    assert np.array_equal(Reference(older).read(ids).logits, newer)


PUBLISHED = {
    "mixtral": ("block_sparse_moe.gate.weight", "block_sparse_moe.experts.7.w3.weight"),
    "qwen3_moe": ("mlp.gate.weight", "mlp.experts.7.up_proj.weight"),
    "olmoe": ("mlp.gate.weight", "mlp.experts.7.down_proj.weight"),
    "granitemoe": ("block_sparse_moe.router.layer.weight", "block_sparse_moe.input_linear.weight"),
    "gpt_oss": ("mlp.router.bias", "mlp.experts.gate_up_proj_bias", "self_attn.sinks"),
    "gemma3_text": ("pre_feedforward_layernorm.weight", "self_attn.q_norm.weight"),
    "apertus": ("mlp.act_fn.alpha_p", "mlp.act_fn.alpha_n", "mlp.act_fn.beta", "mlp.act_fn.eps"),
}


@pytest.mark.parametrize("family", PUBLISHED)
def test_folders_have_the_published_names(folder: Callable[..., Path], family: str) -> None:
    variant = next(iter(FAMILIES[family]))
    _, tensors = read_folder(folder(family, variant))
    for name in PUBLISHED[family]:
        assert f"model.layers.0.{name}" in tensors


@pytest.mark.parametrize("layout", ["published", "nested"])
@pytest.mark.parametrize(
    ("kind", "family", "variant"),
    [("gemma3", "gemma3_text", "pattern of 3"), ("llava", "llama", "biases")],
)
def test_text_of_a_vision_language_checkpoint(
    tmp_path: Path, kind: str, family: str, variant: str, layout: str
) -> None:
    """It reads as the text model alone does."""
    whole = make_vision_language_folder(tmp_path / "whole", kind, layout=layout)
    config, tensors = read_folder(whole)
    prefix = {"published": "language_model.", "nested": "model.language_model."}[layout]
    assert any(name.startswith(prefix) for name in tensors)
    text = {
        re.sub(r"^(language_model\.model|model\.language_model)\.", "model.", name).replace(
            "language_model.lm_head", "lm_head"
        ): tensor
        for name, tensor in tensors.items()
        if "language_model" in name or "lm_head" in name
    }
    write_folder(tmp_path / "text", config["text_config"], text)
    ids = random_ids(10, 97, VOCABULARY - 1)
    reference = Reference(whole)
    alone = Reference(tmp_path / "text")
    assert alone.model.config.model_type == family
    masked = some_heads(alone)
    for heads in (None, masked):
        assert np.array_equal(reference.read(ids, heads).logits, alone.read(ids, heads).logits)


@pytest.mark.parametrize(
    ("family", "variant"), [("gpt2", "by layer"), ("llama", "tied"), ("qwen2", "window")]
)
def test_names_without_the_body_prefix(
    folder: Callable[..., Path], tmp_path: Path, family: str, variant: str
) -> None:
    source = folder(family, variant)
    bare = without_body_prefix(source, tmp_path)
    assert not [name for name in read_folder(bare)[1] if name.startswith(("model.", "transf"))]
    ids = random_ids(11, 60, VOCABULARY)
    assert np.array_equal(Reference(bare).read(ids).logits, Reference(source).read(ids).logits)


def test_a_tied_folder_may_hold_its_output_matrix(
    folder: Callable[..., Path], tmp_path: Path
) -> None:
    source = folder("llama", "tied")
    both = with_head(source, tmp_path, "lm_head.weight", "model.embed_tokens.weight")
    ids = random_ids(12, 60, VOCABULARY)
    assert np.array_equal(Reference(both).read(ids).logits, Reference(source).read(ids).logits)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_stored_types_are_read_in_fp32(folder: Callable[..., Path], dtype: str) -> None:
    """In shards too; the logits are near those of the unrounded model and not the same."""
    exact = Reference(folder("gemma2", "capped")).read(random_ids(13, 40, VOCABULARY)).logits
    rounded = Reference(folder("gemma2", "capped", dtype=dtype, shards=3))
    assert {p.dtype for p in rounded.model.parameters()} == {torch.float32}
    difference = np.abs(rounded.read(random_ids(13, 40, VOCABULARY)).logits - exact).max()
    assert 1e-4 < difference < 0.5


@pytest.mark.parametrize(("family", "variant"), [v for v in VARIANTS if v[0] in MIXTURES])
def test_routers_have_no_near_ties(folder: Callable[..., Path], family: str, variant: str) -> None:
    """A tie that rounding decides makes two exact programs differ; seeds were chosen for none.

    Over every reading of tests/core/test_families.py.
    """
    reference = Reference(folder(family, variant))
    gaps: list[float] = []

    def look(module: Any, _: Any, output: Any) -> None:
        logits = output[0].sort(dim=-1, descending=True).values
        gaps.append(float((logits[:, module.top_k - 1] - logits[:, module.top_k]).min()))

    for name, module in reference.model.named_modules():
        if name.endswith(("gate", "router")) and hasattr(module, "top_k"):
            module.register_forward_hook(look)
    group = reference.n_heads // reference.model.config.num_key_value_heads
    sets = head_sets(reference.n_layers, reference.n_heads, group)
    for n_tokens in LENGTHS:
        ids = random_ids(n_tokens, n_tokens, VOCABULARY)
        reference.read(ids)
        for heads in sets.values():
            for mask in ("uniform", "zero"):
                reference.read(ids, heads, mask)
    assert gaps and min(gaps) > 5e-5, min(gaps)


def test_missing_weights_are_not_made_up(folder: Callable[..., Path], tmp_path: Path) -> None:
    """transformers would draw them at random, and warn."""
    name = "model.layers.1.mlp.up_proj.weight"

    def without(tensors: dict[str, Any]) -> dict[str, Any]:
        return {key: tensor for key, tensor in tensors.items() if key != name}

    with pytest.raises(ValueError, match=rf"lacks the weights \['{name}'\]"):
        Reference(rewritten(folder("llama", "tied"), tmp_path, without))


def test_wrong_arguments(folder: Callable[..., Path]) -> None:
    reference = Reference(folder("llama", "tied"))
    ids = random_ids(14, 5, VOCABULARY)
    with pytest.raises(ValueError, match=r"masked must be bool\[3, 4\], not bool\[4, 3\]"):
        reference.read(ids, np.zeros((4, 3), dtype=bool))
    with pytest.raises(ValueError, match=r"masked must be bool\[3, 4\], not int64\[3, 4\]"):
        reference.read(ids, np.zeros((3, 4), dtype=np.int64))
    with pytest.raises(ValueError, match="mask must be 'uniform' or 'zero', not 'ones'"):
        reference.read(ids, mask="ones")


@pytest.mark.parametrize("family", ["llama", "gpt_oss", "apertus"])
def test_every_weight_moves_to_a_neighbour_and_back(
    folder: Callable[..., Path], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole tensors and those taken in parts, matrices, experts and single numbers."""
    monkeypatch.setattr(reference_module, "MOVED_AT_A_TIME", 1000)
    reference = Reference(folder(family, next(iter(FAMILIES[family]))))
    ids = random_ids(40, 3, VOCABULARY)
    before, losses = weights(reference), reference.read(ids).losses
    ups = []
    with reference.perturbed(1):
        for name, moved in weights(reference).items():
            up = np.nextafter(before[name], np.float32(np.inf))
            down = np.nextafter(before[name], np.float32(-np.inf))
            assert ((moved == up) | (moved == down)).all(), name
            ups.append((moved == up).mean())
        noise = np.abs(reference.read(ids).losses - losses).max()
    assert 0.3 < np.mean(ups) < 0.7 and 0 < noise < 1e-3
    for name, back in weights(reference).items():
        np.testing.assert_array_equal(back, before[name])
    np.testing.assert_array_equal(reference.read(ids).losses, losses)
    with reference.perturbed(2):
        assert (reference.read(ids).losses != losses).any()
