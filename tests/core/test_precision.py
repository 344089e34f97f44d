"""Every kernel of every precision against transformers, and reduced precision against fp32.

The accuracy on real text is measured by benchmarks/bench_precision.py; here the bundled model
reads the texts that come with the package, which every machine has.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import attninfluence
from attninfluence import _core
from attninfluence.demo.texts import collect_texts
from attninfluence.model.opening import bundled_folder
from tests.core.kernels import KERNELS
from tests.kit.child import IS_SANITIZED
from tests.kit.parity import Opened
from tests.kit.tiny_models import random_ids

# Nats a token, largest and mean. fp32 kernels differ by the order of their sums. bf16 rounds a
# factor to 8 bits, int8 a row's values to 1/254 of its range; the models here are made so that
# attention is peaked, and losses reach 15 nats. The limits are about twice what was measured.
TOLERANCES = {"fp32": (1e-4, 1e-5), "bf16": (0.2, 0.03), "int8": (0.6, 0.13)}

SHAPES: dict[str, dict[str, Any]] = {
    "groups of 2": {"n_kv_heads": 2},
    "no width a multiple of 4, biases": {
        "hidden_size": 51,
        "n_heads": 3,
        "n_kv_heads": 1,
        "head_dim": 18,
        "intermediate_size": 77,
        "vocab_size": 301,
        "mlp_bias": True,
        "attention_bias": True,
    },
    "wider than a block, tied": {
        "hidden_size": 700,
        "n_heads": 2,
        "n_kv_heads": 1,
        "head_dim": 40,
        "intermediate_size": 1500,
        "n_layers": 2,
        "tied": True,
        "scale": 0.25,
    },
}
LENGTHS = (2, 13, 48, 97, 230)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("precision", "kernel"), KERNELS)
def test_losses_equal_transformers(
    open_llama: Callable[..., Opened], precision: str, kernel: str, shape: str
) -> None:
    model = open_llama(**SHAPES[shape])
    core = _core.Model(str(model.folder), precision, kernel)
    masked = np.random.default_rng(1).random((1, core.n_layers, core.n_heads)) < 0.4
    documents = model.documents(LENGTHS)
    differences = np.concatenate(
        [
            np.abs(losses - model.reference.read(ids, heads).losses)
            for ids, found in zip(documents, core.run(documents, variants=masked), strict=True)
            for losses, heads in zip(found, (None, masked[0]), strict=True)
        ]
    )
    print(f"{differences.max():.1e} nat a token at the most, {differences.mean():.1e} in the mean")
    largest, mean = TOLERANCES[precision]
    assert differences.max() <= largest and differences.mean() <= mean


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_reduced_precision_is_not_fp32(tiny_folder: Path, precision: str) -> None:
    """The comparisons here would say nothing if the precision asked for were not used."""
    ids = random_ids(7, 200, 100)
    exact = _core.Model(str(tiny_folder), "fp32").run([ids])[0]
    rounded = _core.Model(str(tiny_folder), precision).run([ids])[0]
    assert np.abs(exact - rounded).max() > 100 * TOLERANCES["fp32"][1]


def test_int8_kernels_agree_to_the_bit(tiny_folder: Path) -> None:
    """Where no head says anything: attention and its values are in bf16, whose sums have other
    orders."""
    masked = np.ones((1, 3, 4), dtype=bool)
    ids = [random_ids(i, n, 100) for i, n in enumerate(LENGTHS)]
    found = {
        kernel: _core.Model(str(tiny_folder), "int8", kernel).run(ids, variants=masked, mask="zero")
        for kernel in _core.kernels("int8")
    }
    assert "portable" in found
    for losses in found.values():
        for one, other in zip(losses, found["portable"], strict=True):
            assert np.array_equal(one[1].view(np.uint32), other[1].view(np.uint32))


@cache
def scores_of_demo_texts(precision: str) -> dict[str, NDArray[np.float64]]:
    """Scores of the bundled model, by domain."""
    model = attninfluence.load(bundled_folder(), precision=precision, threads=2)
    texts = collect_texts(400)
    scores = attninfluence.score([text.text for text in texts], model=model, max_length=512).score
    domains = np.array([text.domain for text in texts])
    return {domain: scores[domains == domain] for domain in sorted(set(domains))}


def ranks(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.argsort(np.argsort(x)).astype(np.float64)


@pytest.mark.skipif(
    IS_SANITIZED,
    reason="minutes of unoptimised arithmetic; an ordinary build runs it",
)
@pytest.mark.parametrize(
    ("precision", "spearman", "overlap"), [("bf16", 0.999, 0.97), ("int8", 0.99, 0.93)]
)
def test_reduced_precision_keeps_the_order(precision: str, spearman: float, overlap: float) -> None:
    """The issue of a score is an order within a domain, and the top 20 % of it."""
    exact, rounded = scores_of_demo_texts("fp32"), scores_of_demo_texts(precision)
    kept = chosen = 0
    for domain, scores in exact.items():
        assert np.isfinite(scores).all() and np.isfinite(rounded[domain]).all()
        count = -(-len(scores) // 5)
        kept += len(set(np.argsort(-scores)[:count]) & set(np.argsort(-rounded[domain])[:count]))
        chosen += count
    found = [np.concatenate(list(scores.values())) for scores in (exact, rounded)]
    assert len(found[0]) > 300
    assert np.corrcoef(ranks(found[0]), ranks(found[1]))[0, 1] >= spearman
    assert kept >= overlap * chosen


def test_what_kernel_and_precision_say(tiny_folder: Path) -> None:
    """auto is the best precision with instructions of its own; names are those of `kernels`."""
    for precision, kernel in KERNELS:
        core = _core.Model(str(tiny_folder), precision, kernel)
        assert core.precision == precision
        assert core.kernel == kernel or (kernel, core.kernel[:9]) == ("openblas", "openblas-")
    best = _core.Model(str(tiny_folder))
    expected = "bf16" if "avx512_bf16" in _core.kernels("bf16") else "fp32"
    assert (best.precision, best.kernel) == (expected, _core.kernels("auto")[0])
    assert _core.kernels("auto") == _core.kernels(expected)


def test_kernels_and_precisions_that_are_not_there(tiny_folder: Path) -> None:
    with pytest.raises(ValueError, match="has no kernel 'mmx' for bf16; it has .*portable"):
        _core.Model(str(tiny_folder), "bf16", "mmx")
    with pytest.raises(ValueError, match="must be 'auto', 'fp32', 'bf16' or 'int8', not 'fp8'"):
        _core.Model(str(tiny_folder), "fp8")
    with pytest.raises(ValueError, match="not 8"):
        _core.kernels(8)  # type: ignore[arg-type]
