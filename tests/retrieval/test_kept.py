"""Readings kept in a file: given back as they were, and to nothing else than what they are of."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attninfluence import load
from attninfluence.model.model import Model
from attninfluence.probe.samples import Sample, make_samples
from attninfluence.retrieval import kept as kept_module
from attninfluence.retrieval.find import find_retrieval_heads
from attninfluence.retrieval.kept import KeptReadings
from attninfluence.retrieval.reading import SampleReading


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return load(tiny_folder, precision="fp32", threads=2)


@pytest.fixture(scope="module")
def samples(model: Model) -> list[Sample]:
    return make_samples(model.tokenizer, 4, 700)


def made(samples: list[Sample]) -> list[SampleReading]:
    """Other shares for each sample."""
    rng = np.random.default_rng(int(samples[0].ids.sum()))
    return [SampleReading(rng.random((3, 4)), 1 / 3, len(one.ids) % 2 == 0) for one in samples]


def read(
    path: Path, model: Model, samples: list[Sample], decoding: str = "teacher_forced"
) -> tuple[list[SampleReading], int]:
    """The readings, and how many of them had to be made."""
    fresh: list[Sample] = []

    def make(missing: list[Sample]) -> list[SampleReading]:
        fresh.extend(missing)
        return made(missing)

    with KeptReadings(path, model, decoding) as kept:
        return kept.read(samples, make), len(fresh)


def same(a: list[SampleReading], b: list[SampleReading]) -> bool:
    return all(
        np.array_equal(one.ratio, other.ratio)
        and (one.recall, one.success) == (other.recall, other.success)
        for one, other in zip(a, b, strict=True)
    )


def test_what_was_read_is_given_back(tmp_path: Path, model: Model, samples: list[Sample]) -> None:
    path = tmp_path / "kept"
    first, n = read(path, model, samples[:2])
    assert n == 2
    again, n = read(path, model, samples[1::-1])
    assert n == 0 and same(again[::-1], first)
    more, n = read(path, model, samples)
    assert n == 2 and same(more[:2], first)


def test_other_models_and_samples_have_nothing_of_it(
    tmp_path: Path, model: Model, samples: list[Sample], plain_folder: Path
) -> None:
    path = tmp_path / "kept"
    assert read(path, model, samples)[1] == 4
    for other in (
        load(model.path, precision="bf16"),
        load(model.path, precision="fp32", kernel="portable"),
        load(plain_folder, precision="fp32"),
    ):
        assert read(path, other, samples)[1] == 4
        assert read(path, other, samples)[1] == 0
    assert read(path, model, samples, "greedy")[1] == 4
    assert read(path, model, make_samples(model.tokenizer, 4, 700, seed=1))[1] == 4
    assert read(path, model, samples)[1] == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("}\n", ""),
        ('"ratio"', '"ration"'),
        ('"recall": 0.', '"recall": "x'),
        ("[[0.", "[[7."),
        ("]]", "]"),
        ("]]", "], [0.0, 0.0, 0.0, 0.0]]"),
        ("}\n", "}}\n"),
    ],
)
def test_a_line_that_is_not_whole_is_read_again(
    tmp_path: Path, model: Model, samples: list[Sample], old: str, new: str
) -> None:
    path = tmp_path / "kept"
    first, _ = read(path, model, samples)
    lines = path.read_text().splitlines(keepends=True)
    damaged = new.join(lines[-1].rsplit(old, 1))
    assert damaged != lines[-1]
    path.write_text("".join(lines[:-1]) + damaged)
    again, n = read(path, model, samples)
    assert n == 1 and same(again[:3], first[:3])
    assert read(path, model, samples)[1] == 0


@pytest.mark.parametrize("content", [b"my notes\n", b"\x89PNG\r\n\xff" * 20, b"{}"])
def test_a_file_of_somebody_else_stays_as_it_is(
    tmp_path: Path, model: Model, samples: list[Sample], content: bytes
) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{path}: not the readings of a search")):
        read(path, model, samples)
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", ["link", "FIFO", "folder"])
def test_what_is_no_regular_file_stays_where_it_is(tmp_path: Path, model: Model, kind: str) -> None:
    """Of a search that read nothing the file is removed, which /dev/null must not be."""
    path = tmp_path / "kept"
    make: dict[str, Callable[[], None]] = {
        "link": lambda: path.symlink_to("/dev/null"),
        "FIFO": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }
    make[kind]()
    told = re.escape(f"{path}: expected a regular file, found a {kind}")
    with pytest.raises(ValueError, match=told), KeptReadings(path, model, "greedy"):
        raise AssertionError("it was opened")
    assert os.path.lexists(path)


def test_a_line_without_an_end_takes_no_memory_of_its_length(
    tmp_path: Path, model: Model, samples: list[Sample]
) -> None:
    path = tmp_path / "kept"
    path.write_text(kept_module.HEADER + '{"of": "' + "x" * (10 * kept_module._MOST_LINE))
    tracemalloc.start()
    try:
        read(path, model, samples)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * kept_module._MOST_LINE
    assert read(path, model, samples)[1] == 0


def test_one_search_at_a_time(tmp_path: Path, model: Model, samples: list[Sample]) -> None:
    path = tmp_path / "kept"
    with KeptReadings(path, model, "greedy") as kept:
        kept.read(samples[:1], made)
        with pytest.raises(ValueError, match="another search is writing to it"):
            read(path, model, samples)
    assert len(path.read_text().splitlines()) == 2


def test_a_file_that_cannot_grow_is_named(
    tmp_path: Path, model: Model, samples: list[Sample]
) -> None:
    path = tmp_path / "kept"
    limit, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, most))
    try:
        with pytest.raises(OSError) as caught:
            read(path, model, samples)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert read(path, model, samples)[1] == 4


def test_a_file_system_without_locks(
    tmp_path: Path, model: Model, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(kept_module.fcntl, "flock", refuse)
    first, _ = read(tmp_path / "kept", model, samples)
    again, n = read(tmp_path / "kept", model, samples)
    assert n == 0 and same(again, first)


def test_a_search_that_goes_on_finds_the_same(tmp_path: Path, model: Model) -> None:
    options: dict[str, Any] = {"max_length": 700, "require_success": False, "progress": False}
    path = tmp_path / "kept"
    find_retrieval_heads(model, samples=3, keep=path, **options)
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(kept) == 4
    find_retrieval_heads(model, samples=6, keep=path, **options).save(tmp_path / "kept.json")
    find_retrieval_heads(model, samples=6, **options).save(tmp_path / "whole.json")
    assert (tmp_path / "kept.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
