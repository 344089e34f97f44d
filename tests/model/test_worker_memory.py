"""What a worker process takes for itself beside the weights that all share."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path

import pytest

import attninfluence as ai
from tests.kit.child import IS_SANITIZED
from tests.kit.tiny_models import make_llama_folder

MIB = 1 << 20
WORKERS = 3


def private_bytes():
    """Memory that is this process's alone."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    sizes = [line.split()[1] for line in lines if line.startswith("Private_")]
    return sum(map(int, sizes)) * 1024


def work(pickled, barrier, queue):
    """Open a pickled scorer and score a little; all workers measure while all are there."""
    before = private_bytes()
    barrier.wait(120)
    scorer = pickle.loads(pickled)
    scores = scorer({"text": ["in the thing and the end"] * 4})["ai_score"]
    barrier.wait(120)
    cost = private_bytes() - before
    barrier.wait(120)
    queue.put((cost, scores.tobytes()))


@pytest.mark.full
@pytest.mark.skipif(IS_SANITIZED, reason="sanitizers keep memory of their own")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_takes_no_weights_of_its_own(tmp_path, monkeypatch, method):
    monkeypatch.setenv("ATTNINFLUENCE_CACHE", str(tmp_path / "cache"))
    sizes = {"hidden_size": 1024, "intermediate_size": 2816, "n_heads": 16, "n_layers": 4}
    folder = make_llama_folder(tmp_path / "model", dtype="bfloat16", **sizes)
    scorer = ai.Scorer(ai.load(folder, precision="fp32"), [(1, 2)])
    assert scorer.model.core.weight_bytes > 150 * MIB
    expected = scorer({"text": ["in the thing and the end"] * 4})["ai_score"].tobytes()
    context = multiprocessing.get_context(method)
    barrier, queue = context.Barrier(WORKERS), context.SimpleQueue()
    arguments = (pickle.dumps(scorer), barrier, queue)
    workers = [context.Process(target=work, args=arguments) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    told = [queue.get() for _ in workers]
    for worker in workers:
        worker.join()
    assert [scores for _, scores in told] == [expected] * WORKERS
    print(method, [f"{cost / MIB:.1f} MiB" for cost, _ in told])
    assert max(cost for cost, _ in told) < 50 * MIB
