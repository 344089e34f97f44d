"""The same document gives the same bits, whatever is around it, with every kernel.

Every comparison is of the losses' bit patterns. The inverse control shows that the
comparison can fail: with OpenBLAS's AVX2 kernels a row's bits depend on its place in a
matrix product, which the core's row tiles keep fixed.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import attninfluence
from attninfluence import _core
from tests.core import workers
from tests.core.kernels import KERNELS
from tests.kit.child import ROOT
from tests.kit.tiny_models import random_ids

Documents = list[NDArray[np.int32]]
Losses = list[NDArray[np.float32]]

LENGTHS = (2, 3, 5, 17, 30, 47, 48, 49, 60, 80, 95, 96, 97, 120, 143, 150, 193, 260)


def same_bits(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    """Equal as bit patterns: unlike ==, NaN equals itself and 0.0 differs from -0.0."""
    return a.shape == b.shape and np.array_equal(
        np.ascontiguousarray(a).view(np.uint32), np.ascontiguousarray(b).view(np.uint32)
    )


def all_same(found: Losses, expected: Losses) -> bool:
    return len(found) == len(expected) and all(map(same_bits, found, expected))


@pytest.fixture(scope="module", params=KERNELS, ids="-".join)
def core(plain_folder: Path, request: pytest.FixtureRequest) -> _core.Model:
    """The model with each kernel of each precision that this CPU runs."""
    return _core.Model(str(plain_folder), *request.param)


@pytest.fixture(scope="module")
def openblas(plain_folder: Path) -> _core.Model:
    return _core.Model(str(plain_folder), "fp32", "openblas")


@pytest.fixture(scope="module")
def documents(core: _core.Model) -> Documents:
    """64 documents of mixed lengths."""
    return [random_ids(i, LENGTHS[i % len(LENGTHS)], core.vocab_size) for i in range(64)]


@pytest.fixture(scope="module")
def variants(core: _core.Model) -> NDArray[np.bool_]:
    """Three readings that leave the base at layers 2, 0 and 1."""
    masked = np.zeros((3, core.n_layers, core.n_heads), dtype=bool)
    masked[0, 2, 1] = masked[1, 0, 3] = masked[2, 1, 0] = masked[2, 2] = True
    return masked


@pytest.fixture(scope="module")
def alone(core: _core.Model, documents: Documents, variants: NDArray[np.bool_]) -> Losses:
    """Every document's losses, read in a batch of its own by one thread."""
    return [core.run([ids], variants=variants)[0] for ids in documents]


@pytest.mark.parametrize("mask", ["uniform", "zero"])
def test_no_head_masked_changes_no_bit(core: _core.Model, documents: Documents, mask: str) -> None:
    none = np.zeros((1, core.n_layers, core.n_heads), dtype=bool)
    for losses in core.run(documents, variants=none, mask=mask):
        assert same_bits(losses[0], losses[1])


def test_no_head_masked_beside_other_variants(
    core: _core.Model, documents: Documents, variants: NDArray[np.bool_]
) -> None:
    none = np.zeros_like(variants[:1])
    for losses in core.run(documents, variants=np.concatenate([variants, none, variants])):
        assert same_bits(losses[0], losses[4])
        assert same_bits(losses[1:4], losses[5:])


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 3, 7, 64])
def test_batches_orders_and_threads(
    core: _core.Model,
    documents: Documents,
    variants: NDArray[np.bool_],
    alone: Losses,
    batch: int,
    n_threads: int,
) -> None:
    order = np.random.default_rng(batch * 10 + n_threads).permutation(len(documents))
    found: dict[int, NDArray[np.float32]] = {}
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        losses = core.run([documents[i] for i in chosen], variants=variants, n_threads=n_threads)
        found |= dict(zip(chosen, losses, strict=True))
    assert all_same([found[i] for i in range(len(documents))], alone)


def test_a_rotary_table_is_of_its_own_document(
    llama_folder: Callable[..., Path], core: _core.Model
) -> None:
    """Dynamic RoPE looks at a document's length, never at that of its neighbours."""
    rope = {"rope_type": "dynamic", "factor": 2.0}
    folder = llama_folder(rope=rope, max_position_embeddings=64, tokenizer=False)
    dynamic = _core.Model(str(folder), core.precision, core.kernel)
    batch = [random_ids(n, n, dynamic.vocab_size) for n in (40, 64, 65, 100, 200)]
    expected = [dynamic.run([ids])[0] for ids in batch]
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 3, 1]):
        found = dynamic.run([batch[i] for i in order])
        assert all_same(found, [expected[i] for i in order])


def test_a_needle_among_random_batches(core: _core.Model, variants: NDArray[np.bool_]) -> None:
    """One document at random places of batches of random others."""
    needle = random_ids(1000, 77, core.vocab_size)
    expected = core.run([needle], variants=variants)[0]
    random = np.random.default_rng(5)
    for _ in range(20):
        batch = [
            random_ids(int(random.integers(10**6)), int(n), core.vocab_size)
            for n in random.integers(2, 200, random.integers(1, 12))
        ]
        place = int(random.integers(0, len(batch) + 1))
        batch.insert(place, needle)
        threads = int(random.integers(1, 4))
        assert same_bits(core.run(batch, variants=variants, n_threads=threads)[place], expected)


@pytest.mark.parametrize("mask", ["uniform", "zero"])
def test_variants_together_and_alone(
    core: _core.Model, documents: Documents, variants: NDArray[np.bool_], mask: str
) -> None:
    some = documents[:20]
    base = core.run(some, mask=mask)
    for order in ([0, 1, 2], [2, 0, 1], [1, 1, 0, 2]):
        together = core.run(some, variants=variants[order], mask=mask)
        for row, variant in enumerate(order, start=1):
            single = core.run(some, variants=variants[variant : variant + 1], mask=mask)
            for i in range(len(some)):
                assert same_bits(together[i][0], base[i][0])
                assert same_bits(together[i][row], single[i][1])


def test_first_scored_changes_no_bit(
    core: _core.Model, documents: Documents, variants: NDArray[np.bool_], alone: Losses
) -> None:
    random = np.random.default_rng(6)
    first = [int(random.integers(1, len(ids))) for ids in documents]
    found = core.run(documents, first_scored=first, variants=variants)
    assert all_same(found, [a[:, start - 1 :] for a, start in zip(alone, first, strict=True)])


@pytest.mark.parametrize("n_threads", [2, 3, 5])
def test_threads_that_share_a_document(
    core: _core.Model, variants: NDArray[np.bool_], n_threads: int
) -> None:
    """Fewer documents than threads: they compute in step on the same rows."""
    for lengths in ((2,), (49,), (700,), (900, 30)):
        batch = [random_ids(n, n, core.vocab_size) for n in lengths]
        expected = [core.run([ids], variants=variants)[0] for ids in batch]
        assert all_same(core.run(batch, variants=variants, n_threads=n_threads), expected)


@pytest.mark.parametrize("n_threads", [2, 3])
def test_logits_attention_and_copies_on_several_threads(core: _core.Model, n_threads: int) -> None:
    ids = random_ids(12, 300, core.vocab_size)
    masked = np.ones((core.n_layers, core.n_heads), dtype=bool)
    assert same_bits(core.logits(ids), core.logits(ids, n_threads=n_threads))
    assert same_bits(core.logits(ids, masked), core.logits(ids, masked, n_threads=n_threads))
    assert same_bits(core.attention(ids, 1, 2), core.attention(ids, 1, 2, n_threads=n_threads))
    few = np.array([3, 9, 4, 1], dtype=np.int32)
    batch = [few[random_ids(i, 150, 4)] for i in range(5)]
    spans = [(100, 150)] * 5, [(20, 90)] * 5
    counts, predicted = core.copies(batch, *spans)
    threaded, predicted_threaded = core.copies(batch, *spans, n_threads=n_threads)
    assert counts.sum() > 0 and np.array_equal(counts, threaded)
    assert all(map(np.array_equal, predicted, predicted_threaded))


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_start_methods(
    plain_folder: Path,
    core: _core.Model,
    documents: Documents,
    variants: NDArray[np.bool_],
    alone: Losses,
    method: str,
) -> None:
    """Worker processes give the same bits, also when the parent has scored on threads before."""
    core.run(documents[:5], variants=variants, n_threads=2)
    context = multiprocessing.get_context(method)
    parts = [documents[:20], documents[20:40], documents[40:]]
    model = (str(plain_folder), core.precision, core.kernel)
    with context.Pool(2) as pool:
        work = [(*model, part, variants, 1 + i % 2) for i, part in enumerate(parts)]
        found = pool.starmap_async(workers.losses, work, chunksize=1).get(timeout=90)
    assert all_same([losses for part in found for losses in part], alone)


def raw_sgemm(x: NDArray[np.float32], w: NDArray[np.float32]) -> NDArray[np.float32]:
    """x w^T by the very OpenBLAS that the core calls, with no row tiles around it."""
    found = sorted(Path(attninfluence.__file__).parent.glob("libscipy_openblas*.so*"))
    if not found:
        pytest.skip("built with the system's BLAS, which is not ours to call directly")
    sgemm = ctypes.CDLL(str(found[0])).scipy_cblas_sgemm
    integer, real, pointer = ctypes.c_int, ctypes.c_float, ctypes.c_void_p
    sgemm.argtypes = [integer] * 6 + [real, pointer, integer, pointer, integer, real]
    sgemm.argtypes += [pointer, integer]
    sgemm.restype = None
    (m, k), n = x.shape, len(w)
    y = np.empty((m, n), dtype=np.float32)
    row_major, plain, transposed = 101, 111, 112
    sgemm(row_major, plain, transposed, m, n, k, 1.0, x.ctypes.data, k, w.ctypes.data, k, 0.0,
          y.ctypes.data, n)  # fmt: skip
    return y


def test_inverse_control(openblas: _core.Model) -> None:
    """Rows off the tile do change bits with AVX2 kernels, and rows on it do not."""
    random = np.random.default_rng(0)
    x = random.standard_normal((480, 96)).astype(np.float32)
    w = random.standard_normal((144, 96)).astype(np.float32)
    whole = raw_sgemm(x, w)
    aligned = range(0, 433, 48)
    assert all(same_bits(raw_sgemm(x[i : i + 48], w), whole[i : i + 48]) for i in aligned)
    if not openblas.kernel.endswith(("Haswell", "Zen")):
        pytest.skip(f"{openblas.kernel} gives a row the same bits at every place")
    unaligned = [i for i in range(1, 400) if i % 48]
    moved = [not same_bits(raw_sgemm(x[i : i + 48], w), whole[i : i + 48]) for i in unaligned]
    shorter = [not same_bits(raw_sgemm(x[:m], w), whole[:m]) for m in unaligned]
    assert sum(moved) > 100 and sum(shorter) > 100


@pytest.mark.skipif("OPENBLAS_CORETYPE" in os.environ, reason="this is the run it starts")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="these are x86-64 kernels")
@pytest.mark.parametrize("kernel", ["Haswell"])
def test_all_of_it_with_another_kernel(kernel: str) -> None:
    """OpenBLAS once more, with its kernel on which the inverse control bites."""
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
    completed = subprocess.run(
        [*command, str(Path(__file__)), "-k", "openblas or inverse"],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_CORETYPE": kernel},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert "skipped" not in completed.stdout, completed.stdout


def test_openblas_runs_the_kernel_asked_for(openblas: _core.Model) -> None:
    """The run above would prove nothing if OpenBLAS had ignored the variable."""
    assert openblas.kernel.startswith("openblas-")
    assert openblas.kernel.endswith(os.environ.get("OPENBLAS_CORETYPE", openblas.kernel))
