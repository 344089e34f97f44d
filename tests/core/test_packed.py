"""Every model family from packed weights in a file: the bits of the folder's own weights.

What a model reads from its tensors and keeps outside the packed weights is not in the file, and
a reading that needs it differs.
"""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator
from multiprocessing.pool import Pool
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import attninfluence as ai
from attninfluence import _core
from attninfluence.model import shared
from tests.core import workers
from tests.core.kernels import KERNELS, PRECISIONS
from tests.kit.child import IS_SANITIZED
from tests.kit.family_models import FAMILIES, SUPPORTED, make_family_folder
from tests.kit.parity import copy_documents, head_sets
from tests.kit.tiny_models import random_ids

KEY = "the same weights"
FIRST = [(family, next(iter(variants))) for family, variants in FAMILIES.items()]
READ = FIRST if IS_SANITIZED else SUPPORTED
IDS = [f"{family}-{variant}".replace(" ", "-") for family, variant in READ]
# The best of each precision, and the one that lays its matrices out in rows.
CHOSEN = [next(pair for pair in KERNELS if pair[0] == precision) for precision in PRECISIONS]
CHOSEN += [pair for pair in KERNELS if pair[1] == "openblas" and pair not in CHOSEN]

Readings = list[NDArray[np.generic]]


def read_all(core: _core.Model) -> Readings:
    """Everything that a model is asked for: losses base and masked, logits, attention, copies."""
    documents, answers, needles = copy_documents(core.vocab_size)
    documents, answers, needles = documents[:2], answers[:2], needles[:2]
    variants = np.stack(
        list(head_sets(core.n_layers, core.n_heads, core.n_heads // core.n_kv_heads).values())
    )
    found: Readings = []
    for mask in ("uniform", "zero"):
        found += core.run(documents, variants=variants, mask=mask)
        found.append(core.logits(documents[0], variants[-1], mask))
    found.append(core.logits(documents[1]))
    found += [core.attention(documents[1], layer, 1) for layer in range(core.n_layers)]
    counts, predicted = core.copies(documents, answers, needles)
    return [*found, counts, *predicted]


def description(core: _core.Model) -> dict[str, object]:
    """What the model says of itself."""
    names = [name for name in dir(core) if not name.startswith("_")]
    return {
        name: value for name in names if isinstance(value := getattr(core, name), int | float | str)
    }


def write_packed(path: Path, core: _core.Model) -> str:
    path.write_bytes(core.packed_header(KEY) + core.packed.tobytes())
    return str(path)


@pytest.mark.parametrize(("family", "variant"), READ, ids=IDS)
def test_the_file_has_the_bits_of_the_folder(tmp_path: Path, family: str, variant: str) -> None:
    folder = str(make_family_folder(tmp_path / "model", family, variant))
    for precision, kernel in CHOSEN:
        opened = _core.Model(folder, precision, kernel)
        file = write_packed(tmp_path / "packed.bin", opened)
        mapped = _core.Model(folder, precision, kernel, packed=file, key=KEY)
        assert description(mapped) == description(opened)
        for found, expected in zip(read_all(mapped), read_all(opened), strict=True):
            assert found.tobytes() == expected.tobytes(), f"{precision}, {kernel}"


@pytest.fixture(scope="module")
def worker() -> Iterator[Pool]:
    """A process that has nothing of this one, for all families."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield pool


@pytest.mark.parametrize(("family", "variant"), FIRST)
def test_a_pickle_has_the_bits_of_the_model(
    tmp_path: Path, worker: Pool, family: str, variant: str
) -> None:
    """In this process once the model is forgotten, and in another one."""
    folder = make_family_folder(tmp_path, family, variant, tokenizer=True)
    model = ai.load(folder)
    ids = random_ids(3, 60, model.core.vocab_size)
    pickled, expected = pickle.dumps(model), model.losses(ids)
    elsewhere = worker.apply(workers.model_losses, (model, ids))
    del model
    shared._kept.clear()
    shared._models.clear()
    mapped = pickle.loads(pickled)
    assert mapped.losses(ids).tobytes() == expected.tobytes()
    assert elsewhere.tobytes() == expected.tobytes()
