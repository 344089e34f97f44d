"""docs/ACCURACY.md: every model family against transformers, by one command.

    python -m benchmarks.error_table            (or: make error-table)

Each family is read in the random configurations of tests/kit/family_variants.py, once with weights
spread as in published models before training, in every precision, and once with attention so peaked
that every part of the family matters, in fp32.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from transformers.utils import logging

from attninfluence import _core
from attninfluence.model.model import EXPLICIT_PRECISIONS
from attninfluence.verify.compare import choose_heads, compare
from attninfluence.verify.reference import Reference
from attninfluence.verify.table import Difference
from tests.kit.family_models import FAMILIES, LENGTHS, SUPPORTED, make_family_folder
from tests.kit.tiny_models import random_ids

PAGE = Path(__file__).resolve().parent.parent / "docs" / "ACCURACY.md"

HEAD = """\
# Accuracy

Differences of losses from transformers {transformers} (torch {torch}; fp32, eager attention, one
unpadded document at a time), in nats a token: the largest and the mean over all tokens of documents
of {lengths} random ids, read as they are and with 5 % of the heads masked, uniformly and to zero.

The models are random ones of each family, small, in at least two configurations that make each
peculiarity matter (tests/kit/family_variants.py). Their weights are spread as in published models
before training; "fp32, peaked" are the same models with attention so sharp that a missing part of
a family would show, which sharpens rounding too. Kernels: {kernels}.

In a mixture of experts rounding to bf16 or int8 may send a token to another expert, and its loss
then moves by up to a nat: look at the mean. [RESULTS.md](../benchmarks/RESULTS.md) has the
bundled model and SmolLM2-135M, whose weights are trained; run `attninfluence verify` on yours.

## What is allowed, and why

**fp32.** The loss of a token may differ from transformers by 1e-4 nat, or by four times the
model's own noise where that is more. Noise is what rounding of the weights alone does to
transformers: each weight is moved to one of its two float32 neighbours, at random, twice, and the
largest move of a loss is taken for each reading. Deep, peaked or outlier-ridden models amplify
rounding, and no program can be asked to agree with another better than the model agrees with
itself. Two published models, `verify`'s own texts:

| model | reading | largest difference | noise | allowed |
|---|---|---:|---:|---:|
| SmolLM2-135M-Instruct, Q4_1 | all three | 5.7e-05 | | 1.0e-04 |
| Gemma-3-270M, Q4_K_M | base | 6.7e-05 | 2.5e-05 | 1.0e-04 |
| | uniform | 1.1e-04 | 4.2e-05 | 1.7e-04 |
| | zero | 1.0e-04 to 1.7e-04 | 7.8e-05 | 3.1e-04 |

With two threads PyTorch sums in another order than with one, hence two figures for the zero mask.

**bf16 and int8** round every factor of every product, so what they may do follows from what the
score is for: the top fifth of each domain. Say rounding moves the scores of a domain by errors of
standard deviation x, as a share of the standard deviation of the scores themselves. Documents
close to the cut change places: of a normal distribution, 0.56 x of the top fifth are exchanged,
and ranks correlate by (6/π) asin(1 / (2 sqrt(1 + x²))). To keep 97 % of the selection and a
correlation of 0.998, **x may be 0.053**; a test draws 200,000 scores and finds both.

The error of a document's score is that of a mean over its tokens: it grows with m, the mean move
of a token's loss in nats, and falls with the square root of the length. Ninety documents of six
domains (cut at 512 tokens, 424 on average), scored with each model's own heads:

| model, precision | m | x in prose | in mathematics | in code | x / m in prose |
|---|---:|---:|---:|---:|---:|
| SmolLM2, bf16 | 0.012 | 0.020 | 0.013 | 0.004 | 1.6 |
| SmolLM2, int8 | 0.052 | 0.094 | 0.046 | 0.020 | 1.7 |
| Gemma-3, bf16 | 0.012 | 0.016 | 0.011 | 0.004 | 1.4 |
| Gemma-3, int8 | 0.058 | 0.088 | 0.058 | 0.029 | 1.7 |

Prose, where scores lie closest together, decides (in Gemma-3 documentation is like it). There x
is 1.6 m at 424 tokens, so 1.2 m in documents of 800, and **m may be 0.045 nat a token** in either
precision. Shorter prose bears less, and most domains bear more: code three to four times as much.
`verify` holds the mean difference to that, both from transformers and from fp32 over 60 short
texts of the package, and with the model's own heads the x of those texts to 0.053. Their Spearman
and the overlap of their top fifths are told beside it; one text of twelve is too coarse a step to
judge by. A `heads.json` holds m of bf16 and of int8 (`rounding`), measured when the heads were
found, and scoring in a precision beyond 0.045 warns with the figure.

## Every family

By `python -m benchmarks.error_table`.

| family | fp32 | | fp32, peaked | | bf16 | | int8 | |
|---|---:|---:|---:|---:|---:|---:|---:|---:|
| | largest | mean | largest | mean | largest | mean | largest | mean |
"""


class Error(NamedTuple):
    largest: float
    mean: float

    def __str__(self) -> str:
        return f"{self.largest:.1e} | {self.mean:.1e}"


def read(family: str, variant: str, precisions: Sequence[str], ordinary: bool) -> list[Difference]:
    """The differences of one configuration."""
    with tempfile.TemporaryDirectory() as folder:
        make_family_folder(folder, family, variant, ordinary=ordinary)
        reference = Reference(folder)
        cores = [_core.Model(folder, precision) for precision in precisions]
        documents = [random_ids(n, n, cores[0].vocab_size) for n in LENGTHS]
        masked = choose_heads(reference.n_layers, reference.n_heads, seed=0)
        return compare(cores, reference, documents, masked)


def worst(rows: Sequence[Difference], precision: str) -> Error:
    """Of the rows in one precision: the largest, and the mean of their means."""
    chosen = [row for row in rows if row.precision == precision]
    return Error(max(row.largest for row in chosen), sum(row.mean for row in chosen) / len(chosen))


def rows_of_table(kernels: dict[str, str]) -> Iterator[str]:
    """A line for each family; `kernels` is filled on the way."""
    for family in FAMILIES:
        variants = [variant for name, variant in SUPPORTED if name == family]
        plain = [
            row for v in variants for row in read(family, v, EXPLICIT_PRECISIONS, ordinary=True)
        ]
        peaked = [row for v in variants for row in read(family, v, ("fp32",), ordinary=False)]
        kernels |= {row.precision: row.kernel for row in plain}
        cells = [worst(plain, "fp32"), worst(peaked, "fp32")]
        cells += [worst(plain, precision) for precision in ("bf16", "int8")]
        print(family, *cells, flush=True)
        yield f"| `{family}` | {' | '.join(map(str, cells))} |\n"


def main() -> None:
    loud: Any = logging  # whose functions have no types
    loud.set_verbosity_error()
    loud.disable_progress_bar()
    kernels: dict[str, str] = {}
    lines = list(rows_of_table(kernels))
    head = HEAD.format(
        transformers=transformers.__version__,
        torch=torch.__version__.split("+")[0],
        lengths=", ".join(map(str, LENGTHS)),
        kernels=", ".join(f"{precision} {kernel}" for precision, kernel in kernels.items()),
    )
    PAGE.write_text(head + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
