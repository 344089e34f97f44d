"""What reading, tokenising and writing a corpus cost beside scoring it.

    python -m benchmarks.bench_corpus --corpus CORPUS [--shape 135m] [--documents 32] [--write]

The same texts are scored in memory by `attninfluence.score` and from a Parquet file by
`attninfluence score` in a process of its own, in turn; a model of random weights stands for a
real one of that shape, with the bundled tokenizer.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from attninfluence.model.model import Model
from attninfluence.model.opening import bundled_folder, load
from benchmarks import results, workload
from benchmarks.bench_precision import choose_texts

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
HEADING = "A corpus from files, against texts in memory"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench_corpus", description="Cost of reading a corpus.")
    parser.add_argument("--corpus", type=Path, required=True, help="a folder of JSONL files")
    parser.add_argument("--shape", choices=tuple(workload.SHAPES), default="135m")
    parser.add_argument("--documents", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--write", action="store_true", help=f"also in {results.RESULTS.name}")
    return parser.parse_args(argv)


def write_model(folder: Path, shape: workload.Shape) -> Path:
    """A model of random weights that reads text."""
    for name in TOKENIZER_FILES:
        source = Path(bundled_folder(), name)
        if source.exists():
            folder.mkdir(exist_ok=True)
            shutil.copy(source, folder / name)
    config = json.loads(Path(bundled_folder(), "config.json").read_text(encoding="utf-8"))
    return workload.write_model(
        folder, replace(shape, vocab=max(shape.vocab, config["vocab_size"]))
    )


def write_parquet(rows: Sequence[tuple[str, str]], path: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    domains, texts = zip(*rows, strict=True)
    pq.write_table(pa.table({"domain": list(domains), "text": list(texts)}), path)
    return path


def in_memory(model: Model, texts: Sequence[str], heads: str) -> float:
    """Seconds of `attninfluence.score`."""
    from attninfluence.scoring.batches import score

    started = time.monotonic()
    score(texts, model=model, heads=heads)
    return time.monotonic() - started


def from_file(options: argparse.Namespace, folder: Path, heads: str) -> dict[str, Any]:
    """The summary of `attninfluence score` in a process of its own, with the seconds it took."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    command = [sys.executable, "-m", "attninfluence.cli", "score", str(folder / "corpus.parquet")]
    command += ["-o", str(folder / "out"), "--model", str(folder / "model"), "--heads", heads]
    command += ["--threads", str(options.threads), "--precision", options.precision]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return {**json.loads(done.stdout), "process": time.monotonic() - started}


def reading(model: Model, path: Path) -> float:
    """Seconds of reading the file twice, as a run does, and tokenising its texts."""
    from attninfluence.corpus import Columns, iter_rows, survey_file

    columns = Columns("text", None, "domain")
    started = time.monotonic()
    survey_file(str(path), columns)
    for batch in iter_rows(str(path), columns):
        model.tokenizer.encode(batch.texts)
    return time.monotonic() - started


def measure(options: argparse.Namespace, folder: Path) -> str:
    """The body of the section."""
    model_folder = write_model(folder / "model", workload.SHAPES[options.shape])
    model = load(model_folder, threads=options.threads, precision=options.precision)
    heads = str(folder / "heads.json")
    _write_heads(model, heads)
    rows = choose_texts(options.corpus, options.documents)
    path = write_parquet(rows, folder / "corpus.parquet")
    texts = [text for _, text in rows]
    memory, files, processes = [], [], []
    for _ in range(options.rounds):
        memory.append(in_memory(model, texts, heads))
        summary = from_file(options, folder, heads)
        files.append(summary["seconds"])
        processes.append(summary["process"])
    read = min(reading(model, path) for _ in range(options.rounds))
    tokens = summary["scored_tokens"]
    return _describe(options, model, len(rows), tokens, memory, files, processes, read)


def _write_heads(model: Model, path: str) -> None:
    from attninfluence.heads.head_scores import HeadScores

    pairs = tuple((layer, layer % model.n_heads) for layer in range(0, model.n_layers, 2))
    zeros = np.zeros((model.n_layers, model.n_heads))
    HeadScores(zeros, zeros, pairs, 2, 2, 1.0, model.fingerprint).save(path)


def _describe(
    options: argparse.Namespace,
    model: Model,
    documents: int,
    tokens: int,
    memory: list[float],
    files: list[float],
    processes: list[float],
    read: float,
) -> str:
    def rate(seconds: list[float]) -> str:
        return f"{tokens / statistics.median(seconds):,.0f}"

    ratio = statistics.median(memory) / statistics.median(files)
    share = read / statistics.median(files)
    return (
        f"{workload.SHAPES[options.shape].name} shape, random weights, {model.precision}"
        f" ({model.kernel}); {documents} documents, {tokens:,} tokens; {options.threads} threads;"
        f" {options.rounds} rounds, medians.\n\n"
        "| | tokens/s |\n| --- | ---: |\n"
        f"| `attninfluence.score`, texts in memory | {rate(memory)} |\n"
        f"| `attninfluence score`, a Parquet file to a folder | {rate(files)} |\n"
        f"| the same with starting the process and opening the model | {rate(processes)} |\n\n"
        f"From the file it is {ratio:.3f} times as fast as in memory. Reading the file twice and"
        f" tokenising take {100 * share:.2f} % of the time, in a thread beside the scoring.\n\n"
        f"{results.machine()}."
    )


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    with tempfile.TemporaryDirectory() as folder:
        body = measure(options, Path(folder))
    flags = f"--shape {options.shape} --documents {options.documents} --rounds {options.rounds}"
    flags += f" --threads {options.threads} --precision {options.precision}"
    command = f"python -m benchmarks.bench_corpus --corpus CORPUS {flags}"
    results.publish(HEADING, body, command, write=options.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
