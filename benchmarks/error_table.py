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
from attninfluence.verify.compare import PRECISIONS, choose_heads, compare
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
then moves by up to a nat: look at the mean. [RESULTS.md](../benchmarks/RESULTS.md) has the bundled
model, whose weights are trained; run `attninfluence verify` on yours.

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
        plain = [row for v in variants for row in read(family, v, PRECISIONS, ordinary=True)]
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
