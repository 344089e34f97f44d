"""Retrieval heads found: samples read, intervals drawn, the search."""

from __future__ import annotations

from attninfluence.retrieval.find import find_retrieval_heads

__all__ = ["find_retrieval_heads"]
