"""Fixtures shared by all tests: tiny random models, written once a session."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.kit.tiny_models import make_llama_folder
from tests.views.browser import Tab, open_browser

# Read when torch, tokenizers and huggingface_hub are imported, which tests do later.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# No test of examples fails because a busy machine is slow.
settings.register_profile(
    "any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any_machine")

# A script's background command ignores Ctrl-C, and so would every process that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of packed weights of the session's own, for its child processes too."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("ATTNINFLUENCE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A maker of model folders, `llama_folder(**options of make_llama_folder)`.

    Folders are shared by all callers of the session who ask for the same options, so
    nobody may write into one.
    """
    made: dict[str, Path] = {}

    def make(**options: Any) -> Path:
        key = repr(sorted(options.items()))
        if key not in made:
            made[key] = make_llama_folder(tmp_path_factory.mktemp("llama"), **options)
        return made[key]

    return make


@pytest.fixture(scope="session")
def tiny_folder(llama_folder: Callable[..., Path]) -> Path:
    """A Llama of 3 layers of 4 heads on 2 key/value heads, with a tokenizer that puts a BOS."""
    return llama_folder(n_kv_heads=2)


@pytest.fixture(scope="session")
def plain_folder(llama_folder: Callable[..., Path]) -> Path:
    """The same without a tokenizer."""
    return llama_folder(n_kv_heads=2, tokenizer=False)


@pytest.fixture(scope="session")
def misfit_folder(llama_folder: Callable[..., Path]) -> Path:
    """A model of 270 ids with a tokenizer of 277, which common words use."""
    return llama_folder(vocab_size=270, tokenizer_options={"vocab_size": 277})


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    """A window of a browser of the module's own: its event loop ends with the module."""
    with open_browser() as browser:
        yield Tab.open(browser)
