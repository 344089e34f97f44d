"""What the model can do: the probe task, its retrieval heads, and the loss on text."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .model import Decoder, Head
from .tasks import PROBE_FORM, Rows, random_key

SHOTS = 3
KEY_LENGTH = 32


@dataclass(frozen=True)
class Sample:
    """One probe sample: the ids, where the needle begins, and where the answer begins."""

    ids: list[int]
    needle: int
    answer: int

    @property
    def size(self) -> int:
        """Tokens of the answer, which are those of the needle."""
        return len(self.ids) - self.answer


def probe_sample(rows: Rows, values: list[np.ndarray], context: int) -> Sample:
    """An object as large as the context lets it be, solved demonstrations, and one question."""
    # More pairs than any context holds: a key of 32 characters alone takes over 20 tokens.
    most = context // 30
    keys = [random_key(rows.rng, KEY_LENGTH) for _ in range(most)]
    order = rows.rng.permutation(len(values))[:most]
    sentences = [values[int(i)].tolist() for i in order]
    for size in range(most, SHOTS, -1):
        asked = rows.rng.permutation(size)[: SHOTS + 1].tolist()
        sample = _assemble(rows, keys[:size], sentences[:size], asked)
        if len(sample.ids) <= context:
            return sample
    raise ValueError(f"no sample fits {context} tokens")


def _assemble(rows: Rows, keys: list[str], sentences: list[list[int]], asked: list[int]) -> Sample:
    """Join the pieces; the last of `asked` is the question, those before are solved."""
    form = PROBE_FORM
    between = rows.piece(form.after_value + form.between)
    last = rows.piece(form.after_value + form.after_object.format())
    ids, places = [rows.bos, *rows.piece(form.instruction.format())], []
    for i, (key, sentence) in enumerate(zip(keys, sentences, strict=True)):
        ids += rows.encode(form.before_value.format(key))
        places.append(len(ids))
        ids += sentence + (last if i == len(keys) - 1 else between)
    *shown, query = asked
    for i in shown:
        ids += rows.encode(form.question.format(keys[i])) + sentences[i]
        ids += rows.piece(form.after_answer)
    ids += rows.encode(form.question.format(keys[query]))
    return Sample(ids + sentences[query], places[query], len(ids))


def probe_samples(rows: Rows, values: list[np.ndarray], context: int, n: int) -> list[Sample]:
    """`n` samples whose values are different sentences within a sample."""
    return [probe_sample(rows, values, context) for _ in range(n)]


@dataclass
class Probe:
    """Measurements over samples; scores are [layers, heads] over the samples that count."""

    success: float
    token_accuracy: float
    first_accuracy: float
    answer_loss: float
    scores: Tensor
    inside: Tensor  # share of steps whose largest weight lies in the needle, whatever the token
    lengths: float


class _Copies:
    """Collects, for one sample, each head's share of steps that look into the needle."""

    def __init__(self, model: Decoder, sample: Sample) -> None:
        self.sample = sample
        self.ids = torch.tensor(sample.ids, device=model.device)
        # The rows that predict the answer's tokens, not those of the tokens themselves.
        self.t = torch.arange(sample.answer - 1, len(sample.ids) - 1, device=model.device)
        self.copied = torch.zeros(model.shape.layers, model.shape.heads, dtype=torch.float64)
        self.inside = torch.zeros_like(self.copied)

    def __call__(self, layer: int, weights: Tensor) -> None:
        needle = self.sample.needle
        best = weights[0][:, self.t].argmax(-1)  # the smallest j among equals
        hit = (best >= needle) & (best < needle + self.sample.size)
        same = self.ids[best] == self.ids[self.t + 1]
        self.copied[layer] = (hit & same).double().mean(-1)
        self.inside[layer] = hit.double().mean(-1)


@torch.no_grad()
def run_probe(model: Decoder, samples: list[Sample]) -> Probe:
    """Success, losses and retrieval scores, teacher forced.

    A sample counts when at least half of its answer tokens are the model's own argmax. A head
    copies at a step when its largest weight lies on a place of the needle that holds the token
    to be predicted; its score is the share of such steps, averaged over the samples that count.
    """
    scores = torch.zeros(model.shape.layers, model.shape.heads, dtype=torch.float64)
    inside = torch.zeros_like(scores)
    right, steps, first, losses, counting = 0, 0, 0, 0.0, 0
    for sample in samples:
        copies = _Copies(model, sample)
        logits = model(copies.ids[None], (), copies)[0, copies.t]
        target = copies.ids[copies.t + 1]
        correct = logits.argmax(-1) == target
        right += int(correct.sum())
        steps += sample.size
        first += int(correct[0])
        losses += F.cross_entropy(logits, target).item()
        if 2 * int(correct.sum()) >= sample.size:
            counting += 1
            scores += copies.copied
            inside += copies.inside
    n, counted = len(samples), max(1, counting)
    lengths = sum(len(s.ids) for s in samples) / n
    return Probe(
        success=counting / n,
        token_accuracy=right / steps,
        first_accuracy=first / n,
        answer_loss=losses / n,
        scores=scores / counted,
        inside=inside / counted,
        lengths=lengths,
    )


def best_heads(scores: Tensor, n: int) -> list[Head]:
    """The `n` heads of highest score, ties by (layer, head)."""
    flat = scores.flatten().tolist()
    order = sorted(range(len(flat)), key=lambda i: (-flat[i], i))
    return [(i // scores.shape[1], i % scores.shape[1]) for i in order[:n]]


def selected(shape_heads: int, percent: int = 5) -> int:
    """ceil(heads * percent / 100)."""
    return -(-shape_heads * percent // 100)


@torch.no_grad()
def answer_loss(model: Decoder, samples: list[Sample], masked: list[Head]) -> float:
    """Mean over samples of the answer's mean loss with some heads masked."""
    total = 0.0
    for sample in samples:
        ids = torch.tensor([sample.ids], device=model.device)
        logits = model(ids, masked)[0, sample.answer - 1 : -1]
        total += F.cross_entropy(logits, ids[0, sample.answer :]).item()
    return total / len(samples)


def control_sets(model: Decoder, avoid: list[Head], sets: int, seed: int) -> list[list[Head]]:
    """Random head sets as large as `avoid` that share no head with it."""
    rng = np.random.default_rng(seed)
    shape = model.shape
    free = [(la, h) for la in range(shape.layers) for h in range(shape.heads)]
    free = [head for head in free if head not in avoid]
    return [
        [free[i] for i in rng.choice(len(free), len(avoid), replace=False)] for _ in range(sets)
    ]


@torch.no_grad()
def text_losses(
    model: Decoder, documents: dict[str, list[tuple[np.ndarray, int]]], bos: int, limit: int
) -> dict[str, dict[str, float]]:
    """Loss by domain: nats a token and bits a byte, over documents cut at the context."""
    result = {}
    for domain, held in documents.items():
        nats, tokens, bytes_ = 0.0, 0, 0.0
        for ids, size in held[:limit]:
            cut = ids[: model.shape.context - 1]
            row = torch.tensor([[bos, *cut.tolist()]], device=model.device)
            loss = F.cross_entropy(model(row)[0, :-1], row[0, 1:], reduction="sum").item()
            nats += loss
            tokens += len(cut)
            # Bytes of the part that was scored, by the document's own bytes a token.
            bytes_ += size * len(cut) / len(ids)
        result[domain] = {
            "nats_per_token": nats / tokens,
            "bits_per_byte": nats / math.log(2) / bytes_,
        }
    return result


@torch.no_grad()
def offset_masses(model: Decoder, vocab: int, seed: int, span: int = 60) -> dict[str, object]:
    """On repeated random spans: copied share, and each head's weight on and next to the token.

    `on` is the attention on the place of the token to be copied, `past` on the place after it.
    """
    rng = torch.Generator().manual_seed(seed)
    first = torch.randint(1, vocab, (8, span), generator=rng)
    filler = torch.randint(1, vocab, (8, 5), generator=rng)
    ids = torch.cat((torch.zeros(8, 1, dtype=torch.long), first, filler, first), 1)
    ids = ids.to(model.device)
    again = 1 + span + 5
    t = torch.arange(again, again + span - 1, device=model.device)
    on, past = [], []

    def watch(_layer: int, weights: Tensor) -> None:
        place = t - again + 2
        on.append(weights[:, :, t, place].mean((0, 2)).cpu())
        past.append(weights[:, :, t, place + 1].mean((0, 2)).cpu())

    logits = model(ids, (), watch)
    copied = (logits[:, t].argmax(-1) == ids[:, t + 1]).double().mean().item()
    return {"copied": copied, "on": _top(torch.stack(on)), "past": _top(torch.stack(past))}


def _top(values: Tensor, n: int = 3) -> list[str]:
    return [f"{la}.{h}={values[la, h]:.2f}" for la, h in best_heads(values, n)]
