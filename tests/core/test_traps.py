"""The five traps of METHOD.md section 6, each read both ways: ours is right, and not by luck.

Every test builds the trap's own number from the oracle, shows that it differs from the
right one on the document at hand, and that the core gives the right one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from attninfluence import _core
from tests.kit import oracle as oracle_module
from tests.kit.oracle import Oracle
from tests.kit.tiny_models import random_ids, random_tensors, write_weights

CLOSE = 2e-5  # nats; ours from the right number
APART = 1e-2  # nats; the trap's number from the right one


@dataclass(frozen=True)
class Toy:
    """A model of 3 layers of 4 heads on 2 key/value heads, ours and the oracle's."""

    folder: Path
    core: _core.Model
    exact: Oracle


@pytest.fixture(scope="module")
def toy(plain_folder: Path) -> Toy:
    return Toy(plain_folder, _core.Model(str(plain_folder), "fp32"), Oracle(plain_folder))


def heads_of(toy: Toy, *pairs: tuple[int, int]) -> NDArray[np.bool_]:
    masked = np.zeros((toy.core.n_layers, toy.core.n_heads), dtype=bool)
    for layer, head in pairs:
        masked[layer, head] = True
    return masked


def test_labels_are_shifted_once(toy: Toy) -> None:
    """The trap: a loss that shifts, fed with labels already shifted, scores two tokens ahead."""
    ids = random_ids(1, 80, toy.core.vocab_size)
    logits = toy.exact.read(ids).logits
    twice = oracle_module.token_losses(logits[:-1], ids[1:])
    right = oracle_module.token_losses(logits, ids)
    assert np.abs(twice - right[:-1]).mean() > APART
    losses = toy.core.run([ids])[0][0]
    assert losses.shape == (79,)
    assert np.abs(losses - right).max() <= CLOSE


def copying_document(
    toy: Toy, seed: int
) -> tuple[NDArray[np.int32], tuple[int, int], tuple[int, int]]:
    """Few distinct tokens, so that a head's largest weight often lies on the token predicted."""
    random = np.random.default_rng(seed)
    some = random.choice(toy.core.vocab_size, 4, replace=False)
    ids = some[random.integers(0, 4, 120)].astype(np.int32)
    return ids, (60, 120), (10, 40)


@pytest.mark.parametrize("seed", range(4))
def test_copies_are_read_from_the_row_that_predicts(toy: Toy, seed: int) -> None:
    """The trap: the attention row of the answer's token, one too late."""
    ids, answer, needle = copying_document(toy, seed)
    attention = toy.exact.read(ids).attention
    right = oracle_module.copies(attention, ids, answer, needle)
    late = np.zeros_like(right)
    for step in range(*answer):
        largest = attention[:, :, step].argmax(axis=-1)
        inside = (needle[0] <= largest) & (largest < needle[1])
        late += inside & (ids[largest] == ids[step])
    counts, _ = toy.core.copies([ids], [answer], [needle])
    assert not np.array_equal(late, right)
    assert np.array_equal(counts[0], right)


@pytest.mark.parametrize("seed", range(4))
def test_copies_outside_the_needle_do_not_count(toy: Toy, seed: int) -> None:
    """The trap: counting wherever the largest weight lies on the token predicted."""
    ids, answer, needle = copying_document(toy, seed)
    attention = toy.exact.read(ids).attention
    right = oracle_module.copies(attention, ids, answer, needle)
    anywhere = oracle_module.copies(attention, ids, answer, (0, len(ids)))
    counts, _ = toy.core.copies([ids], [answer], [needle])
    assert (anywhere > right).any()
    assert np.array_equal(counts[0], right)


def test_copies_at_the_needles_own_edges(toy: Toy) -> None:
    """Needles of one token, everywhere: the sum over them is the count over the whole text."""
    ids, answer, _ = copying_document(toy, 9)
    whole, _ = toy.core.copies([ids], [answer], [(0, 60)])
    parts, _ = toy.core.copies([ids] * 60, [answer] * 60, [(i, i + 1) for i in range(60)])
    assert whole.sum() > 0
    assert np.array_equal(parts.sum(axis=0), whole[0])


@pytest.mark.parametrize("mask", ["uniform", "zero"])
@pytest.mark.parametrize("head", [0, 1, 2, 3])
def test_a_masked_head_leaves_its_groups_keys_and_values(toy: Toy, head: int, mask: str) -> None:
    """The trap: with grouped keys and values, masking the key/value head of that number.

    Number `head` read as a key/value head (where there is one), and the key/value head that
    query head `head` reads: both would mask every query head of a group.
    """
    ids = random_ids(2, 80, toy.core.vocab_size)
    masked = heads_of(toy, (1, head))
    right = toy.exact.losses(ids, masked, mask)
    group = toy.core.n_heads // toy.core.n_kv_heads
    for kv_head in {head % toy.core.n_kv_heads, head // group}:
        members = [(1, kv_head * group + i) for i in range(group)]
        wrong = toy.exact.losses(ids, heads_of(toy, *members), mask)
        assert np.abs(wrong - right).mean() > APART
    losses = toy.core.run([ids], variants=masked[None], mask=mask)[0][1]
    assert np.abs(losses - right).max() <= CLOSE


def test_uniform_is_the_mean_of_the_values(toy: Toy) -> None:
    """The trap: zeroed queries, keys and values give uniform weights on nothing."""
    ids = random_ids(3, 80, toy.core.vocab_size)
    masked = heads_of(toy, (0, 1), (1, 2))
    nothing = toy.exact.losses(ids, masked, "zero")
    right = toy.exact.losses(ids, masked, "uniform")
    assert np.abs(nothing - right).mean() > APART
    losses = toy.core.run([ids], variants=masked[None], mask="uniform")[0][1]
    assert np.abs(losses - right).max() <= CLOSE


def test_uniform_equals_zeroed_queries(toy: Toy, tmp_path: Path) -> None:
    """What the trap means to do: queries of zero alone make every visible key weigh the same."""
    config = json.loads((toy.folder / "config.json").read_text())
    tensors = random_tensors(config, seed=0)
    head_dim = config["head_dim"]
    tensors["model.layers.1.self_attn.q_proj.weight"][2 * head_dim : 3 * head_dim] = 0.0
    write_weights(tmp_path, tensors, dtype="float32", shards=1)
    (tmp_path / "config.json").write_text(json.dumps(config))
    ids = random_ids(4, 300, toy.core.vocab_size)
    masked = heads_of(toy, (1, 2))
    uniform = toy.core.run([ids], variants=masked[None], mask="uniform")[0]
    zeroed = _core.Model(str(tmp_path), "fp32").run([ids])[0][0]
    assert np.abs(uniform[0] - zeroed).mean() > APART
    assert np.abs(uniform[1] - zeroed).max() <= CLOSE


def test_uniform_looks_at_no_later_key(toy: Toy) -> None:
    """A mean over all T keys instead of the t + 1 visible ones would see the future."""
    ids = random_ids(5, 90, toy.core.vocab_size)
    masked = np.ones((toy.core.n_layers, toy.core.n_heads), dtype=bool)
    changed = ids.copy()
    changed[70:] = (changed[70:] + 1) % toy.core.vocab_size
    for mask in ("uniform", "zero"):
        before = toy.core.run([ids], variants=masked[None], mask=mask)[0]
        after = toy.core.run([changed], variants=masked[None], mask=mask)[0]
        assert np.array_equal(before[:, :69], after[:, :69])
        assert not np.array_equal(before[:, 69:], after[:, 69:])
