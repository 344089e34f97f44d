"""Peak memory of long documents, and none that grows over many short ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from attninfluence._core import Model, ModelError
from tests.kit.child import IS_SANITIZED, run_python
from tests.kit.family_models import changed_settings, make_family_folder

pytestmark = pytest.mark.skipif(IS_SANITIZED, reason="sanitizers keep memory of their own")

MB = 1_000_000


@pytest.fixture(scope="module")
def wide_folder(llama_folder: Callable[..., Path]) -> Path:
    """SmolLM2-135M's widths and vocabulary, of 30 layers only two."""
    return llama_folder(
        vocab_size=49152,
        hidden_size=576,
        n_layers=2,
        n_heads=9,
        n_kv_heads=3,
        intermediate_size=1536,
        tied=True,
        dtype="bfloat16",
        max_position_embeddings=8192,
        tokenizer=False,
    )


PEAK = """
import json, sys
import numpy as np
from attninfluence import _core

def peak():
    # Not ru_maxrss, which a process takes over from the one that started it.
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024

n_tokens, n_threads = int(sys.argv[2]), int(sys.argv[3])
started = peak()
model = _core.Model(sys.argv[1], sys.argv[4])
loaded = peak()
ids = np.random.default_rng(0).integers(0, model.vocab_size, n_tokens).astype(np.int32)
masked = np.zeros((1, model.n_layers, model.n_heads), dtype=bool)
masked[0, :, 4] = True
losses = model.run([ids], variants=masked, n_threads=n_threads)[0]
assert np.isfinite(losses).all() and losses.shape == (2, n_tokens - 1)
print(json.dumps({"started": started, "loaded": loaded, "peak": peak(),
                  "weights": model.weight_bytes}))
"""


def test_matrices_of_padding_take_no_memory(tmp_path: Path) -> None:
    """Each of 81,920 experts of one value would take a panel: 330 MB of a file of 1.2 MB."""
    n_layers, n_experts = 20, 4096
    folder = make_family_folder(tmp_path, "granitemoe", "multipliers")
    sizes = {
        "num_hidden_layers": n_layers,
        "num_local_experts": n_experts,
        "hidden_size": 2,
        "intermediate_size": 1,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "vocab_size": 8,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "num_experts_per_tok": 1,
    }
    tensors = {"embed_tokens": [8, 2], "norm": [2]}
    for layer in (f"layers.{number}." for number in range(n_layers)):
        tensors |= {f"{layer}self_attn.{one}_proj": [2, 2] for one in "qkvo"}
        tensors |= {f"{layer}{one}_layernorm": [2] for one in ("input", "post_attention")}
        experts = f"{layer}block_sparse_moe."
        tensors[f"{experts}router.layer"] = [n_experts, 2]
        tensors[f"{experts}input_linear"] = [n_experts, 2, 2]
        tensors[f"{experts}output_linear"] = [n_experts, 2, 1]
    save_file(
        {f"model.{name}.weight": np.zeros(shape, np.float16) for name, shape in tensors.items()},
        folder / "model.safetensors",
    )
    with changed_settings(folder, sizes), pytest.raises(ModelError) as caught:
        Model(str(folder), "fp32", "portable")
    assert re.search(r"values of the tensors in .* would take \d{9} bytes", str(caught.value))


def n_parameters(folder: Path) -> int:
    total = 0
    for file in folder.glob("*.safetensors"):
        data = file.read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        for name, entry in header.items():
            if name != "__metadata__":
                first, last = entry["data_offsets"]
                total += (last - first) // (4 if entry["dtype"] == "F32" else 2)
    return total


# Bytes that a parameter takes; in int8 the embeddings stand beside the head, in bf16, and 64 values
# have a scale and a sum of 4 bytes each.
WEIGHT_BYTES = {"fp32": 4.0, "bf16": 2.0, "int8": 9 / 8 + 2.0 * 0.79}


@pytest.mark.parametrize("precision", WEIGHT_BYTES)
def test_a_long_document_on_a_large_vocabulary(wide_folder: Path, precision: str) -> None:
    """4,096 tokens, 49,152 words: the whole process stays within weights + 300 MB.

    The logits of the two readings alone would be 1.6 GB.
    """
    weights = WEIGHT_BYTES[precision] * n_parameters(wide_folder)
    found = json.loads(run_python(PEAK, wide_folder, 4096, 2, precision, timeout=180))
    assert weights <= found["weights"] <= 1.05 * weights
    assert found["loaded"] - found["started"] <= weights + 60 * MB
    assert found["peak"] <= weights + 300 * MB


# One pass over a generator, so that the texts are never in memory together.
STREAM = """
import json, resource, sys
import attninfluence

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

model = attninfluence.load(sys.argv[1])
n_texts, marks = int(sys.argv[2]), {}

def texts():
    for i in range(n_texts):
        if i in (n_texts // 2, n_texts - 1):
            marks[i] = resident()
        yield f"text {i} of many"

scores = attninfluence.score(texts(), model=model, heads=[(1, 1)])
assert len(scores) == n_texts and set(scores.status) == {"ok"}
print((marks[n_texts - 1] - marks[n_texts // 2]) / (n_texts / 2))
"""

# What is kept of a text are its numbers: five of 8 bytes, a pointer to its status, two
# flags, and what lists and arrays need to grow.
BYTES_PER_TEXT = 120


def growth_per_text(folder: Path, n_texts: int, timeout: float) -> float:
    return float(run_python(STREAM, folder, n_texts, timeout=timeout))


@pytest.fixture(scope="module")
def smallest_folder(llama_folder: Callable[..., Path]) -> Path:
    return llama_folder(
        n_layers=2, n_heads=2, hidden_size=16, head_dim=8, intermediate_size=16, vocab_size=280
    )


def test_a_generator_of_short_texts_does_not_grow(smallest_folder: Path) -> None:
    assert growth_per_text(smallest_folder, 24_000, timeout=120) < BYTES_PER_TEXT


@pytest.mark.torture
def test_a_generator_of_a_million_texts_does_not_grow(smallest_folder: Path) -> None:
    assert growth_per_text(smallest_folder, 1_000_000, timeout=1800) < BYTES_PER_TEXT


# A corpus of short rows through the whole run: read, scored, written, checkpointed.
CORPUS = """
import ctypes, gc, json, resource, sys
import numpy as np
import pyarrow as pa
import attninfluence
from attninfluence.run import Source, score_files

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

def in_use():
    # What allocators keep for later goes up and down by megabytes.
    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)
    return resident()

class Watch:
    rows, marks, peak, noted = 0, [], 0, 0.3
    def advance(self, documents, tokens, share):
        self.rows += documents
        self.peak = max(self.peak, resident())
        if share >= self.noted:
            self.noted += 0.01
            self.marks.append((self.rows, in_use()))

folder, path, out = sys.argv[1:4]
model, watch = attninfluence.load(folder, threads=2), Watch()
totals = score_files(Source([path]), out, model=model, heads=[(1, 1)], progress=watch,
                     checkpoint_seconds=float(sys.argv[4]))
slope = np.polyfit(*np.array(watch.marks, dtype=float).T, 1)[0]
print(json.dumps({"rows": totals["rows"], "peak": watch.peak, "slope": slope}))
"""


def score_short_rows(
    folder: Path, tmp_path: Path, rows: int, seconds: float, timeout: float
) -> dict[str, float]:
    """Score a Parquet file of `rows` short texts; returns rows, peak and bytes a row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "corpus.parquet"
    schema = pa.schema([("id", pa.string()), ("domain", pa.string()), ("text", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, 50_000):
            numbers = range(start, min(rows, start + 50_000))
            columns = [[f"i{n:07d}" for n in numbers], [f"d{n % 7}" for n in numbers]]
            columns.append([f"text {n:07d} of many" for n in numbers])  # all as long
            writer.write_table(pa.table(columns, schema))
    found = run_python(CORPUS, folder, path, tmp_path / "out", seconds, timeout=timeout)
    result: dict[str, float] = json.loads(found)
    assert result["rows"] == rows
    return result


def test_a_corpus_of_short_rows_does_not_grow(smallest_folder: Path, tmp_path: Path) -> None:
    """Some megabytes more or less are the allocators'; 30,000 rows that stayed would be 20 MB."""
    found = score_short_rows(smallest_folder, tmp_path, 60_000, 1.0, timeout=240)
    assert found["slope"] * 30_000 < 6 * MB
    assert found["peak"] < 500 * MB


@pytest.mark.torture
def test_a_corpus_of_two_million_rows_does_not_grow(smallest_folder: Path, tmp_path: Path) -> None:
    """By 1 KiB in 1,000 documents at most, which is a gigabyte in a billion."""
    found = score_short_rows(smallest_folder, tmp_path, 2_000_000, 20.0, timeout=2400)
    assert found["slope"] < 1.024
    assert found["peak"] < 500 * MB
