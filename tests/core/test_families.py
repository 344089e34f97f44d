"""Every model family against transformers: losses, logits, attention, copies, bits.

tests/kit/family_variants.py says what each configuration exercises; the folders are as published.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from attninfluence import _core
from attninfluence.verify.reference import Reference
from tests.core.family_parity import TOLERANCE, Opened, open_variant, run_all_sets, worst_loss
from tests.kit.child import IS_SANITIZED
from tests.kit.family_models import (
    FAMILIES,
    LEFT_OUT,
    LENGTHS,
    MIXTURES,
    SUPPORTED,
    make_family_folder,
    make_left_out_folder,
    make_vision_language_folder,
    with_head,
    with_saved_buffers,
    without_body_prefix,
)
from tests.kit.parity import copies_with_doubt, copy_documents, difference
from tests.kit.tiny_models import random_ids

ATTENTION_TOLERANCE = 3e-5
# Nats a token of models whose weights are spread as before training: what 99 of 100 tokens keep
# within, and the mean. Of mixtures 9 of 10 tokens: one that rounding sends to another expert moves
# by up to a nat. The limits are about 1.3 times what was measured.
DENSE_TOLERANCES = {"bf16": (0.05, 0.013), "int8": (0.15, 0.036)}
MIXTURE_TOLERANCES = {"bf16": (0.08, 0.035), "int8": (0.1, 0.045)}

FIRST = [(family, next(iter(variants))) for family, variants in FAMILIES.items()]
# With sanitizers, under which torch is slow, one configuration of each family.
READ = FIRST if IS_SANITIZED else SUPPORTED
# Those that transformers 4 could write; it reads the others as other models, or not at all.
OLDER = [pair for pair in READ if "v4" in FAMILIES[pair[0]][pair[1]].dialects]
IDS = [f"{family}-{variant}".replace(" ", "-") for family, variant in READ]


@pytest.fixture(scope="module", params=READ, ids=IDS)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """One variant after the other; pytest runs all tests of one before it opens the next."""
    family, variant = request.param
    return open_variant(tmp_path_factory.mktemp(family), family, variant)


def test_the_model_is_described(opened: Opened) -> None:
    config = opened.reference.model.config
    core = opened.core
    assert core.model_type == config.model_type
    assert (core.n_layers, core.n_heads) == (opened.reference.n_layers, opened.reference.n_heads)
    assert (core.hidden_size, core.vocab_size) == (config.hidden_size, config.vocab_size)
    assert core.n_kv_heads == (getattr(config, "num_key_value_heads", None) or core.n_heads)
    assert core.max_position_embeddings == config.max_position_embeddings
    assert core.tied == config.tie_word_embeddings


@pytest.mark.parametrize("mask", ["uniform", "zero"])
def test_losses(opened: Opened, mask: str) -> None:
    """Base and masked readings of a batch of mixed lengths, all head sets in one call."""
    worst = worst_loss(opened, (mask,))
    print(worst)
    assert worst.passes, worst


@pytest.mark.parametrize("mask", ["uniform", "zero"])
def test_masking_matters(opened: Opened, mask: str) -> None:
    """The comparison above could not fail if masking changed nothing: it changes every set."""
    losses = run_all_sets(opened, mask)[-1]
    changes = np.abs(losses[1:] - losses[0]).mean(axis=1)
    assert (changes > 50 * TOLERANCE).all(), changes


def test_logits(opened: Opened) -> None:
    heads = opened.sets["scattered"]
    for ids in opened.documents[1:3]:
        found = opened.core.logits(ids)
        assert found.dtype == np.float32 and found.shape == (len(ids), opened.core.vocab_size)
        assert difference(found, opened.reference.read(ids).logits) <= 2 * TOLERANCE
        for mask in ("uniform", "zero"):
            expected = opened.reference.read(ids, heads, mask).logits
            assert difference(opened.core.logits(ids, heads, mask), expected) <= 2 * TOLERANCE


def test_attention(opened: Opened) -> None:
    """Weights of two heads a layer, nothing where a row does not see; sinks are no keys."""
    core, ids = opened.core, opened.documents[2]
    expected = opened.reference.read(ids, attention=True).attention
    assert expected is not None
    for layer in range(core.n_layers):
        hidden = ~expected[layer].any(axis=0)
        for head in (layer % core.n_heads, core.n_heads - 1):
            found = core.attention(ids, layer, head)
            assert found.dtype == np.float32
            assert difference(found, expected[layer, head]) <= ATTENTION_TOLERANCE
            assert not found[hidden].any() and not np.triu(found, 1).any()


def test_copies(opened: Opened) -> None:
    """Copy counts, but for steps that rounding may decide, and the predicted tokens."""
    core = opened.core
    documents, answers, needles = copy_documents(core.vocab_size)
    documents, answers, needles = documents[:3], answers[:3], needles[:3]
    counts, predicted = core.copies(documents, answers, needles)
    sure = 0
    for i, ids in enumerate(documents):
        reading = opened.reference.read(ids, attention=True)
        assert reading.attention is not None
        expected, doubtful = copies_with_doubt(reading.attention, ids, answers[i], needles[i])
        assert (np.abs(counts[i] - expected) <= doubtful).all()
        sure += int((expected * (doubtful == 0)).sum())
        rows = reading.logits[np.arange(*answers[i]) - 1]
        chosen = rows[np.arange(len(rows)), predicted[i]]
        assert (chosen >= rows.max(axis=1) - TOLERANCE).all()
    assert sure > 30  # otherwise nothing was compared


@pytest.mark.parametrize("kernel", ["best", "openblas"])
def test_bits_do_not_depend_on_the_batch(opened: Opened, kernel: str) -> None:
    """A document's losses are the same bits alone and among others, in every order."""
    name = _core.kernels("fp32")[0] if kernel == "best" else kernel
    core = _core.Model(str(opened.folder), "fp32", name)
    documents = [random_ids(n, n, core.vocab_size) for n in (49, 7, 120, 2, 77)]
    variants = np.stack([opened.sets["scattered"], opened.sets["grouped"]])
    alone = [core.run([ids], variants=variants)[0] for ids in documents]
    for order in ([0, 1, 2, 3, 4], [3, 2, 4, 0, 1]):
        for n_threads in (1, 2):
            found = core.run([documents[i] for i in order], variants=variants, n_threads=n_threads)
            for i, losses in zip(order, found, strict=True):
                assert np.array_equal(losses.view(np.uint32), alone[i].view(np.uint32))


@pytest.mark.parametrize("kernel", ["best", "openblas"])
def test_rows_that_no_output_needs(opened: Opened, kernel: str) -> None:
    """The last layer leaves out rows behind which nothing is read; the others keep their bits."""
    name = _core.kernels("fp32")[0] if kernel == "best" else kernel
    core = _core.Model(str(opened.folder), "fp32", name)
    n = max(min(core.max_position_embeddings, 700), *LENGTHS)
    documents = [random_ids(i, length, core.vocab_size) for i, length in enumerate((n, 50, 7))]
    variants = np.stack([opened.sets["scattered"], np.zeros_like(opened.sets["scattered"])])
    variants[1, -1, 0] = True  # leaves the base in the last layer
    whole = core.run(documents, variants=variants)
    for first in ((n - 1, 49, 6), (n - 100, 1, 3), (n // 2, 30, 6)):
        for n_threads in (1, 2):
            found = core.run(documents, first_scored=first, variants=variants, n_threads=n_threads)
            for losses, every, start in zip(found, whole, first, strict=True):
                expected = every[:, start - 1 :]
                assert np.array_equal(losses.view(np.uint32), expected.view(np.uint32))
    _, predicted = core.copies(documents[:1], [(n - 9, n)], [(1, 4)])
    assert np.array_equal(predicted[0], core.logits(documents[0])[n - 10 : n - 1].argmax(axis=1))


@pytest.mark.parametrize(("family", "variant"), OLDER)
def test_both_dialects_are_the_same_bits(tmp_path: Path, family: str, variant: str) -> None:
    """config.json as transformers 4 wrote it; test_reference.py shows what it means to them."""
    newer, older = (
        _core.Model(
            str(make_family_folder(tmp_path / dialect, family, variant, dialect=dialect)), "fp32"
        )
        for dialect in ("v5", "v4")
    )
    documents = [random_ids(n, n, newer.vocab_size) for n in LENGTHS]
    for ours, theirs in zip(newer.run(documents), older.run(documents), strict=True):
        assert np.array_equal(ours.view(np.uint32), theirs.view(np.uint32))


@pytest.mark.parametrize("precision", ["bf16", "int8"])
@pytest.mark.parametrize(("family", "variant"), READ, ids=IDS)
def test_reduced_precision(tmp_path: Path, family: str, variant: str, precision: str) -> None:
    """Of a model whose weights are spread as published ones are before training."""
    folder = make_family_folder(tmp_path, family, variant, ordinary=True)
    core, reference = _core.Model(str(folder), precision), Reference(folder)
    heads = np.random.default_rng(1).random((core.n_layers, core.n_heads)) < 0.4
    documents = [random_ids(n, n, core.vocab_size) for n in (33, 120)]
    found = core.run(documents, variants=heads[None])
    differences = np.concatenate(
        [
            np.abs(losses - reference.read(ids, masked).losses)
            for ids, both in zip(documents, found, strict=True)
            for losses, masked in zip(both, (None, heads), strict=True)
        ]
    )
    print(f"{differences.max():.1e} nat a token at the most, {differences.mean():.1e} in the mean")
    is_mixture = family in MIXTURES
    most, mean = (MIXTURE_TOLERANCES if is_mixture else DENSE_TOLERANCES)[precision]
    assert np.quantile(differences, 0.9 if is_mixture else 0.99) <= most
    assert differences.mean() <= mean
    assert differences.max() > TOLERANCE  # else fp32 was used


# --------------------------------------------------------------- forms of a folder


def same_losses(folder: Path, other: Path) -> bool:
    """Whether two folders are the same model to the bit."""
    documents = [random_ids(n, n, 299) for n in (90, 17)]
    found = [_core.Model(str(path), "fp32").run(documents) for path in (folder, other)]
    return all(map(same_bits, *found))


def same_bits(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    return np.array_equal(a.view(np.uint32), b.view(np.uint32))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("family", "variant"), FIRST)
def test_stored_types_and_shards(tmp_path: Path, family: str, variant: str, dtype: str) -> None:
    opened = open_variant(tmp_path, family, variant, dtype=dtype, shards=3)
    losses = opened.core.run(opened.documents[:3])
    for document, found in enumerate(losses):
        assert difference(found[0], opened.expected(document, "", "uniform")) <= TOLERANCE


@pytest.mark.parametrize(
    ("family", "variant"), [("gpt2", "by layer"), ("llama", "tied"), ("qwen2", "window")]
)
def test_names_without_the_body_prefix(tmp_path: Path, family: str, variant: str) -> None:
    """As `AutoModel` writes them, and as GPT-2 was published."""
    folder = make_family_folder(tmp_path / "whole", family, variant)
    assert same_losses(folder, without_body_prefix(folder, tmp_path / "bare"))


@pytest.mark.parametrize(
    ("family", "variant", "head", "embeddings"),
    [
        ("llama", "tied", "lm_head.weight", "model.embed_tokens.weight"),
        ("gpt2", "by layer", "lm_head.weight", "transformer.wte.weight"),
        ("gpt_neox", "serial", "embed_out.weight", "gpt_neox.embed_in.weight"),
        ("opt", "before", "lm_head.weight", "model.decoder.embed_tokens.weight"),
    ],
)
def test_tied_with_an_output_matrix(
    tmp_path: Path, family: str, variant: str, head: str, embeddings: str
) -> None:
    folder = make_family_folder(tmp_path / "tied", family, variant)
    assert same_losses(folder, with_head(folder, tmp_path / "both", head, embeddings))


@pytest.mark.parametrize("layout", ["published", "nested"])
@pytest.mark.parametrize(("kind", "family"), [("gemma3", "gemma3_text"), ("llava", "llama")])
def test_text_of_a_vision_language_checkpoint(
    tmp_path: Path, kind: str, family: str, layout: str
) -> None:
    folder = make_vision_language_folder(tmp_path, kind, layout=layout)
    core, reference = _core.Model(str(folder), "fp32"), Reference(folder)
    assert core.model_type == family
    heads = np.random.default_rng(2).random((core.n_layers, core.n_heads)) < 0.4
    ids = random_ids(3, 97, core.vocab_size - 1)  # the last id stands for an image
    found = core.run([ids], variants=heads[None])[0]
    assert difference(found[0], reference.read(ids).losses) <= TOLERANCE
    assert difference(found[1], reference.read(ids, heads).losses) <= TOLERANCE


@pytest.mark.parametrize(("kind", "family", "sizes"), LEFT_OUT)
def test_sizes_that_a_text_config_leaves_out(
    tmp_path: Path, kind: str, family: str, sizes: dict[str, int]
) -> None:
    """They are the defaults of the family's class in transformers."""
    folder = make_left_out_folder(tmp_path, kind, family)
    core, reference = _core.Model(str(folder), "fp32"), Reference(folder)
    assert core.n_layers == sizes["num_hidden_layers"]
    assert core.n_heads == sizes["num_attention_heads"]
    assert core.n_kv_heads == sizes["num_key_value_heads"]
    assert core.max_position_embeddings == sizes["max_position_embeddings"]
    ids = random_ids(4, 60, core.vocab_size - 1)
    assert difference(core.run([ids])[0][0], reference.read(ids).losses) <= TOLERANCE


@pytest.mark.parametrize(
    ("family", "variant"), [("gpt2", "by layer"), ("gpt_neox", "parallel"), ("mistral", "window")]
)
def test_buffers_that_old_versions_saved(tmp_path: Path, family: str, variant: str) -> None:
    folder = make_family_folder(tmp_path / "plain", family, variant)
    assert same_losses(folder, with_saved_buffers(folder, tmp_path / "with"))


# ------------------------------------------------------------------------ sweep


@pytest.mark.full
@pytest.mark.parametrize("kernel", _core.kernels("fp32"))
@pytest.mark.parametrize(("family", "variant"), READ, ids=IDS)
def test_every_head_with_every_kernel(
    tmp_path: Path, family: str, variant: str, kernel: str
) -> None:
    """Each head alone, lengths around the edges of blocks."""
    opened = open_variant(tmp_path, family, variant)
    core = _core.Model(str(opened.folder), "fp32", kernel)
    cells = core.n_layers * core.n_heads
    alone = np.eye(cells, dtype=bool).reshape(cells, core.n_layers, core.n_heads)
    for n_tokens in (3, 24, 25, 48, 49, 64, 65, 129):
        if n_tokens > core.max_position_embeddings:
            continue
        ids = random_ids(n_tokens, n_tokens, core.vocab_size)
        found = core.run([ids], variants=alone)[0]
        for row, heads in enumerate([None, *alone]):
            assert difference(found[row], opened.reference.read(ids, heads).losses) <= TOLERANCE
