"""The heads of the two real models that come with the package: attninfluence/heads/stored/.

    python tools/stored_heads.py [NAME...] [--samples 800] [--readings FOLDER]

As `attninfluence heads` finds them by default: 800 samples of up to 4,096 tokens, in fp32. What
four samples showed is kept in FOLDER/NAME, a file each, so that a command that was killed goes on;
the order of the samples does not depend on how many there are. tools/real_models.py brings the
models.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

import attninfluence as ai
from attninfluence.base.replacing import replacing
from attninfluence.heads.choice import Choice
from attninfluence.heads.stored import FOLDER
from attninfluence.model.model import Model
from attninfluence.probe.samples import Sample, iter_samples
from attninfluence.retrieval.find import DEFAULT_FRACTION, _head_scores
from attninfluence.retrieval.precisions import moves_by_rounding
from attninfluence.retrieval.readings import SampleReading, read_samples
from tools.real_models import MODELS, REAL_MODELS, fetch

SAMPLES, MAX_LENGTH, SHOTS, SEED, DECODING = 800, 4096, 3, 0, "teacher_forced"
AT_A_TIME = 4


def readings_of(model: Model, samples: Sequence[Sample], folder: Path) -> list[SampleReading]:
    """What each sample showed, from the files of `folder` or read and put there."""
    folder.mkdir(parents=True, exist_ok=True)
    found: list[SampleReading] = []
    for first in range(0, len(samples), AT_A_TIME):
        some = samples[first : first + AT_A_TIME]
        path = folder / f"fp32-{first:04}.npz"
        if not path.is_file():
            read = read_samples(model, iter(some), len(some), MAX_LENGTH, DECODING, True, False)
            with replacing(path) as temporary, temporary.open("wb") as file:
                columns = ("ratio", "recall", "success")
                np.savez(file, **{name: [getattr(r, name) for r in read] for name in columns})
            print(f"{min(first + AT_A_TIME, len(samples))} of {len(samples)} samples", flush=True)
        with np.load(path) as kept:
            rows = zip(kept["ratio"], kept["recall"], kept["success"], strict=True)
            read = [SampleReading(ratio, float(r), bool(s)) for ratio, r, s in rows]
        found += read[: len(some)]
    return found


def find(path: Path, n_samples: int, readings: Path) -> ai.HeadScores:
    """The heads of the model at `path`, as `find_retrieval_heads` gives them."""
    model = ai.load(path, precision="fp32")
    made = iter_samples(model.tokenizer, n_samples, MAX_LENGTH, SHOTS, None, SEED)
    shown = readings_of(model, list(islice(made, n_samples)), readings)
    choice = Choice.of(DEFAULT_FRACTION, None, None)
    options = {
        "samples": n_samples,
        "max_length": MAX_LENGTH,
        "shots": SHOTS,
        "decoding": DECODING,
        "corpus": "bundled",
        "seed": SEED,
        "require_success": True,
        "precision": "fp32",
    }
    heads = _head_scores(model, shown, options | choice.as_options())
    heads = heads.select(**choice.as_arguments())
    return replace(heads, rounding=moves_by_rounding(model, heads.selected))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="stored_heads", description="Find the stored heads.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(REAL_MODELS)}")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--readings", type=Path, default=MODELS / "readings", metavar="FOLDER")
    options = parser.parse_args(argv)
    for name in options.names or REAL_MODELS:
        path = fetch(REAL_MODELS[name], MODELS)
        heads = find(path, options.samples, options.readings / name)
        heads.save(FOLDER / f"{path.stem}.json")
        print(f"{FOLDER / path.stem}.json: {len(heads.selected)} heads; {heads.stability()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
