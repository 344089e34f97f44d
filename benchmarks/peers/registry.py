"""The libraries that are compared, ours first; a key is what `--peer-python` calls one."""

from __future__ import annotations

from benchmarks.peers import ctranslate2, llama_cpp, ours, transformers, zentorch
from benchmarks.peers.peer import Entry

LIBRARIES: dict[str, tuple[Entry, ...]] = {
    "ours": ours.ENTRIES,
    "transformers": transformers.ENTRIES,
    "zentorch": zentorch.ENTRIES,
    "ctranslate2": ctranslate2.ENTRIES,
    "llama_cpp": llama_cpp.ENTRIES,
}

# What each library's process is asked for its versions.
DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "ours": ("numpy",),
    "transformers": ("torch", "transformers"),
    "zentorch": ("zentorch", "torch"),
    "ctranslate2": ("ctranslate2",),
    "llama_cpp": ("llama-cpp-python",),
}
