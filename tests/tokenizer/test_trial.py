"""A tokenizer that another process opens first."""

from __future__ import annotations

from pathlib import Path

import pytest

from attninfluence import ModelError
from attninfluence.tokenizer import trial
from tests.kit.child import IS_SANITIZED, run_python
from tests.kit.tiny_models import write_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tokenizer(tmp_path)
    return tmp_path


def test_a_tokenizer_is_tried_in_a_child(folder: Path) -> None:
    trial.try_in_child(folder)
    (folder / "tokenizer.json").write_text("{}")
    trial.try_in_child(folder)  # which is said where it is opened


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("import os; os.abort()", "ended by signal 6"),
        ("raise MemoryError", "takes more than 16 GiB"),
        ("import time; time.sleep(60)", "not open after 2 s"),
        ("x = bytearray(1 << 35)", "takes more than 16 GiB"),
    ],
)
@pytest.mark.skipif(IS_SANITIZED, reason="the allocator ends the process in its own way")
def test_a_child_that_crashes_is_told_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, harm: str, said: str
) -> None:
    planted = (
        f"import attninfluence.tokenizer.tokenizer as t\ndef f(*_):\n    {harm}\nt.Tokenizer = f\n"
    )
    code = trial._CODE.replace("from attn", f"exec({planted!r}); from attn", 1)
    monkeypatch.setattr(trial, "_CODE", code)
    with pytest.raises(ModelError, match=said):
        trial.try_in_child(folder, seconds=2)


def test_a_child_keeps_the_limits_that_it_has() -> None:
    run_python(
        """
import resource, sys
from attninfluence.tokenizer.trial import _limit
_, hard = resource.getrlimit(resource.RLIMIT_CPU)
resource.setrlimit(resource.RLIMIT_CPU, (50, hard))
_limit(120)
assert resource.getrlimit(resource.RLIMIT_CPU) == (50, hard)
_limit(20)
assert resource.getrlimit(resource.RLIMIT_CPU) == (40, hard)
"""
    )


def test_inspect_tries_the_tokenizer_first(tiny_folder: Path) -> None:
    """A process that would be ended by the tokenizer tells of it instead."""
    script = """
import sys
from attninfluence import cli
from attninfluence.tokenizer import trial
trial._CODE = "import os; os.abort()"
sys.exit(0 if cli.main(["inspect", sys.argv[1]]) == 2 else 1)
"""
    run_python(script, tiny_folder)
