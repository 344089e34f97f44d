"""Retrieval heads: finding them, choosing among them, keeping them (METHOD.md section 2).

A head copies at the step that predicts answer token w when the largest weight of that step's
attention row lies in the needle, on w. Its retrieval score is the share of such steps, the mean
over the samples that the model answers. The heads with the highest scores are masked by `score`.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attninfluence._core import ModelError
from attninfluence.base.progress import ProgressBar
from attninfluence.base.whole_number import as_whole_number
from attninfluence.bootstrap import bootstrap_interval
from attninfluence.head_scores import Head, HeadScores, Selection, checked_pairs
from attninfluence.probe.samples import Sample, iter_samples
from attninfluence.probe.sentences import Corpus

if TYPE_CHECKING:
    from attninfluence.model import Model

__all__ = [
    "DECODINGS",
    "Head",
    "HeadScores",
    "Heads",
    "RetrievalError",
    "as_head_list",
    "find_retrieval_heads",
    "rouge1_recall",
]

Heads = HeadScores | str | os.PathLike[str] | Iterable[Sequence[int]]

DECODINGS = ("teacher_forced", "greedy")
DEFAULT_FRACTION = 0.05

# Tokens a thread reads in one call; between calls progress shows.
TOKENS_A_THREAD = 8192


class RetrievalError(ValueError):
    """No sample counts, so that no head can be told from another.

    Attributes:
        result: the `HeadScores` that could be said: every score NaN and nothing selected.
    """

    def __init__(self, message: str, result: HeadScores) -> None:
        super().__init__(message)
        self.result = result


def find_retrieval_heads(
    model: Model | str | os.PathLike[str] | None = None,
    samples: int = 800,
    max_length: int = 4096,
    shots: int = 3,
    decoding: str = "teacher_forced",
    fraction: float = DEFAULT_FRACTION,
    count: int | None = None,
    threshold: float | None = None,
    corpus: Corpus | None = None,
    seed: int = 0,
    require_success: bool = True,
    progress: bool = True,
) -> HeadScores:
    """Scores every head on the probe task and selects the best (METHOD.md section 2).

    The samples are always read in fp32, so that the result does not depend on the machine: for a
    model opened in another precision, its folder is opened a second time in fp32 meanwhile.

    Args:
        model: an opened model, a path or hub id, or None for the bundled model.
        samples, max_length, shots, corpus, seed: as in `probe.make_samples`, whose samples these
            are; `max_length` is at most the model's context.
        decoding: "teacher_forced" feeds the value and reads each sample once; a sample counts
            when at least half of the answer's tokens are the model's own argmax. "greedy" lets
            the model write as many tokens as the value has (an end token does not stop it); a
            sample counts when more than half of the value's words are in the text it wrote.
        fraction, count, threshold: as in `HeadScores.select`; count or threshold replaces the
            fraction.
        require_success: False counts all samples.
        progress: show a bar on stderr.

    Raises:
        RetrievalError: no sample counts.
        ModelError: the model has no tokenizer.
        ValueError: an argument is out of range.
    """
    from attninfluence.model import as_model

    whole = {"samples": samples, "max_length": max_length, "shots": shots, "seed": seed}
    for name, value in (whole | ({} if count is None else {"count": count})).items():
        as_whole_number(name, value)
    if decoding not in DECODINGS:
        raise ValueError(f"decoding must be one of {', '.join(DECODINGS)}, not {decoding!r}")
    by_default = fraction == DEFAULT_FRACTION and (count is not None or threshold is not None)
    selection = Selection.of(None if by_default else fraction, count, threshold)
    model = as_model(model, precision="fp32")
    selection.number_of_heads(np.zeros((model.n_layers, model.n_heads)))
    max_length = min(max_length, model.context)
    probe = iter_samples(model.tokenizer, samples, max_length, shots, corpus, seed)
    reader = model.in_fp32()
    readings = _read_all(reader, probe, samples, max_length, decoding, require_success, progress)
    options = {
        "samples": samples,
        "max_length": max_length,
        "shots": shots,
        "decoding": decoding,
        "corpus": _corpus_name(corpus),
        "seed": seed,
        "require_success": require_success,
        **selection.as_options(),
    }
    found = _head_scores(model, readings, options, require_success)
    if not found.n_counted:
        raise RetrievalError(_no_sample_counts(readings, options), found)
    return found.select(**selection.as_arguments())


def as_head_list(heads: Heads | None, model: Model) -> tuple[Head, ...]:
    """The (layer, head) pairs that `heads` means for `model`.

    Args:
        heads: a `HeadScores`, the path of a heads.json, pairs, or None for the heads.json in the
            model's folder.

    Raises:
        ModelError: the model's folder has no heads.json, or the heads are another model's.
        ValueError: a pair is not two integers, is out of range or occurs twice, or none of a
            `HeadScores` is selected.
    """
    if heads is None:
        heads = model.heads
        if heads is None:
            raise ModelError(
                f"{model.path!r} has no heads.json: find the heads once with "
                "attninfluence.find_retrieval_heads(model), or `attninfluence heads`, "
                "and give them as heads= (--heads)"
            )
    elif isinstance(heads, str | os.PathLike):
        heads = HeadScores.load(heads)
    if not isinstance(heads, HeadScores):
        return checked_pairs(heads, (model.n_layers, model.n_heads), "the model")
    _check_belongs(heads, model)
    if not heads.selected:
        raise ValueError(
            f"no head is selected among the {heads.scores.size} of these scores: select some with "
            "HeadScores.select(fraction=, count= or threshold=)"
        )
    return heads.selected


def _check_belongs(heads: HeadScores, model: Model) -> None:
    shape = (model.n_layers, model.n_heads)
    if heads.scores.shape == shape and heads.model_fingerprint == model.fingerprint:
        return
    layers, width = heads.scores.shape
    raise ModelError(
        f"these are heads of another model: they were found in {heads.model_fingerprint[:12]} of "
        f"{layers} layers of {width} heads, and {model.path!r} is {model.fingerprint[:12]} of "
        f"{shape[0]} layers of {shape[1]} heads; find its own with `attninfluence heads`"
    )


@dataclass(frozen=True)
class _Reading:
    """What one sample showed.

    ratio: float64[layers, heads], steps copied / answer tokens.
    recall: share of the answer's tokens (teacher forced) or words (greedy) that were right.
    success: whether the recall is enough.
    """

    ratio: NDArray[np.float64]
    recall: float
    success: bool


def _read_all(
    model: Model,
    probe: Iterator[Sample],
    n_samples: int,
    max_length: int,
    decoding: str,
    require_success: bool,
    progress: bool,
) -> list[_Reading]:
    """Reads the samples in batches of a bounded number of tokens."""
    read = _read_teacher_forced if decoding == "teacher_forced" else _read_greedy
    batch_size = model.threads * max(1, TOKENS_A_THREAD // max_length)
    readings: list[_Reading] = []
    total = np.zeros((model.n_layers, model.n_heads))
    counted = 0
    with ProgressBar("heads", total=n_samples, unit="sample", enabled=progress) as bar:
        while batch := list(islice(probe, batch_size)):
            fresh = read(model, batch)
            readings += fresh
            for reading in fresh:
                if reading.success or not require_success:
                    counted += 1
                    total += reading.ratio
            bar.update(len(batch), note=_so_far(total, counted))
    return readings


def _so_far(total: NDArray[np.float64], counted: int) -> str:
    if not counted:
        return "0 counted"
    layer, head = divmod(int(total.argmax()), total.shape[1])
    return f"{counted} counted, best ({layer}, {head}) {total[layer, head] / counted:.2f}"


def _read_teacher_forced(model: Model, samples: list[Sample]) -> list[_Reading]:
    copies, predicted = _copies(model, samples, [sample.ids for sample in samples])
    readings = []
    for sample, counts, argmax in zip(samples, copies, predicted, strict=True):
        recall = float(np.mean(argmax == sample.ids[slice(*sample.answer)]))
        readings.append(_Reading(counts / len(argmax), recall, recall >= 0.5))
    return readings


def _read_greedy(model: Model, samples: list[Sample]) -> list[_Reading]:
    texts, copies = _generate(model, samples)
    readings = []
    for sample, ids, counts in zip(samples, texts, copies, strict=True):
        written = model.tokenizer.decode(ids[slice(*sample.answer)])
        recall = rouge1_recall(written, sample.value)
        ratio = counts / (sample.answer[1] - sample.answer[0])
        readings.append(_Reading(ratio, recall, recall > 0.5))
    return readings


def _generate(
    model: Model, samples: list[Sample]
) -> tuple[list[NDArray[np.int32]], NDArray[np.int32]]:
    """Prompts with the model's own answers, and the copies made while it wrote them.

    Exact greedy decoding without a cache of keys and values: guess a whole answer (the value at
    first), read it, and put the argmax of every step in its place, until it is what was fed. A
    step's argmax is the greedy token once all before it are, so each pass settles at least one
    more token; an answer that the model copies well is settled by the second pass.
    """
    texts = [sample.ids.copy() for sample in samples]
    copies = np.empty((len(samples), model.n_layers, model.n_heads), dtype=np.int32)
    unsettled = list(range(len(samples)))
    while unsettled:
        fed = [texts[index] for index in unsettled]
        counts, predicted = _copies(model, [samples[index] for index in unsettled], fed)
        remaining = []
        for row, index in enumerate(unsettled):
            answer = texts[index][slice(*samples[index].answer)]
            if np.array_equal(answer, predicted[row]):
                copies[index] = counts[row]
            else:
                answer[:] = predicted[row]
                remaining.append(index)
        unsettled = remaining
    return texts, copies


def _copies(
    model: Model, samples: list[Sample], ids: list[NDArray[np.int32]]
) -> tuple[NDArray[np.int32], list[NDArray[np.int32]]]:
    answers = [sample.answer for sample in samples]
    needles = [sample.needle for sample in samples]
    return model.core.copies(ids, answers, needles, n_threads=model.threads)


def rouge1_recall(written: str, wanted: str) -> float:
    """The share of the wanted words that were written, each as often as it is there, 0..1.

    Words are runs of letters and digits, in lower case, as in the rouge_score package that
    Wu et al. used, but in any script. 0.0 when no word is wanted.
    """
    wanted_words, written_words = _words(wanted), _words(written)
    n_wanted = wanted_words.total()
    return (wanted_words & written_words).total() / n_wanted if n_wanted else 0.0


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"[^\W_]+", text.lower()))


def _head_scores(
    model: Model, readings: list[_Reading], options: dict[str, Any], require_success: bool
) -> HeadScores:
    shape = (model.n_layers, model.n_heads)
    counted = [one.ratio for one in readings if one.success or not require_success]
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
        interval=bootstrap_interval(ratios, _resampling(options["seed"])),
        sample_share=(ratios > 0).mean(axis=0) if n else unknown,
    )


def _resampling(seed: int) -> np.random.Generator:
    """A stream of random numbers beside those of the samples (streams 0 and 1 of the seed)."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))


def _no_sample_counts(readings: list[_Reading], options: dict[str, Any]) -> str:
    enough, other = "half of the answer's tokens", ""
    if options["decoding"] == "greedy":
        enough, other = "more than half of the answer's words", "decoding='teacher_forced', "
    recall = float(np.mean([one.recall for one in readings]))
    return (
        f"no retrieval head can be told: in none of {len(readings)} samples of up to "
        f"{options['max_length']} tokens did the model get {enough} right ({recall:.1%} on "
        f"average); try {other}a shorter max_length, another model, or require_success=False"
    )


def _corpus_name(corpus: Corpus | None) -> str:
    if corpus is None:
        return "bundled"
    return os.fspath(corpus) if isinstance(corpus, str | os.PathLike) else "texts"
