"""The heads of the two real models that come with the package: attninfluence/heads/stored/.

    PYTHONPATH=. python tools/stored_heads.py [NAME...] [--samples 800] [--readings FOLDER]

As `attninfluence heads` finds them by default: 800 samples of up to 4,096 tokens, in fp32. What was
read is kept in FOLDER/NAME.readings, so that a command that was killed goes on; the order of the
samples does not depend on how many there are. Readings of this machine in arrays, those of some
samples from number NNNN on in FOLDER/NAME/fp32-NNNN.npz, are taken over first.
tools/real_models.py brings the models.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

import attninfluence as ai
from attninfluence.heads.stored import FOLDER
from attninfluence.model.model import Model
from attninfluence.probe.samples import iter_samples
from attninfluence.retrieval.kept import KeptReadings
from attninfluence.retrieval.reading import SampleReading
from tools.real_models import MODELS, REAL_MODELS, fetch

# Those of find_retrieval_heads, which say what the arrays are of.
SAMPLES, MAX_LENGTH, SHOTS, SEED, DECODING = 800, 4096, 3, 0, "teacher_forced"


def find(path: Path, n_samples: int, readings: Path) -> ai.HeadScores:
    """The heads of the model at `path`; readings: the folder of those that there are."""
    model = ai.load(path, precision="fp32")
    readings.parent.mkdir(parents=True, exist_ok=True)
    keep = readings.with_name(f"{readings.name}.readings")
    take_over(model, readings, keep)
    return ai.find_retrieval_heads(
        model, n_samples, MAX_LENGTH, SHOTS, DECODING, seed=SEED, keep=keep
    )


def take_over(model: Model, folder: Path, keep: Path) -> None:
    """Puts the readings in the arrays of `folder` into `keep`, where they are not there yet."""
    paths = sorted(folder.glob("fp32-*.npz"))
    if not paths:
        return
    made = iter_samples(model.tokenizer, SAMPLES, MAX_LENGTH, SHOTS, None, SEED)
    at = 0
    with KeptReadings(keep, model, DECODING) as kept:
        for path in paths:
            first, found = int(path.stem.removeprefix("fp32-")), stored_in(path)
            for _ in range(first - at):  # those that nobody has read
                next(made)
            samples = list(islice(made, len(found)))
            by_sample = dict(zip(map(id, samples), found, strict=True))
            kept.read(samples, lambda missing, of=by_sample: [of[id(one)] for one in missing])
            at = first + len(found)


def stored_in(path: Path) -> list[SampleReading]:
    """The readings in a file of arrays `ratio` [n, layers, heads], `recall` and `success` [n]."""
    with np.load(path) as stored:
        rows = zip(stored["ratio"], stored["recall"], stored["success"], strict=True)
        return [SampleReading(ratio, float(recall), bool(ok)) for ratio, recall, ok in rows]


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
