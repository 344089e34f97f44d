"""A resumable run over a corpus: what it reads, in which order, and what becomes of it."""

from __future__ import annotations

from attninfluence.run.lock import LockedError
from attninfluence.run.session import score_files
from attninfluence.run.source import Source

__all__ = ["LockedError", "Source", "score_files"]
