"""The model card, filled in from the run's own log and metrics."""

from __future__ import annotations

import json
from pathlib import Path

from .model import Shape, Start
from .text import HELD_OUT

CARD = """\
---
license: apache-2.0
language: en
library_name: transformers
---

# The bundled model

A small decoder that lets `attninfluence` find retrieval heads and score texts without a download.
It shows the method at work; it is no model to judge a corpus by. `tools/train_bundled_model.py`
makes this folder.

## Architecture

LlamaForCausalLM, {parameters} parameters: {layers} layers, {heads} heads of {head_dim} a layer (as
many keys and values as queries), width {width}, feed-forward {ffn}, vocabulary {vocab}, context
{context} tokens, rotary base {theta:.0f}, embedding and output projection tied; weights in bf16.
The tokenizer is byte-level BPE trained on the same number of characters of each domain, digits one
by one, `<|bos|>` in front of every text.

## What it does

Measured on the exported bf16 weights, computing in fp32 with PyTorch, on held-out values. A probe
sample is an object of random keys of 32 characters and natural sentences of at most 30 tokens,
three solved demonstrations and one question, {tokens_a_sample:.0f} tokens on average: as many
pairs as fit into the context. The answer is teacher forced.

| measure | value |
|---|---|
| samples | {samples} |
| samples with at least half of the answer tokens right | {success:.1%} |
| answer tokens right | {answer_tokens_right:.1%} |
| first answer token right | {first_answer_token_right:.1%} |
| loss of the answer, nats a token | {answer_loss:.3f} |
| retrieval scores of the best heads (layer.head) | {scores} |
| retrieval heads (5 % of {n_heads}, rounded up) | {masked} |
| rise of the answer's loss, these masked (uniform), {masked_samples} samples | {masked_rise:.2f} |
| the same for {controls} random sets of other heads | {control} |

Loss on {documents} held-out documents a domain, cut at the context:

| domain | nats a token | bits a byte |
|---|---|---|
{text}

## Recipe

- Data: a corpus of six domains (below), the same number of characters of each where it has as many
  (at most {characters} a domain), about {held_out:.0%} of the documents held out by a hash of their
  id; and two synthetic kinds of rows: repeated spans of random tokens, and objects of random keys
  with questions about them, in the probe's form (half of them) and in others.
- {tokens:.2f} M tokens in {minutes:.0f} minutes of wall clock on {device}, bf16 autocast.
  Repeated spans alone until 90 % of the tokens were copied ({spans_tokens:.2f} M tokens), then
  {mix}. Rows of {short} tokens, then of {context} for the last {long_share:.0%} of the budget. The
  loss counts where the next token can be known: not on random keys, nor on a span's first
  appearance.
- Muon ({muon_lr:g}) for the matrices of the layers, AdamW for embeddings ({embedding_lr:g}) and
  norms ({norm_lr:g}), {batch} tokens a step ({spans_batch} while on spans alone); 10 steps of
  warm-up, a plateau, linear decay to zero over the last {decay_share:.0%}. Seed {seed}.

Training loss by kind of row (mean since the line before), and the probe of the moment:

| tokens, M | row | spans | objects | text | answer tokens right | best score |
|---|---|---|---|---|---|---|
{curve}

## The start

Not everything starts random, so that retrieval heads form within minutes on a CPU:

- The residual stream is divided. Embeddings use {content} coordinates, are the constant
  {constant:g} on one, and are zero on the other {match}; that is kept so during the whole training.
- {shift_heads} head of layer 0 starts as a previous-token head: query and key read the constant
  alone and peak one position back on the {shift_frequencies} fastest rotary frequencies; it writes
  the token before into the {match} coordinates that embeddings leave empty.
- {copy_heads} heads of layer {copy_layer} start with value and output projections that carry the
  embedding of whatever they attend to towards the output (a projector on the coordinates of the
  embeddings, times {copy_scale:g}). **Where they attend is learnt**: their queries and keys start
  random, like those of all heads but the one of layer 0. All other output and down projections
  start at zero.
- While training on repeated spans alone, values and feed-forward layers cannot read the {match}
  coordinates, which then serve matching only. Afterwards they may.

So *which* heads become the retrieval heads is decided by the start; *that* they find the place to
copy from is learnt. Without the division, models started with previous-token heads learn to copy
from one position past the copied token, where its shifted copy lies, and have no retrieval heads
by definition. Here the attention is on the token itself: on repeated random spans the mean weight
on it is {on}, and one position past it {past}, for the heads where each is largest.

## Data and licences

No text of the corpus is part of the package. Domains: math (GSM8K training split, MIT), code
(CPython 3.11 and Python packages; PSF-2.0, BSD-3-Clause, MIT, Apache-2.0), docs (documentation of
Python and open-source projects, proposals, US government guides; PSF-2.0, BSD-3-Clause, MIT,
Apache-2.0, CC0-1.0, public domain), prose (Standard Ebooks and Shakespeare; public domain in the
US, markup CC0-1.0), encyclopedic (World Factbook, Encyclopaedia Britannica of 1810, Jargon File,
an elements database; public domain, CC0-1.0), noisy (commit messages, release notes, minutes and
newsletters of open-source projects; BSD-3-Clause, MIT, Apache-2.0).

## Limits

- A small model trained for minutes: it writes no sensible text, and its losses are high. Its scores
  rank texts by how much this model leans on copying, not by how a model of size would.
- Where the first answer token (above) is often wrong, the model does not find the value by its key
  yet, but copies on from the tokens that teacher forcing shows it. Generated answers then fail.
- The probe's form was trained on; its keys were not. Its sentences come from held-out documents
  (about 1 % of them occur in training documents too). Other forms of the task were trained on as
  well, but not measured one by one.
- Held-out documents can be neighbours of training documents from the same file.
- One run with one seed. English, Python and markup only.
"""


SETTINGS = (
    *("layers", "heads", "head_dim", "width", "ffn", "vocab", "short", "long_share"),
    *("decay_share", "batch", "spans_batch", "muon_lr", "embedding_lr", "norm_lr", "seed"),
    *("copy_layer", "copy_heads", "documents"),
)


def _short(values: list[str]) -> str:
    return ", ".join(value.replace("=", " ") for value in values[:2])


def _curve(log: list[dict], short: int, context: int, long_share: float) -> str:
    lines = []
    for record in log:
        loss, probe = record["loss"], record.get("probe", {})
        cells = [f"{record['tokens'] / 1e6:.2f}"]
        cells.append(str(context if record["progress"] >= 1 - long_share else short))
        cells += [f"{loss[kind]:.2f}" if kind in loss else "" for kind in ("spans", "objects")]
        cells.append(f"{loss['text']:.2f}" if "text" in loss else "")
        cells.append(f"{probe['accuracy']:.2f}" if probe else "")
        cells.append(probe["heads"][0].replace("=", " ") if probe else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def model_card(
    metrics: dict, log_file: Path, shape: Shape, start: Start, settings: dict, device: str
) -> str:
    """The text of MODEL_CARD.md."""
    records = [json.loads(line) for line in log_file.read_text().splitlines()]
    log = [record for record in records if "loss" in record]
    parameters = next(record["parameters"] for record in records if "parameters" in record)
    spans = [record for record in log if "probe" not in record]
    rises = metrics["control_rises"]
    text = "\n".join(
        f"| {domain} | {loss['nats_per_token']:.3f} | {loss['bits_per_byte']:.3f} |"
        for domain, loss in metrics["text"].items()
    )
    # One line of the curve for every few checks is enough.
    kept = spans + [r for i, r in enumerate(log[len(spans) :]) if i % 2 == 0 or r is log[-1]]
    names = ("spans", "objects", "text")
    mix = zip(settings["mix"], names, strict=True)
    short, long_share = settings["short"], settings["long_share"]
    return CARD.format(
        **{k: settings[k] for k in SETTINGS},
        **{k: getattr(shape, k) for k in ("context", "theta", "content", "match", "n_heads")},
        **{k: getattr(start, k) for k in ("constant", "shift_heads", "shift_frequencies")},
        **{
            k: metrics[k]
            for k in (
                "tokens_a_sample",
                "success",
                "answer_tokens_right",
                "first_answer_token_right",
                "answer_loss",
                "masked_samples",
                "masked_rise",
            )
        },
        parameters=f"{parameters:,}",
        copy_scale=start.copy_scale,
        samples=metrics["samples"],
        scores=", ".join(
            f"{head}: {score:.2f}" for head, score in list(metrics["scores"].items())[:4]
        ),
        masked=", ".join(metrics["masked_heads"]),
        controls=len(rises),
        control=f"median {metrics['control_rise_median']:.2f}, {rises[0]:.2f} to {rises[-1]:.2f}",
        text=text,
        characters=f"{settings['characters']:,}",
        held_out=HELD_OUT,
        tokens=log[-1]["tokens"] / 1e6,
        minutes=log[-1]["minutes"],
        device=device,
        spans_tokens=spans[-1]["tokens"] / 1e6,
        mix=", ".join(f"{share:.0%} {name}" for share, name in mix) + " by rows",
        curve=_curve(kept, short, shape.context, long_share),
        on=_short(metrics["copying"]["on"]),
        past=_short(metrics["copying"]["past"]),
    )
