"""Probe samples read by a model: which heads copied, and whether it answered."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attninfluence.base.progress import ProgressBar
from attninfluence.probe.samples import Sample
from attninfluence.retrieval.kept import KeptReadings
from attninfluence.retrieval.reading import SampleReading

if TYPE_CHECKING:
    from attninfluence.model.model import Model

# Tokens a thread reads in one call; between calls progress shows.
TOKENS_A_THREAD = 8192


def read_samples(
    model: Model,
    probe: Iterator[Sample],
    n_samples: int,
    max_length: int,
    decoding: str,
    require_success: bool,
    progress: bool,
    enough: Callable[[list[SampleReading]], int | None] | None = None,
    kept: KeptReadings | None = None,
) -> list[SampleReading]:
    """Reads the samples in batches of a bounded number of tokens.

    enough: told of all readings after each batch; once it gives a number, so many are returned.
    kept: gives the readings that it has and keeps the others.
    """
    read = _read_teacher_forced if decoding == "teacher_forced" else _read_greedy
    batch_size = model.threads * max(1, TOKENS_A_THREAD // max_length)
    readings: list[SampleReading] = []
    total = np.zeros((model.n_layers, model.n_heads))
    counted = 0
    with ProgressBar("heads", total=n_samples, unit="sample", enabled=progress) as bar:
        while batch := list(islice(probe, batch_size)):
            fresh = kept.read(batch, partial(read, model)) if kept else read(model, batch)
            readings += fresh
            for reading in fresh:
                if reading.success or not require_success:
                    counted += 1
                    total += reading.ratio
            bar.update(len(batch), note=_so_far(total, counted))
            n_enough = None if enough is None else enough(readings)
            if n_enough is not None:
                return readings[:n_enough]
    return readings


def _so_far(total: NDArray[np.float64], counted: int) -> str:
    if not counted:
        return "0 counted"
    layer, head = divmod(int(total.argmax()), total.shape[1])
    return f"{counted} counted, best ({layer}, {head}) {total[layer, head] / counted:.2f}"


def _read_teacher_forced(model: Model, samples: list[Sample]) -> list[SampleReading]:
    copies, predicted = _copies(model, samples, [sample.ids for sample in samples])
    readings = []
    for sample, counts, argmax in zip(samples, copies, predicted, strict=True):
        recall = float(np.mean(argmax == sample.ids[slice(*sample.answer)]))
        readings.append(SampleReading(counts / len(argmax), recall, recall >= 0.5))
    return readings


def _read_greedy(model: Model, samples: list[Sample]) -> list[SampleReading]:
    texts, copies = _generate(model, samples)
    readings = []
    for sample, ids, counts in zip(samples, texts, copies, strict=True):
        written = model.tokenizer.decode(ids[slice(*sample.answer)])
        recall = rouge1_recall(written, sample.value)
        ratio = counts / (sample.answer[1] - sample.answer[0])
        readings.append(SampleReading(ratio, recall, recall > 0.5))
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
