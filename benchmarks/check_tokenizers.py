"""Whether every kind of tokenizer gives the ids of transformers' AutoTokenizer on real text.

    python -m benchmarks.check_tokenizers --corpus FOLDER [--texts 20000] [--characters 1000]
        [--kind gpt2 ...]

FOLDER holds .jsonl or .jsonl.gz files of {"id", "domain", "text"}; the texts are drawn
evenly from them. Each kind of tests/tokenizer/tokenizer_kinds.py reads all texts twice: with what
looks like a special token as text, and as the token. Exit status 1 when any ids differ.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from attninfluence.tokenizer.tokenizer import Tokenizer
from benchmarks.bench_precision import read_corpus
from tests.tokenizer.tokenizer_kinds import END, KINDS
from tests.tokenizer.tokenizer_reference import Reference

TEXTS = 20_000
CHUNK = 500
CHARACTERS = 1_000
SPECIAL = f"{END}x<s>x</s>x<|im_start|>x<eos>x<|eot_id|>x<CLS>x <s> "


@dataclass
class Check:
    """What came of one kind with one way to read special tokens."""

    texts: int = 0
    tokens: int = 0
    different: int = 0
    bad_offsets: int = 0

    @property
    def failed(self) -> bool:
        return bool(self.different or self.bad_offsets)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit status."""
    options = _options(arguments)
    texts = pick(options.corpus, options.texts, options.characters)
    print(f"{len(texts):,} texts of {sum(map(len, texts)):,} characters")
    failed = False
    for kind in options.kind or KINDS:
        with tempfile.TemporaryDirectory() as folder:
            KINDS[kind](Path(folder))
            for special in ("text", "control"):
                start = time.perf_counter()
                check = compare(folder, texts, special)
                took = time.perf_counter() - start
                failed |= check.failed
                print(
                    f"{kind:16} special={special:7} {check.tokens:>11,} tokens, "
                    f"{check.different} texts differ, {check.bad_offsets} with bad offsets "
                    f"({took:.0f} s)",
                    flush=True,
                )
    return int(failed)


def pick(corpus: Path, count: int, characters: int) -> list[str]:
    """The beginnings of `count` texts, evenly over the corpus.

    Every fifth has special tokens put in its middle.
    """
    everything = [text[:characters] for _, text in read_corpus(corpus)]
    step = max(1, len(everything) // count)
    texts = list(islice(everything, 0, None, step))[:count]
    texts += list(islice(everything, 1, None, step))[: count - len(texts)]
    for at in range(0, len(texts), 5):
        middle = len(texts[at]) // 2
        texts[at] = texts[at][:middle] + SPECIAL + texts[at][middle:]
    return texts


def compare(folder: str, texts: Sequence[str], special: str) -> Check:
    """Read the texts with both tokenizers."""
    reference, tokenizer = Reference(folder), Tokenizer(folder)
    check = Check()
    for at in range(0, len(texts), CHUNK):
        some = texts[at : at + CHUNK]
        wanted = reference.encode(some, special)
        for text, ids, found in zip(
            some, wanted, tokenizer.encode(some, special=special), strict=True
        ):
            check.texts += 1
            check.tokens += len(found.ids)
            check.different += found.ids.tolist() != ids
            assert found.offsets is not None
            starts, stops = found.offsets[found.n_bos :].T
            ordered = bool((starts[1:] >= starts[:-1]).all() and (stops[1:] >= stops[:-1]).all())
            within = bool((starts >= 0).all() and (stops <= len(text)).all())
            check.bad_offsets += not (ordered and within and bool((starts <= stops).all()))
    return check


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=TEXTS)
    parser.add_argument("--characters", type=int, default=CHARACTERS, help="read of each text")
    parser.add_argument("--kind", nargs="*", choices=list(KINDS), default=[])
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
