"""Retrieval heads: finding them, choosing among them, keeping them (METHOD.md section 2).

A head copies at the step that predicts answer token w when the largest weight of that step's
attention row lies in the needle, on w. Its retrieval score is the share of such steps, the mean
over the samples that the model answers. The heads with the highest scores are masked by `score`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np

from attninfluence.base.whole_number import as_whole_number
from attninfluence.heads.choice import Choice
from attninfluence.heads.errors import RetrievalError
from attninfluence.heads.head_scores import HeadScores
from attninfluence.model.model import EXPLICIT_PRECISIONS, Model
from attninfluence.model.opening import as_model
from attninfluence.probe.samples import Sample, iter_samples
from attninfluence.probe.sentences import Texts, random_stream
from attninfluence.retrieval.bootstrap import bootstrap_interval
from attninfluence.retrieval.kept import KeptReadings
from attninfluence.retrieval.precisions import moves_by_rounding
from attninfluence.retrieval.reading import SampleReading
from attninfluence.retrieval.readings import read_samples
from attninfluence.retrieval.settling import Settling

DECODINGS = ("teacher_forced", "greedy")
DEFAULT_FRACTION = 0.05
MOST_SAMPLES = 800  # of samples="auto"


def find_retrieval_heads(
    model: Model | str | os.PathLike[str] | None = None,
    samples: int | Literal["auto"] = 800,
    max_length: int = 4096,
    shots: int = 3,
    decoding: str = "teacher_forced",
    fraction: float = DEFAULT_FRACTION,
    count: int | None = None,
    threshold: float | None = None,
    corpus: Texts | None = None,
    seed: int = 0,
    require_success: bool = True,
    precision: str = "fp32",
    keep: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> HeadScores:
    """Scores every head on the probe task and selects the best (METHOD.md section 2).

    The samples are read in fp32 unless another precision is asked for, so that the result does not
    depend on the machine: for a model opened in another precision, its folder is opened a second
    time meanwhile. Once the heads are selected, a dozen short texts are read in bf16 and int8 too,
    for `rounding`.

    Args:
        model: an opened model, a folder, GGUF file or hub id, or None for the bundled model.
        samples, max_length, shots, corpus, seed: as in `probe.make_samples`, whose samples these
            are; `max_length` is at most the model's context. `samples="auto"` reads of 800 as many
            as it takes until all 800 would select the same heads with a confidence of 99.9 %.
        decoding: "teacher_forced" feeds the value and reads each sample once; a sample counts
            when at least half of the answer's tokens are the model's own argmax. "greedy" lets
            the model write as many tokens as the value has (an end token does not stop it); a
            sample counts when more than half of the value's words are in the text it wrote.
        fraction, count, threshold: as in `HeadScores.select`; count or threshold replaces the
            fraction.
        require_success: False counts all samples.
        precision: "fp32", or "bf16" or "int8", in which the samples take half of the time or less
            and a copied step in some hundred is told otherwise.
        keep: a file in which what was read is kept, so that a search that was interrupted goes on
            where the next one names the same file. It is left there.
        progress: show a bar on stderr.

    Raises:
        RetrievalError: no sample counts.
        ModelError: the model has no tokenizer, or lacks ids that it gives.
        ValueError: an argument is out of range.
    """
    options = {
        "samples": samples,
        "max_length": max_length,
        "shots": shots,
        "decoding": decoding,
        "corpus": _corpus_name(corpus),
        "seed": seed,
        "require_success": require_success,
        "precision": precision,
    }
    n_samples = _checked(options)
    choice = _choice(fraction, count, threshold)
    model = as_model(model, precision=precision)
    choice.number_of_heads(np.zeros((model.n_layers, model.n_heads)))
    options["max_length"] = max_length = min(max_length, model.context)
    made = iter_samples(model.tokenizer, n_samples, max_length, shots, corpus, seed)
    probe = map(partial(_fitting, model), made)
    reader = model.in_precision(precision)
    readings = _read(reader, probe, n_samples, options, choice, keep, progress)
    found = _head_scores(model, readings, options | choice.as_options())
    if not found.n_counted:
        raise RetrievalError(_no_sample_counts(readings, options), found)
    selected = found.select(**choice.as_arguments())
    exact = reader if precision == "fp32" else model.in_precision("fp32")
    moves = moves_by_rounding(exact, selected.selected)
    return replace(selected, rounding=moves)


def _checked(options: dict[str, Any]) -> int:
    """How many samples there are at the most; ValueError for an option that cannot be."""
    for name in ("max_length", "shots", "seed"):
        as_whole_number(name, options[name])
    for name, known in (("decoding", DECODINGS), ("precision", EXPLICIT_PRECISIONS)):
        if options[name] not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, not {options[name]!r}")
    samples = options["samples"]
    return MOST_SAMPLES if samples == "auto" else as_whole_number("samples", samples)


def _choice(fraction: float, count: int | None, threshold: float | None) -> Choice:
    """How to select: the default fraction gives way to a count or a threshold."""
    if count is not None:
        as_whole_number("count", count)
    by_default = fraction == DEFAULT_FRACTION and (count is not None or threshold is not None)
    return Choice.of(None if by_default else fraction, count, threshold)


def _read(
    reader: Model,
    probe: Iterator[Sample],
    n_samples: int,
    options: dict[str, Any],
    choice: Choice,
    keep: str | os.PathLike[str] | None,
    progress: bool,
) -> list[SampleReading]:
    """What the samples showed: of all, or with samples="auto" of as many as settle the choice."""
    decoding, require_success = options["decoding"], options["require_success"]
    is_auto = options["samples"] == "auto"
    enough = Settling(n_samples, choice, require_success).find if is_auto else None
    with KeptReadings(keep, reader, decoding) if keep is not None else nullcontext() as kept:
        return read_samples(
            reader,
            probe,
            n_samples,
            options["max_length"],
            decoding,
            require_success,
            progress,
            enough,
            kept,
        )


def _fitting(model: Model, sample: Sample) -> Sample:
    """The sample; ModelError where the model lacks ids that its tokenizer gives."""
    model.tokenizer.check_fits(sample.ids, model.vocab_size)
    return sample


def _head_scores(
    model: Model, readings: list[SampleReading], options: dict[str, Any]
) -> HeadScores:
    shape = (model.n_layers, model.n_heads)
    counted = [one.ratio for one in readings if one.success or not options["require_success"]]
    ratios = np.array(counted, dtype=np.float64).reshape(-1, *shape)
    n = len(ratios)
    unknown = np.full(shape, np.nan)
    return HeadScores(
        scores=ratios.mean(axis=0) if n else unknown,
        standard_error=ratios.std(axis=0, ddof=1) / math.sqrt(n) if n > 1 else unknown,
        selected=(),
        samples=len(readings),
        n_counted=n,
        success_rate=sum(one.success for one in readings) / len(readings),
        model_fingerprint=model.fingerprint,
        options=options,
        interval=bootstrap_interval(ratios, random_stream(options["seed"], 2)),
        sample_share=(ratios > 0).mean(axis=0) if n else unknown,
    )


def _no_sample_counts(readings: list[SampleReading], options: dict[str, Any]) -> str:
    enough, other = "half of the answer's tokens", ""
    if options["decoding"] == "greedy":
        enough, other = "more than half of the answer's words", "decoding='teacher_forced', "
    recall = float(np.mean([one.recall for one in readings]))
    return (
        f"no retrieval head can be told: in none of {len(readings)} samples of up to "
        f"{options['max_length']} tokens did the model get {enough} right ({recall:.1%} on "
        f"average); try {other}a shorter max_length, another model, or require_success=False"
    )


def _corpus_name(corpus: Texts | None) -> str:
    if corpus is None:
        return "bundled"
    return os.fspath(corpus) if isinstance(corpus, str | os.PathLike) else "texts"
