"""How far bf16 and int8 are from fp32, in losses, logits and rankings, on real text.

    python -m benchmarks.bench_precision --corpus FOLDER [--documents 1200] [--write] [--keep WORK]

FOLDER holds .jsonl or .jsonl.gz files of {"id", "domain", "text"}. Each precision reads the same
documents with the same heads masked; fp32 is what it is compared with. With --keep, what was read
is kept in WORK, and a command that was killed goes on from there.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attninfluence.model.chosen_heads import as_head_list
from attninfluence.scores.rounding import TOP, compare_scores, top_of
from benchmarks import results
from benchmarks.kept import Kept

if TYPE_CHECKING:
    from attninfluence import Model

Floats = NDArray[np.float64]

DOCUMENTS = 1200
LOGIT_TOKENS = 20_000
CHUNK = 64


@dataclass(frozen=True)
class Text:
    """One document, cut to the tokens that are read."""

    domain: str
    ids: NDArray[np.int32]


@dataclass(frozen=True)
class Reading:
    """What one precision made of all documents."""

    losses: list[NDArray[np.float32]]  # [2, n_tokens - 1] of each, base and reference readings

    @property
    def tokens(self) -> Floats:
        """All losses end to end."""
        return np.concatenate([rows.astype(np.float64).ravel() for rows in self.losses])

    @property
    def documents(self) -> Floats:
        """[n, 2] mean losses, base and reference."""
        return np.stack([rows.mean(axis=1, dtype=np.float64) for rows in self.losses])

    def of(self, chosen: Sequence[int]) -> Reading:
        """Of some of the documents."""
        return Reading([self.losses[at] for at in chosen])

    @property
    def scores(self) -> Floats:
        """(reference - base) / base."""
        base, reference = self.documents.T
        scores: Floats = (reference - base) / base
        return scores


def read_corpus(folder: Path) -> Iterator[tuple[str, str]]:
    """(domain, text) of every row of every file, in order."""
    for path in sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")]):
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8") as file
        ):
            for line in file:
                row = json.loads(line)
                yield row["domain"], row["text"]


def choose_texts(folder: Path, count: int) -> list[tuple[str, str]]:
    """The first rows of each domain, as many of each, `count` in all or a few more."""
    by_domain: dict[str, list[str]] = {}
    for domain, text in read_corpus(folder):
        by_domain.setdefault(domain, []).append(text)
    if not by_domain:
        raise SystemExit(f"{folder} holds no .jsonl or .jsonl.gz file with a document")
    quota = math.ceil(count / len(by_domain))
    return [(domain, text) for domain, texts in by_domain.items() for text in texts[:quota]]


def tokenize(model: Model, rows: Sequence[tuple[str, str]], length: int | None) -> list[Text]:
    """Documents of two tokens or more, cut to `length` tokens, or to the model's context."""
    encodings = model.tokenizer.encode([text for _, text in rows], offsets=False)
    cut = [encoding.ids[: length or model.context] for encoding in encodings]
    return [Text(domain, ids) for (domain, _), ids in zip(rows, cut, strict=True) if len(ids) > 1]


def read_all(
    model: Model, texts: Sequence[Text], variant: NDArray[np.bool_], kept: Kept
) -> Reading:
    """Losses of all documents, both readings."""
    losses: list[NDArray[np.float32]] = []
    for start in range(0, len(texts), CHUNK):
        ids = [text.ids for text in texts[start : start + CHUNK]]
        read = partial(model.core.run, ids, variants=variant, n_threads=model.threads)
        name = f"losses-{model.precision}-{start:05}"
        losses += kept.arrays(name, [model], [variant, *ids], read)
    return Reading(losses)


def compare_logits(
    exact: Model, model: Model, texts: Sequence[Text], kept: Kept
) -> tuple[Floats, float]:
    """KL(exact || model) of each token, and the share of tokens with the same most likely one."""
    divergences: list[Floats] = []
    same = tokens = 0
    for at, text in enumerate(texts):
        if tokens >= LOGIT_TOKENS:
            break
        compare = partial(_compare_document, exact, model, text.ids)
        name = f"logits-{model.precision}-{at:05}"
        divergence, agreed = kept.arrays(name, [exact, model], [text.ids], compare)
        divergences.append(divergence)
        same += int(agreed)
        tokens += len(divergence)
    return np.concatenate(divergences), same / tokens


def _compare_document(exact: Model, model: Model, ids: NDArray[np.int32]) -> list[NDArray[Any]]:
    wanted, found = _log_softmax(exact.logits(ids)), _log_softmax(model.logits(ids))
    agreed = (wanted.argmax(axis=1) == found.argmax(axis=1)).sum()
    return [(np.exp(wanted) * (wanted - found)).sum(axis=1), np.asarray(agreed)]


def _log_softmax(logits: NDArray[np.float32]) -> Floats:
    values = logits.astype(np.float64)
    values -= values.max(axis=1, keepdims=True)
    values -= np.log(np.exp(values).sum(axis=1, keepdims=True))
    return values


def spread(texts: Sequence[Text], logit_tokens: int = LOGIT_TOKENS) -> list[Text]:
    """Every n-th document, enough of them for `logit_tokens` from all domains."""
    total = sum(len(text.ids) for text in texts)
    return list(texts[:: max(1, total // logit_tokens)])


def difference_rows(exact: Reading, found: Reading, kl: Floats, same: float) -> list[list[str]]:
    """Rows of the first table: what, mean, 99.9 %, largest."""
    tokens = np.abs(found.tokens - exact.tokens)
    documents = np.abs(found.documents - exact.documents).ravel()
    rows = [
        ["nats a token", *_summary(tokens)],
        ["nats a document", *_summary(documents)],
        ["KL divergence, nats a token", *_summary(kl)],
        ["same most likely token", f"{100 * same:.2f} %", "", ""],
    ]
    return rows


def _summary(values: Floats) -> list[str]:
    return [f"{value:.2g}" for value in (values.mean(), np.quantile(values, 0.999), values.max())]


def ranking_rows(texts: Sequence[Text], exact: Reading, found: Reading) -> list[list[str]]:
    """Rows of the second table: domain, documents, what moved, Spearman, overlap of the top."""
    domains = np.array([text.domain for text in texts])
    rows: list[list[str]] = []
    kept = wanted = 0
    for domain in dict.fromkeys(domains.tolist()):
        chosen = np.flatnonzero(domains == domain).tolist()
        here, there = exact.of(chosen), found.of(chosen)
        top, other = top_of(here.scores), top_of(there.scores)
        kept, wanted = kept + len(top & other), wanted + len(top)
        rows.append([domain, *_compared(here, there), f"{len(top & other) / len(top):.3f}"])
    rows.append(["all", *_compared(exact, found), f"{kept / wanted:.3f}"])
    return rows


def _compared(exact: Reading, found: Reading) -> list[str]:
    """Documents, mean |dL|, error of the score as a share of its spread, Spearman."""
    error, correlation, _ = compare_scores(exact.scores, found.scores)
    moved = np.abs(found.tokens - exact.tokens).mean()
    return [str(len(exact.losses)), f"{moved:.4f}", f"{error:.4f}", f"{correlation:.6f}"]


def report(
    precision: str, exact: Model, options: argparse.Namespace, texts: list[Text], reading: Reading
) -> str:
    """The section of one precision."""
    import attninfluence

    try:
        model = attninfluence.load(options.model, precision=precision, threads=options.threads)
    except ValueError as error:
        return f"Not run: {error}."
    found = read_all(model, texts, _variant(model, options.heads), Kept(options.keep))
    kl, same = compare_logits(exact, model, spread(texts), Kept(options.keep))
    about = (
        f"{model.kernel} against {exact.kernel}; {len(texts)} documents, {len(reading.tokens)} "
        f"losses of both readings; logits of {len(kl)} tokens. {results.machine()}."
    )
    differences = difference_rows(reading, found, kl, same)
    ranking = ranking_rows(texts, reading, found)
    titles = ["domain", "documents", "nats a token", "error of the score / its spread"]
    titles += ["Spearman of the score", f"overlap of the top {100 * TOP:.0f} %"]
    return "\n\n".join(
        [
            about,
            _table(["difference to fp32", "mean", "99.9 %", "largest"], differences),
            _table(titles, ranking),
            "The overlap of all is that of the documents selected within each domain.",
        ]
    )


def _variant(model: Model, heads: Path | None) -> NDArray[np.bool_]:
    return model.mask_matrix(as_head_list(heads, model))[np.newaxis]


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="bench_precision", description="Accuracy of precisions.")
    parser.add_argument("--corpus", type=Path, required=True, help="a folder of JSONL files")
    parser.add_argument("--model", help="as of `load` (default: the bundled model)")
    parser.add_argument("--heads", type=Path, help="a heads.json (default: the model's own)")
    parser.add_argument("--precision", default="bf16,int8", help="by comma")
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    parser.add_argument("--max-length", type=int, help="tokens read (default: the context)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=Path, metavar="WORK", help="a folder: go on from there")
    parser.add_argument("--write", action="store_true", help=f"also in {results.RESULTS.name}")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Reads the corpus in fp32, then compares each precision with it."""
    import attninfluence

    options = parse(argv)
    exact = attninfluence.load(options.model, precision="fp32", threads=options.threads)
    texts = tokenize(exact, choose_texts(options.corpus, options.documents), options.max_length)
    reading = read_all(exact, texts, _variant(exact, options.heads), Kept(options.keep))
    name = Path(options.model).name if options.model else "bundled model"
    for precision in options.precision.split(","):
        text = report(precision, exact, options, texts, reading)
        flags = f"--corpus CORPUS --precision {precision} --documents {options.documents}"
        flags += f" --model {name}" if options.model else ""
        flags += f" --max-length {options.max_length}" if options.max_length else ""
        command = f"python -m benchmarks.bench_precision {flags}"
        results.publish(f"Accuracy of {precision}, {name}", text, command, write=options.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
