"""The benchmark runs, compares equal things and counts operations rightly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import bench_score, workload
from benchmarks.peers import Documents, Losses, PaddedTransformers, Transformers


def test_operations_of_a_document_of_1024_tokens() -> None:
    """609 million for each token of SmolLM2-135M, both readings, worked out by hand."""
    per_token = workload.flops(workload.SMOLLM2_135M, [1024]) / 1024
    assert per_token == pytest.approx(609e6, rel=1e-3)


def test_shared_layers_are_counted_once() -> None:
    shape = workload.TINY
    whole = workload.flops(shape, [40, 7])
    assert workload.flops(shape, [40, 7], first_masked_layer=shape.layers) < whole
    without_head = workload.Shape("", 48, 3, 4, 2, 12, 96, vocab=0)
    assert workload.flops(without_head, [40, 7], first_masked_layer=3) == pytest.approx(
        workload.flops(without_head, [40, 7]) / 2
    )


def test_lengths_are_as_said() -> None:
    lengths = [len(d) for d in workload.make_documents(workload.SMOLLM2_135M, 2000, 64, 1024)]
    assert min(lengths) >= 64 and max(lengths) == 1024
    assert 500 < np.mean(lengths) < 600


def test_padding_does_not_change_the_peer(tmp_path: Path) -> None:
    shape = workload.TINY
    folder, heads = workload.write_model(tmp_path, shape), workload.choose_heads(shape)
    documents = workload.make_documents(shape, 5, 16, 96)
    alone = Transformers(folder, heads, threads=1).losses(documents)
    padded = PaddedTransformers(folder, heads, threads=1).losses(documents)
    for one, other in zip(alone, padded, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert max(np.abs(base - reference).max() for base, reference in alone) > 1e-3


class _Constant:
    def __init__(self, name: str, loss: float) -> None:
        self.name, self.loss = name, loss

    def losses(self, documents: Documents) -> list[Losses]:
        losses = [np.full(len(d) - 1, self.loss, np.float32) for d in documents]
        return [(row, row) for row in losses]


def test_peers_that_disagree_are_not_timed() -> None:
    documents = workload.make_documents(workload.TINY, 2, 16, 96)
    assert bench_score.check_equal([_Constant("a", 1.0), _Constant("b", 1.0)], documents) == 0.0
    for wrong in (1.01, float("nan")):
        with pytest.raises(SystemExit, match="b and a differ"):
            bench_score.check_equal([_Constant("a", 1.0), _Constant("b", wrong)], documents)


def test_whole_benchmark_on_a_tiny_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_score.main(["--tiny", "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    assert "attninfluence (" in printed
    assert "| transformers, one document at a time |" in printed
    assert "| transformers, padded batches of 8 |" in printed
