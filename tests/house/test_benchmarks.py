"""The benchmarks run, compare equal things and count operations rightly."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from attninfluence import Model, load
from attninfluence.scores import rounding
from benchmarks import (
    bench_heads,
    bench_mix,
    bench_precision,
    bench_scaling,
    bench_score,
    children,
    contest,
    limits,
    results,
    workload,
)
from benchmarks.children import PeerError
from benchmarks.contest import Contestant
from benchmarks.kept import Kept
from benchmarks.peers import llama_cpp
from benchmarks.peers.peer import Entry, Job, Losses
from benchmarks.peers.registry import DISTRIBUTIONS, LIBRARIES
from benchmarks.peers.transformers import Padded, Tuned


def test_operations_of_a_document_of_1024_tokens() -> None:
    """609 million for each token of SmolLM2-135M, both readings, worked out by hand."""
    per_token = limits.count_operations(workload.SMOLLM2_135M, [1024]).total / 1024
    assert per_token == pytest.approx(609e6, rel=1e-3)


def test_shared_layers_are_counted_once() -> None:
    shape = workload.TINY
    whole = limits.count_operations(shape, [40, 7])
    assert limits.count_operations(shape, [40, 7], first_masked_layer=2).total < whole.total
    alone = limits.count_operations(shape, [40, 7], readings=1)
    assert alone.total == pytest.approx(whole.total / 2)
    without_head = workload.Shape("", 64, 3, 4, 2, 16, 96, vocab=0)
    assert limits.count_operations(without_head, [40, 7], 3) == pytest.approx(
        limits.count_operations(without_head, [40, 7], readings=1)
    )


@pytest.mark.parametrize(("precision", "expected"), [("fp32", 189), ("bf16", 378), ("int8", 677)])
def test_limits_of_one_core(precision: str, expected: float) -> None:
    """The table of documents of 1,024 tokens on a Zen 4 core, worked out by hand."""
    peaks = {"fp32": 115.0, "bf16": 230.0, "int8": 460.0}
    operations = limits.count_operations(workload.SMOLLM2_135M, [1024])
    one = limits.limit(operations, 1024, 1, precision, peaks)
    assert one == pytest.approx(expected, rel=5e-3)
    assert limits.limit(operations, 1024, 2, precision, peaks) == pytest.approx(2 * one)


def test_peaks_are_measured() -> None:
    peaks = limits.measure_peaks()
    assert tuple(peaks) == limits.PRECISIONS and all(rate > 0 for rate in peaks.values())


@pytest.mark.parametrize("count", [8, 16, 40, 2000])
def test_lengths_are_as_said(count: int) -> None:
    documents = workload.make_documents(workload.SMOLLM2_135M, count, 64, 1024)
    lengths = [len(document) for document in documents]
    assert len(lengths) == count and min(lengths) >= 64 and max(lengths) == 1024
    assert 500 < np.mean(lengths) < 600
    assert lengths != sorted(lengths)


def test_the_model_written_is_the_one_read(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folder = workload.write_model(tmp_path, workload.TINY)
    expected = load_file(folder / "model.safetensors")
    found = dict(workload.read_tensors(folder))
    assert found.keys() == expected.keys()
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name].float().numpy())
    embeddings = found["model.embed_tokens.weight"]
    drawn = np.random.default_rng(0).standard_normal(embeddings.shape, dtype=np.float32) / 8
    rounded = torch.from_numpy(drawn).bfloat16().float().numpy()
    np.testing.assert_array_equal(embeddings, rounded)


def job_of(folder: Path) -> Job:
    shape = workload.TINY
    model = workload.write_model(folder / "model", shape)
    return Job(model, folder, shape, workload.choose_heads(shape), threads=1)


def test_a_job_survives_its_file(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    assert Job.parse(job.dump()) == job


def test_padding_does_not_change_the_peer(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    documents = workload.make_documents(job.shape, 5, 16, 96)
    alone = Tuned(job, "fp32").losses(documents)
    padded = Padded(job, "fp32").losses(documents)
    for one, other, document in zip(alone, padded, documents, strict=True):
        assert one.shape == (2, len(document) - 1)
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert max(np.abs(base - reference).max() for base, reference in alone) > 1e-3


def test_names_of_tensors_in_gguf(tmp_path: Path) -> None:
    names = {llama_cpp._name(name) for name, _ in workload.read_tensors(job_of(tmp_path).folder)}
    assert {"token_embd.weight", "output_norm.weight", "blk.2.attn_output.weight"} <= names
    assert len(names) == 2 + 9 * workload.TINY.layers


def test_queries_are_laid_out_in_rotary_pairs(tmp_path: Path) -> None:
    rows = np.arange(32, dtype=np.float32)[:, None]  # two heads of 16
    arranged = llama_cpp._arrange("self_attn.q_proj.weight", rows, job_of(tmp_path))[:, 0]
    assert arranged[:4].tolist() == [0, 8, 1, 9] and arranged[16:18].tolist() == [16, 24]


class _Constant:
    """A reader whose every loss is the same, or that fails."""

    def __init__(self, base: float, reference: float) -> None:
        self.base, self.reference = base, reference

    def losses(self, name: str, documents: int) -> list[Losses]:
        rows = np.array([[self.base], [self.reference]], dtype=np.float32)
        return [np.repeat(rows, 9, axis=1)] * documents

    def work(self, name: str, documents: int, *, own_heads: bool = False) -> float:
        if self.base < 0:
            raise PeerError("broke down")
        return 1.0 if own_heads else 2.0


def contestant(name: str, base: float, reference: float, **fields: object) -> Contestant:
    values = {"precision": "fp32", "masks": True, "open": None} | fields
    return Contestant(Entry(name, **values), _Constant(base, reference))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("other", "agrees"),
    [
        (contestant("b", 1.0, 2.0), True),
        (contestant("b", 1.01, 2.0), False),
        (contestant("b", 1.0, 2.01), False),
        (contestant("b", float("nan"), 2.0), False),
        (contestant("b", 1.01, 2.01, precision="bf16"), True),
        (contestant("b", 1.0, 2.2, precision="bf16"), False),
        (contestant("b", 1.0, 1.0, masks=False), True),
        (contestant("b", 1.01, 1.01, masks=False), False),
        (contestant("b", 1.1, 1.1, masks=False, precision="int8"), True),
        (contestant("b", 1.3, 1.3, masks=False, precision="int8"), False),
    ],
)
def test_peers_that_disagree_are_not_timed(other: Contestant, agrees: bool) -> None:
    first = contestant("a", 1.0, 2.0)
    kept, wrong = contest.check([first, other], 2)
    assert kept == ([first, other] if agrees else [first])
    assert bool(wrong) != agrees
    if wrong:
        assert "differ from a's by" in wrong[0]


def test_fp32_is_what_others_are_compared_with() -> None:
    narrow, wide = contestant("n", 1.2, 2.0, precision="bf16"), contestant("w", 1.0, 2.0)
    kept, wrong = contest.check([narrow, wide], 1)
    assert kept == [wide] and wrong[0].startswith("n: its losses differ from w's")


def test_a_peer_that_breaks_down_ends_alone() -> None:
    sound, broken = contestant("attninfluence", 1.0, 1.0), contestant("b", -1.0, 1.0)
    assert contest.time_rounds([sound, broken], 1, 3) == ["b: broke down"]
    assert sound.seconds == [2.0, 2.0, 2.0] and broken.seconds == []
    lines = contest.table([sound, broken], 100, {"fp32": 200.0}).splitlines()
    assert lines[2:] == ["| attninfluence | 50 | 50 to 50 | 1.00x | 25 % |"]


def test_own_heads_are_timed_where_layers_are_shared() -> None:
    ours, other = contestant("attninfluence", 1.0, 1.0, shares=True), contestant("b", 1.0, 1.0)
    assert contest.time_rounds([ours, other], 1, 3, has_own_heads=True) == []
    table = contest.table([ours, other], 100, {"fp32": 200.0}, {"fp32": 400.0}).splitlines()
    assert table[0].endswith(
        "| of its limit | tokens/s with the model's own heads | of its limit |"
    )
    assert table[2:] == [
        "| attninfluence | 50 | 50 to 50 | 1.00x | 25 % | 100 | 25 % |",
        "| b | 50 | 50 to 50 | 1.00x | 25 % |  |  |",
    ]


def test_a_python_that_cannot_be_started_is_reported(tmp_path: Path) -> None:
    job_file = tmp_path / "job.json"
    job_file.write_text(job_of(tmp_path).dump())
    entry = LIBRARIES["ours"][0]
    for python, reason in ((tmp_path / "none", "No such file"), ("false", "ended with 1")):
        started, refusals = children.start_children(
            [entry], {"ours": str(python)}, job_file, tmp_path
        )
        assert started == [] and reason in refusals[entry.name]


def test_every_library_says_its_versions() -> None:
    assert LIBRARIES.keys() == DISTRIBUTIONS.keys()
    names = [entry.name for entries in LIBRARIES.values() for entry in entries]
    assert len(set(names)) == len(names)


def test_choice_of_peers() -> None:
    names = [entry.name for entry in bench_score.choose("bf16", "tuned")]
    assert names == ["attninfluence bf16", "transformers bf16, tuned"]
    everybody = sum(len(entries) for entries in LIBRARIES.values())
    assert len(bench_score.choose("fp32,bf16,int8", None)) == everybody


def test_python_of_a_library() -> None:
    options = bench_score.parse(["--peer-python", "zentorch,llama_cpp=bin/python"])
    assert options.peer_python == {"zentorch": "bin/python", "llama_cpp": "bin/python"}
    with pytest.raises(SystemExit):
        bench_score.parse(["--peer-python", "nobody=bin/python"])


def test_a_section_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    for heading in ("One", "One more", "Two"):
        results.write_section(heading, f"text of {heading}\n\n### Part\n\n1", path)
    results.write_section("One", "new", path)
    results.write_section("Two", "last", path)
    assert path.read_text() == (
        "# Results\n\n## One\n\nnew\n\n"
        "## One more\n\ntext of One more\n\n### Part\n\n1\n\n## Two\n\nlast\n"
    )


def test_whole_benchmark_on_a_tiny_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_score.main(["--tiny", "--threads", "1", "--peers", "transformers,llama"]) == 0
    printed = capsys.readouterr().out
    for precision in ("fp32", "bf16"):
        assert f"| transformers {precision}, tuned |" in printed
        assert f"| transformers {precision}, padded batches of 8 |" in printed
    assert "| attninfluence fp32 |" in printed
    assert "The trained model's own heads (1) lie in layers 2 to 2 of 3." in printed
    # Everybody is either timed or said not to be.
    for entry in bench_score.choose("fp32,bf16,int8", "transformers,llama"):
        assert f"| {entry.name} |" in printed or f"- {entry.name}: " in printed


def test_scaling_on_a_tiny_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_scaling.main(["--tiny", "--precision", "fp32"]) == 0
    printed = capsys.readouterr().out
    for title, _ in bench_scaling.PARTS.values():
        assert f"## {title}, tiny fp32" in printed
    assert "| 0 of 3 |" in printed and "| 2.000 |" in printed


def test_heads_of_a_tiny_model(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(tiny_folder), "--samples", "3", "--length", "700"]
    assert bench_heads.main(arguments) == 0
    printed = capsys.readouterr().out
    assert f"## Time to find heads, {tiny_folder.name}" in printed
    assert "3 probe samples of 6" in printed
    for precision in ("fp32", "bf16", "int8"):
        assert f"\n| {precision} | " in printed
    assert printed.count("1 of 1 |") == 2


def test_a_precision_is_compared_with_fp32() -> None:
    class Core:
        precision, threads = "bf16", 2

    shares = np.zeros((2, 3, 10))
    shares[:, 0, 0], shares[:, 2, 9] = 0.8, 0.6
    exact = bench_heads.Reader(Core(), 8.0, 16.0, list(shares))  # type: ignore[arg-type]
    shares = shares.copy()
    shares[0, 2, 9], shares[:, 1, 1] = 0.5, 0.7
    other = bench_heads.Reader(Core(), 4.0, 8.0, list(shares))  # type: ignore[arg-type]
    said = ["bf16", "2.00", "4.00", "26.7", "25.0%", "0.7000", "1 of 2"]
    assert bench_heads.row(other, exact) == said


def test_masked_heads_begin_in_the_layer_asked_for() -> None:
    class Bench:
        shape = workload.SMOLLM2_135M
        heads = workload.choose_heads(workload.SMOLLM2_135M)

    for layer in (0, 8, 22, 29):
        heads = bench_scaling._heads_from(Bench(), layer)  # type: ignore[arg-type]
        assert heads[0][0] == layer and heads[-1][0] < 30


def test_ranks_and_overlap() -> None:
    a = np.array([3.0, 1.0, 2.0, 2.0, 9.0])
    assert rounding.spearman(a, 10 * a) == pytest.approx(1.0)
    assert rounding.spearman(a, -np.arange(5.0)) == pytest.approx(
        np.corrcoef([3, 0, 1, 2, 4], [4, 3, 2, 1, 0])[0, 1]
    )
    assert rounding.top_of(a) == {4}
    assert rounding.top_of(np.array([1.0, 1.0, 0.0, 0.0, 0.0, 1.0])) == {0, 1}


@pytest.mark.parametrize("other", ["bf16", "int8"])
def test_precision_on_a_few_texts(
    other: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [f"The number {n} is followed by {n + 1} and then by {n * n}." for n in range(24)]
    for domain, rows in (("odd", texts[1::2]), ("even", texts[::2])):
        with gzip.open(tmp_path / f"{domain}.jsonl.gz", "wt", encoding="utf-8") as file:
            for at, text in enumerate(rows):
                file.write(json.dumps({"id": at, "domain": domain, "text": text}) + "\n")
    arguments = ["--corpus", str(tmp_path), "--documents", "20", "--precision", other]
    assert bench_precision.main(arguments) == 0
    printed = capsys.readouterr().out
    assert f"## Accuracy of {other}, bundled model" in printed
    if "Not run" not in printed:
        assert "| even | 10 |" in printed and "| all | 20 |" in printed


def test_a_corpus_without_documents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no"):
        bench_precision.choose_texts(tmp_path, 5)


def test_a_mix_is_compared_with_a_copy(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_mix.main(["--files", "3", "--rounds", "1"]) == 0
    printed = capsys.readouterr().out
    assert "3 files of 20 bytes" in printed
    assert printed.count("| `attninfluence mix") == 2 and "| `cp -r` of the corpus | " in printed


def test_a_killed_benchmark_goes_on(tmp_path: Path) -> None:
    model, other = load(precision="fp32"), load(precision="bf16")
    ids, calls = np.arange(5, dtype=np.int32), []

    def compute() -> list[np.ndarray]:
        calls.append(1)
        return [np.float32([[1, 2]]), np.float64([3])]

    def read(models: list[Model], ids: np.ndarray, folder: Path | None = tmp_path) -> None:
        first, second = Kept(folder).arrays("losses", models, [ids], compute)
        assert first.tolist() == [[1, 2]] and second.tolist() == [3] and first.dtype == np.float32

    read([model], ids)
    read([model], ids)
    assert len(calls) == 1
    for models, changed in (([other], ids), ([model, other], ids), ([model], ids + 1)):
        read(models, changed)
    assert len(calls) == 4 and len(list(tmp_path.iterdir())) == 4
    read([model], ids, None)
    assert len(calls) == 5

    def killed() -> list[np.ndarray]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Kept(tmp_path).arrays("losses", [model], [ids + 2], killed)
    assert len(list(tmp_path.iterdir())) == 4
