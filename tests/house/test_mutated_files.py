"""A sample of tools/mutate_files.py: damaged files give a result or a sentence."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.child import IS_SANITIZED, ROOT
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
