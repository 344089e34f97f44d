"""Losses, logits, attention and copies against transformers (fp32) and the float64 oracle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import attninfluence
from attninfluence import _core
from attninfluence.verify.reference import Reference
from tests.kit import oracle as oracle_module
from tests.kit.oracle import Oracle
from tests.kit.parity import Opened, copy_documents, difference, head_sets
from tests.kit.tiny_models import random_ids, random_tensors, write_weights

TOLERANCE = 1e-4  # nats a token, against transformers in fp32
ORACLE_TOLERANCE = 1e-5  # nats a token, against float64

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}

# Every shape is read past its original context of 64 or 128 positions by the document of 600.
SHAPES: dict[str, dict[str, Any]] = {
    "one head a group": {},
    "head_dim 10, groups of 3, biases, old dialect": {
        "head_dim": 10,
        "n_heads": 6,
        "n_kv_heads": 2,
        "attention_bias": True,
        "mlp_bias": True,
        "dialect": "v4",
    },
    "head_dim 64, groups of 8, llama3, tied, bf16": {
        "head_dim": 64,
        "hidden_size": 64,
        "n_heads": 8,
        "n_kv_heads": 1,
        "rope": LLAMA3,
        "tied": True,
        "dtype": "bfloat16",
        "scale": 0.5,
    },
    "head_dim 80, groups of 3, yarn, sharded f16": {
        "head_dim": 80,
        "n_heads": 3,
        "n_kv_heads": 1,
        "rope": YARN,
        "max_position_embeddings": 256,
        "dtype": "float16",
        "shards": 3,
    },
    "head_dim 64, yarn with its options, old dialect": {
        "head_dim": 64,
        "n_heads": 2,
        "hidden_size": 64,
        "rope": {
            **YARN,
            "attention_factor": 1.2,
            "beta_fast": 16.0,
            "beta_slow": 2.0,
        },
        "max_position_embeddings": 256,
        "dialect": "v4",
    },
    "linear, tied": {
        "rope": {"rope_type": "linear", "factor": 4.0},
        "max_position_embeddings": 128,
        "tied": True,
        "scale": 0.5,
    },
    "dynamic, old dialect, groups of 2": {
        "rope": {"rope_type": "dynamic", "factor": 3.0},
        "max_position_embeddings": 128,
        "n_kv_heads": 2,
        "dialect": "v4",
    },
    "dynamic, head_dim 80": {
        "rope": {"rope_type": "dynamic", "factor": 2.0},
        "max_position_embeddings": 100,
        "head_dim": 80,
        "n_heads": 2,
    },
    "llama3, old dialect, attention bias, sharded": {
        "rope": LLAMA3,
        "head_dim": 64,
        "n_heads": 6,
        "n_kv_heads": 2,
        "attention_bias": True,
        "dialect": "v4",
        "shards": 2,
    },
    "no width a multiple of 4": {
        "hidden_size": 51,
        "n_heads": 3,
        "n_kv_heads": 1,
        "head_dim": 18,
        "intermediate_size": 77,
        "vocab_size": 301,
        "mlp_bias": True,
        "dtype": "bfloat16",
    },
    "head_dim 128, groups of 4, five layers": {
        "head_dim": 128,
        "n_heads": 8,
        "n_kv_heads": 2,
        "n_layers": 5,
        "hidden_size": 32,
        "scale": 0.5,
    },
}
LENGTHS = (97, 2, 600, 48, 17, 230)


@pytest.mark.parametrize("mask", ["uniform", "zero"])
@pytest.mark.parametrize("shape", SHAPES)
def test_losses_equal_transformers(
    open_llama: Callable[..., Opened], shape: str, mask: str
) -> None:
    """Base and masked readings of a batch of mixed lengths, all head sets in one call."""
    model = open_llama(**SHAPES[shape])
    core = model.core
    sets = head_sets(core.n_layers, core.n_heads, core.n_heads // core.n_kv_heads)
    documents = model.documents(LENGTHS)
    readings: list[NDArray[np.bool_] | None] = [None, *sets.values()]
    losses = core.run(documents, variants=np.stack(list(sets.values())), mask=mask)
    largest = 0.0
    for ids, found in zip(documents, losses, strict=True):
        assert found.dtype == np.float32 and found.shape == (len(readings), len(ids) - 1)
        step = 3 if len(ids) > 300 else 1  # transformers takes long over the long document
        for row in range(0, len(readings), step):
            expected = model.reference.read(ids, readings[row], mask).losses
            largest = max(largest, difference(found[row], expected))
    print(f"{largest:.1e} nat a token at the most")
    assert largest <= TOLERANCE


@pytest.mark.parametrize("shape", SHAPES)
def test_masking_matters_in_every_shape(open_llama: Callable[..., Opened], shape: str) -> None:
    """The comparison above could not fail if masking changed nothing: it changes every set."""
    core = open_llama(**SHAPES[shape]).core
    sets = head_sets(core.n_layers, core.n_heads, core.n_heads // core.n_kv_heads)
    ids = random_ids(0, 200, core.vocab_size)
    for mask in ("uniform", "zero"):
        losses = core.run([ids], variants=np.stack(list(sets.values())), mask=mask)[0]
        changes = np.abs(losses[1:] - losses[0]).mean(axis=1)
        assert (changes > 100 * TOLERANCE).all()


ORACLE_SHAPES: dict[str, dict[str, Any]] = {
    "default": {"n_kv_heads": 2},
    "linear": {"rope": {"rope_type": "linear", "factor": 4.0}, "max_position_embeddings": 32},
    "dynamic": {"rope": {"rope_type": "dynamic", "factor": 3.0}, "max_position_embeddings": 32},
    "llama3": {"rope": {**LLAMA3, "original_max_position_embeddings": 32}, "head_dim": 20},
    "yarn": {"rope": {**YARN, "original_max_position_embeddings": 16}, "head_dim": 20},
}


@pytest.mark.parametrize("mask", ["uniform", "zero"])
@pytest.mark.parametrize("rope", ORACLE_SHAPES)
def test_losses_equal_the_oracle(llama_folder: Callable[..., Path], rope: str, mask: str) -> None:
    """A toy against float64: what is left is fp32's own noise."""
    options = {"n_layers": 2, "scale": 0.5, "tokenizer": False, **ORACLE_SHAPES[rope]}
    folder = llama_folder(**options)
    core, exact = _core.Model(str(folder), "fp32"), Oracle(folder)
    assert core.rope_type == rope
    sets = head_sets(core.n_layers, core.n_heads, core.n_heads // core.n_kv_heads)
    documents = [random_ids(n, n, core.vocab_size) for n in (2, 33, 64)]
    losses = core.run(documents, variants=np.stack(list(sets.values())), mask=mask)
    largest = max(
        difference(found[row], exact.losses(ids, masked, mask))
        for ids, found in zip(documents, losses, strict=True)
        for row, masked in enumerate([None, *sets.values()])
    )
    print(f"{largest:.1e} nat a token at the most")
    assert largest <= ORACLE_TOLERANCE


def test_every_head_alone_equals_the_oracle(plain_folder: Path) -> None:
    """Each query head of each group, one variant each: no head is mistaken for its neighbour."""
    core, exact = _core.Model(str(plain_folder), "fp32"), Oracle(plain_folder)
    n_cells = core.n_layers * core.n_heads
    alone = np.eye(n_cells, dtype=bool).reshape(n_cells, core.n_layers, core.n_heads)
    ids = random_ids(3, 70, core.vocab_size)
    for mask in ("uniform", "zero"):
        losses = core.run([ids], variants=alone, mask=mask)[0]
        for row, masked in enumerate(alone, start=1):
            assert difference(losses[row], exact.losses(ids, masked, mask)) <= TOLERANCE / 4


def test_zero_is_removing_the_block_of_the_output_projection(
    llama_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Zero-masking head (1, 2) reads bit for bit like a model whose o_proj lacks its columns."""
    folder = llama_folder(n_kv_heads=2, tokenizer=False)
    config = json.loads((folder / "config.json").read_text())
    tensors = random_tensors(config, seed=0)
    head_dim = config["head_dim"]
    tensors["model.layers.1.self_attn.o_proj.weight"][:, 2 * head_dim : 3 * head_dim] = 0.0
    write_weights(tmp_path, tensors, dtype="float32", shards=1)
    (tmp_path / "config.json").write_text(json.dumps(config))
    masked = np.zeros((config["num_hidden_layers"], config["num_attention_heads"]), dtype=bool)
    masked[1, 2] = True
    ids = random_ids(8, 150, config["vocab_size"])
    intact = _core.Model(str(folder), "fp32").run([ids], variants=masked[None], mask="zero")[0]
    removed = _core.Model(str(tmp_path), "fp32").run([ids])[0]
    assert not np.array_equal(intact[0], intact[1])
    assert np.array_equal(intact[1], removed[0])


@pytest.mark.parametrize("mask", [None, "uniform", "zero"])
def test_logits_equal_transformers(open_llama: Callable[..., Opened], mask: str | None) -> None:
    model = open_llama(n_kv_heads=2)
    heads = head_sets(model.core.n_layers, model.core.n_heads, 2)["scattered"]
    for ids in model.documents((2, 60, 200)):
        if mask is None:
            found = model.core.logits(ids)
            expected = model.reference.read(ids).logits
        else:
            found = model.core.logits(ids, heads, mask)
            expected = model.reference.read(ids, heads, mask).logits
        assert found.dtype == np.float32 and found.shape == (len(ids), model.core.vocab_size)
        assert difference(found, expected) <= 2 * TOLERANCE


def test_losses_are_those_of_the_logits(plain_folder: Path) -> None:
    core = _core.Model(str(plain_folder), "fp32")
    ids = random_ids(5, 120, core.vocab_size)
    from_logits = oracle_module.token_losses(core.logits(ids).astype(np.float64), ids)
    assert difference(core.run([ids])[0][0], from_logits) <= 5e-6


def test_attention_equals_transformers(open_llama: Callable[..., Opened]) -> None:
    """One head's matrix: rows sum to 1 and see nothing of the future."""
    model = open_llama(n_kv_heads=2)
    for ids in model.documents((2, 49, 200)):
        expected = model.reference.read(ids, attention=True).attention
        assert expected is not None
        for layer in range(model.core.n_layers):
            for head in range(model.core.n_heads):
                found = model.core.attention(ids, layer, head)
                assert found.dtype == np.float32 and found.shape == (len(ids), len(ids))
                assert difference(found, expected[layer, head]) <= 3e-5
                assert not np.triu(found, 1).any()
                np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-5)


def test_attention_of_a_long_document_equals_the_oracle(plain_folder: Path) -> None:
    """The same matrix when it spans several blocks of keys."""
    core = _core.Model(str(plain_folder), "fp32")
    ids = random_ids(11, 700, core.vocab_size)
    exact = Oracle(plain_folder).read(ids).attention
    for layer, head in ((0, 3), (2, 1)):
        assert difference(core.attention(ids, layer, head), exact[layer, head]) <= 1e-4


def test_copies_equal_transformers(open_llama: Callable[..., Opened]) -> None:
    """Copy counts and predictions over documents with several repeats of a needle's tokens."""
    model = open_llama(n_kv_heads=2)
    documents, answers, needles = copy_documents(model.core.vocab_size)
    counts, predicted = model.core.copies(documents, answers, needles)
    assert counts.shape == (len(documents), model.core.n_layers, model.core.n_heads)
    for i, ids in enumerate(documents):
        reading = model.reference.read(ids, attention=True)
        assert reading.attention is not None
        expected = oracle_module.copies(reading.attention, ids, answers[i], needles[i])
        assert np.array_equal(counts[i], expected)
        steps = np.arange(answers[i][0], answers[i][1])
        assert np.array_equal(predicted[i], reading.logits[steps - 1].argmax(axis=1))
    assert counts.sum() > 100  # otherwise nothing was compared


@pytest.mark.parametrize("layers", [2])
def test_a_long_document_spans_attention_blocks(
    open_llama: Callable[..., Opened], layers: int
) -> None:
    """1,500 tokens beside a short one, base and masked."""
    model = open_llama(n_layers=layers, n_kv_heads=2)
    documents = model.documents((1500, 7))
    heads = head_sets(layers, model.core.n_heads, 2)
    for mask in ("uniform", "zero"):
        found = model.core.run(documents, variants=heads["scattered"][None], mask=mask)
        for ids, losses in zip(documents, found, strict=True):
            for row, masked in enumerate([None, heads["scattered"]]):
                expected = model.reference.read(ids, masked, mask).losses
                assert difference(losses[row], expected) <= TOLERANCE


EDGES = (2, 3, 15, 16, 17, 47, 48, 49, 63, 64, 65, 95, 96, 97, 127, 128, 129, 143, 144, 145)
WIDE_EDGES = (191, 192, 193, 239, 240, 241, 255, 256, 257, 287, 288, 289)


def test_lengths_around_block_edges(open_llama: Callable[..., Opened]) -> None:
    model = open_llama(n_layers=2, n_kv_heads=2)
    documents = model.documents(EDGES + WIDE_EDGES)
    masked = head_sets(2, model.core.n_heads, 2)["layer"]
    found = model.core.run(documents, variants=masked[None])
    for ids, losses in zip(documents, found, strict=True):
        assert difference(losses[0], model.reference.read(ids).losses) <= TOLERANCE
        assert difference(losses[1], model.reference.read(ids, masked).losses) <= TOLERANCE


def test_first_scored_leaves_out_the_tokens_before_it(plain_folder: Path) -> None:
    core = _core.Model(str(plain_folder), "fp32")
    documents = [random_ids(n, n, core.vocab_size) for n in (2, 60, 130)]
    masked = head_sets(core.n_layers, core.n_heads, 2)["all"]
    whole = core.run(documents, variants=masked[None])
    for first in ([1, 1, 1], [1, 59, 100], [1, 30, 129]):
        found = core.run(documents, first_scored=first, variants=masked[None])
        for losses, all_losses, start in zip(found, whole, first, strict=True):
            assert np.array_equal(losses, all_losses[:, start - 1 :])


TEXTS = [
    "The cat and the hat.",
    "In the beginning there is a reason, and the reason is given: 12 × 7 = 84.\n" * 9,
    "naïve café — 東京, \N{GRINNING FACE}",
]


@pytest.mark.parametrize("mask", ["uniform", "zero"])
def test_scores_equal_transformers_from_the_text_on(tiny_folder: Path, mask: str) -> None:
    """Tokens, both losses and the score, by transformers' own tokenizer and model."""
    from transformers import AutoTokenizer

    tokenizer, reference = AutoTokenizer.from_pretrained(tiny_folder), Reference(tiny_folder)
    heads = [(0, 1), (2, 3)]
    masked = np.zeros((reference.n_layers, reference.n_heads), dtype=bool)
    masked[tuple(zip(*heads, strict=True))] = True
    model = attninfluence.load(tiny_folder, precision="fp32")
    result = attninfluence.score(TEXTS, model=model, heads=heads, mask=mask)
    for i, text in enumerate(TEXTS):
        ids = tokenizer(text).input_ids
        base = reference.read(ids).losses.astype(np.float64).mean()
        changed = reference.read(ids, masked, mask).losses.astype(np.float64).mean()
        assert (result.n_tokens[i], result.n_scored[i]) == (len(ids), len(ids) - 1)
        assert abs(result.base_loss[i] - base) <= TOLERANCE
        assert abs(result.ref_loss[i] - changed) <= TOLERANCE
        assert abs(result.score[i] - (changed - base) / base) <= TOLERANCE
    assert np.abs(result.score).max() > 100 * TOLERANCE
