"""Train the language model that the package bundles, and export it.

The model is a small Llama that copies: it answers questions about an object of random keys by
attending to the value's tokens. Training goes through these stages:

1. repeated random spans alone, until they are copied;
2. spans, objects of keys and values, and text together, in short rows;
3. the same in rows as long as the context.

The learning rate warms up, stays, and decays over the last part of the budget. Example:

    python tools/train_bundled_model.py --minutes 40 --work /tmp/bundled

A run that was interrupted goes on from its last checkpoint when started again with the same
arguments. Everything but the export folder is written below `--work`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from bundled import evaluate
from bundled.card import model_card
from bundled.model import (
    Decoder,
    Shape,
    Start,
    hold_embedding,
    hold_readers,
    llama_config,
    llama_tensors,
    start_weights,
)
from bundled.optim import optimisers
from bundled.tasks import Rows
from bundled.text import Corpus, tokenise_corpus, tokenizer_config, train_tokenizer
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("spans", "objects", "text")
MASKED_SAMPLES = 20  # the controls take 20 passes over them


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add = parser.add_argument
    add("--corpus", type=Path, default=ROOT.parent / "shared" / "corpus")
    add("--work", type=Path, default=ROOT / "build" / "bundled", help="cache, checkpoint, log")
    add("--out", type=Path, default=ROOT / "attninfluence" / "bundled", help="export folder")
    add("--minutes", type=float, default=0.0, help="training time, instead of --tokens")
    add("--tokens", type=float, default=14e6, help="tokens to train on")
    add("--seed", type=int, default=0)
    add("--vocab", type=int, default=2048)
    add("--width", type=int, default=Shape.width)
    add("--layers", type=int, default=Shape.layers)
    add("--heads", type=int, default=Shape.heads)
    add("--head-dim", type=int, default=Shape.head_dim)
    add("--ffn", type=int, default=Shape.ffn)
    add("--batch", type=int, default=4096, help="tokens a step")
    add("--spans-batch", type=int, default=2048, help="tokens a step while on spans alone")
    add("--short", type=int, default=512, help="tokens a row before the rows grow")
    add("--long-share", type=float, default=0.45, help="share of the budget on full rows")
    add("--decay-share", type=float, default=0.3, help="share of the budget in decay")
    add("--mix", type=float, nargs=3, default=(0.05, 0.35, 0.60), help="spans objects text")
    add("--muon-lr", type=float, default=0.02)
    add("--embedding-lr", type=float, default=0.02)
    add("--norm-lr", type=float, default=0.01)
    add("--copy-layer", type=int, default=Start.copy_layer)
    add("--copy-heads", type=int, default=Start.copy_heads)
    add("--hold", type=float, default=0.0, help="share of the budget that keeps readers off")
    add("--check-every", type=int, default=200, help="steps between evaluations")
    add("--characters", type=int, default=9_000_000, help="corpus characters a domain")
    add("--threads", type=int, default=0)
    add("--compile", action=argparse.BooleanOptionalAction, default=True)
    add("--export-only", action="store_true", help="evaluate and export the last checkpoint")
    add("--samples", type=int, default=100, help="probe samples of the final evaluation")
    add("--documents", type=int, default=60, help="documents a domain of the final evaluation")
    return parser.parse_args()


def prepare(args: argparse.Namespace) -> tuple[Tokenizer, Corpus]:
    """Train the tokenizer and tokenise the corpus, or read both from the cache."""
    args.work.mkdir(parents=True, exist_ok=True)
    tokenizer_file, ids_file = args.work / "tokenizer.json", args.work / "corpus.npz"
    if not tokenizer_file.exists():
        train_tokenizer(args.corpus, args.vocab, 3_000_000).save(str(tokenizer_file))
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    if not ids_file.exists():
        tokenise_corpus(args.corpus, tokenizer, args.characters).save(ids_file)
    return tokenizer, Corpus.load(ids_file)


class Run:
    """The state of a training run."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.tokenizer, self.corpus = prepare(args)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.shape = Shape(
            vocab=args.vocab,
            width=args.width,
            layers=args.layers,
            heads=args.heads,
            head_dim=args.head_dim,
            ffn=args.ffn,
        )
        self.start = Start(copy_layer=args.copy_layer, copy_heads=args.copy_heads)
        self.model = Decoder(self.shape)
        start_weights(self.model, self.start, args.seed)
        self.model.to(self.device)
        self.optimisers = optimisers(self.model, args.muon_lr, args.embedding_lr, args.norm_lr)
        self.rows = Rows(self.corpus, self.tokenizer, np.random.default_rng(args.seed))
        self.tokens = self.step = 0
        self.seconds = 0.0
        self.spans_until = -1.0  # progress at which spans alone ended
        self.kind_losses: dict[str, list[float]] = defaultdict(list)

    @property
    def progress(self) -> float:
        """Share of the budget that is used."""
        if self.args.minutes:
            return self.seconds / (60 * self.args.minutes)
        return self.tokens / self.args.tokens

    @property
    def row_length(self) -> int:
        """Tokens a row at this moment."""
        long = self.progress >= 1 - self.args.long_share
        return self.shape.context if long else self.args.short

    def rate(self) -> float:
        """Share of the full learning rate: warm-up, plateau, linear decay."""
        warm = min(1.0, (self.step + 1) / 10)
        return max(0.0, min(warm, (1 - self.progress) / self.args.decay_share))

    def kinds(self, rows: int) -> list[str]:
        """The kind of every row of a batch."""
        if self.spans_until < 0:
            return ["spans"] * rows
        # Evenly spaced picks from one random start: less noise than independent ones.
        places = (np.arange(rows) + self.rows.rng.random()) / rows
        ends = np.cumsum(self.args.mix) / np.sum(self.args.mix)
        return [KINDS[min(int(i), len(KINDS) - 1)] for i in np.searchsorted(ends, places)]

    def train_step(self, forward: object) -> float:
        """One batch, one update; returns the loss."""
        began = time.monotonic()
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * self.rate()
        length = self.row_length
        size = self.args.spans_batch if self.spans_until < 0 else self.args.batch
        kinds = self.kinds(size // length)
        ids, counts = (
            torch.from_numpy(a).to(self.device) for a in self.rows.batch(kinds, length + 1)
        )
        with torch.autocast(self.device.type, torch.bfloat16):
            logits = forward(ids[:, :-1])
        losses = F.cross_entropy(
            logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
        ).view(len(ids), -1)
        weights = counts[:, 1:].float()
        loss = (losses * weights).sum() / weights.sum()
        loss.backward()
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        hold_embedding(self.model, self.start)
        if self.spans_until < 0 or self.progress < self.args.hold:
            hold_readers(self.model)
        self._note(kinds, losses.detach() * weights, weights)
        self.tokens += size
        self.step += 1
        self.seconds += time.monotonic() - began
        return loss.item()

    def _note(self, kinds: list[str], losses: Tensor, weights: Tensor) -> None:
        means = (losses.sum(1) / weights.sum(1).clamp_min(1)).tolist()
        for kind, mean in zip(kinds, means, strict=True):
            self.kind_losses[kind].append(mean)

    def log(self, record: dict[str, object]) -> None:
        """Append a record to the log and print it."""
        state = {
            "step": self.step,
            "tokens": self.tokens,
            "minutes": round(self.seconds / 60, 2),
            "progress": round(self.progress, 3),
        }
        line = json.dumps(state | record)
        with open(self.args.work / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line, flush=True)

    def check(self, samples: list[evaluate.Sample]) -> None:
        """Log the losses of the last steps, the copying, and a small probe."""
        losses = {k: round(float(np.mean(v)), 3) for k, v in self.kind_losses.items()}
        self.kind_losses.clear()
        copying = evaluate.offset_masses(self.model, self.args.vocab, self.args.seed)
        record = {"loss": losses, "copying": copying, "lr": round(self.rate(), 3)}
        if self.spans_until >= 0:
            probe = evaluate.run_probe(self.model, samples)
            heads = evaluate.best_heads(probe.scores, 5)
            record["probe"] = {
                "tokens": round(probe.lengths),
                "success": round(probe.success, 3),
                "accuracy": round(probe.token_accuracy, 3),
                "first": round(probe.first_accuracy, 3),
                "heads": [f"{la}.{h}={probe.scores[la, h]:.2f}" for la, h in heads],
                "inside": [f"{la}.{h}={probe.inside[la, h]:.2f}" for la, h in heads],
            }
        elif copying["copied"] >= 0.9 or self.progress > 0.2:
            self.spans_until = self.progress
        self.log(record)
        self.save()

    def save(self) -> None:
        """Write the checkpoint."""
        state = {
            "model": self.model.state_dict(),
            "optimisers": [o.state_dict() for o in self.optimisers],
            "rng": self.rows.rng.bit_generator.state,
            "counters": (self.tokens, self.step, self.seconds, self.spans_until),
        }
        path = self.args.work / "checkpoint.pt"
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def resume(self) -> None:
        """Read the checkpoint if there is one."""
        path = self.args.work / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self.device, weights_only=False)
        self.model.load_state_dict(state["model"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.rows.rng.bit_generator.state = state["rng"]
        self.tokens, self.step, self.seconds, self.spans_until = state["counters"]

    def train(self) -> None:
        """Train until the budget is used."""
        forward = torch.compile(self.model, dynamic=False) if self.args.compile else self.model
        while self.progress < 1:
            self.train_step(forward)
            every = 10 if self.spans_until < 0 else self.args.check_every
            if self.step % every == 0:
                self.check(self.samples(10, self.row_length))
        self.check(self.samples(30, self.shape.context))

    def samples(self, n: int, length: int) -> list[evaluate.Sample]:
        """Held-out probe samples; the same ones for the same arguments."""
        # Four pairs with keys of 32 characters and as many questions need some 500 tokens.
        rows = Rows(self.corpus, self.tokenizer, np.random.default_rng(self.args.seed + 1))
        values = self.corpus.held_out_values
        return evaluate.probe_samples(rows, values, max(length, 640), n)


def final_evaluation(run: Run) -> dict[str, object]:
    """Every number the model card gives, on the weights as exported (rounded to bf16)."""
    model = Decoder(run.shape)
    rounded = {k: v.to("cpu", torch.bfloat16).float() for k, v in run.model.state_dict().items()}
    model.load_state_dict(rounded)
    samples = run.samples(run.args.samples, run.shape.context)
    probe = evaluate.run_probe(model, samples)
    chosen = evaluate.best_heads(probe.scores, evaluate.selected(run.shape.n_heads))
    few = samples[:MASKED_SAMPLES]
    base = evaluate.answer_loss(model, few, [])
    rise = evaluate.answer_loss(model, few, chosen) - base
    controls = [
        evaluate.answer_loss(model, few, heads) - base
        for heads in evaluate.control_sets(model, chosen, 20, run.args.seed)
    ]
    top = evaluate.best_heads(probe.scores, 6)
    return {
        "samples": len(samples),
        "tokens_a_sample": round(probe.lengths, 1),
        "success": probe.success,
        "answer_tokens_right": probe.token_accuracy,
        "first_answer_token_right": probe.first_accuracy,
        "answer_loss": probe.answer_loss,
        "scores": {f"{la}.{h}": round(float(probe.scores[la, h]), 4) for la, h in top},
        "masked_heads": [f"{la}.{h}" for la, h in chosen],
        "masked_samples": len(few),
        "masked_base_loss": base,
        "masked_rise": rise,
        "control_rise_median": float(np.median(controls)),
        "control_rises": [round(c, 4) for c in sorted(controls)],
        "copying": evaluate.offset_masses(model, run.args.vocab, run.args.seed),
        "text": evaluate.text_losses(
            model, run.corpus.held_out_documents, run.rows.bos, run.args.documents
        ),
    }


def export(run: Run) -> None:
    """Write the folder that the package bundles, without the model card."""
    out = run.args.out
    out.mkdir(parents=True, exist_ok=True)
    save_file(llama_tensors(run.model), out / "model.safetensors", metadata={"format": "pt"})
    config = llama_config(run.shape, run.rows.bos)
    settings = tokenizer_config(run.shape.context)
    for name, content in (("config.json", config), ("tokenizer_config.json", settings)):
        (out / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    run.tokenizer.save(str(out / "tokenizer.json"))
    (out / "model.safetensors").chmod(0o644)


def write_card(run: Run, metrics: dict[str, object]) -> None:
    """Write MODEL_CARD.md from the log and the final metrics."""
    on_gpu = run.device.type == "cuda"
    device = "one GPU" if on_gpu else f"{torch.get_num_threads()} CPU cores"
    log = run.args.work / "log.jsonl"
    text = model_card(metrics, log, run.shape, run.start, vars(run.args), device)
    (run.args.out / "MODEL_CARD.md").write_text(text, encoding="utf-8")


def main() -> None:
    """Train, evaluate, export."""
    args = arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    run = Run(args)
    run.resume()
    if not args.export_only:
        parameters = sum(p.numel() for p in run.model.parameters())
        run.log({"parameters": parameters, "shape": asdict(run.shape)})
        run.train()
    export(run)
    metrics = final_evaluation(run)
    (args.work / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    run.log({"final": metrics})
    write_card(run, metrics)


if __name__ == "__main__":
    main()
