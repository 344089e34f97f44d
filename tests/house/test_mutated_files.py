"""A sample of tools/mutate_files.py: damaged files give a result or a sentence."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.kit.child import IS_SANITIZED, ROOT
from tests.kit.gguf.made import random_blocks, write_gguf
from tests.kit.mutations import mutate

CASES = 6


@pytest.mark.skipif(IS_SANITIZED, reason="it limits its address space")
def test_damaged_files_are_results_or_sentences() -> None:
    command = [sys.executable, "tools/mutate_files.py", "--cases", str(CASES)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
    )
    assert not done.stdout and done.returncode == 0, done.stdout + done.stderr
    assert f" kinds, {CASES} cases each, 0 findings" in done.stderr


def test_a_mutation_depends_on_its_chance_alone(tmp_path: Path) -> None:
    data = b'{"a": [1, {"b": "c"}], "d": null}'
    made = [mutate("a.json", data, random.Random(at)) for at in range(200)]
    assert made == [mutate("a.json", data, random.Random(at)) for at in range(200)]
    assert len(set(made)) > 150 and made.count(data) < 10


def test_most_mutations_of_a_gguf_file_change_a_number_of_its_header(tmp_path: Path) -> None:
    tensors = {"t": ("Q4_0", random_blocks("Q4_0", (2, 32), np.random.default_rng(0)))}
    metadata = {"texts": ["a", "bc"], "whole": 7, "numbers": [1, 2]}
    data = write_gguf(tmp_path / "m.gguf", tensors, metadata).read_bytes()
    shares = []
    for name in ("m.gguf", "m.bin"):
        made = [mutate(name, data, random.Random(at)) for at in range(1000)]
        assert made == [mutate(name, data, random.Random(at)) for at in range(1000)]
        shares.append(sum(_differs_in_a_number(data, other) for other in made) / len(made))
    assert shares[0] > 0.4 > 2 * shares[1]
    # What is left of a header that is cut short is changed all the same.
    assert mutate("m.gguf", data[:20], random.Random(0)) != data[:20]


def _differs_in_a_number(data: bytes, other: bytes) -> bool:
    places = [at for at, (a, b) in enumerate(zip(data, other, strict=False)) if a != b]
    return len(data) == len(other) and bool(places) and places[-1] - places[0] < 8
