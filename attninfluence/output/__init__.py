"""An output folder: its small files, its parts, its columns and totals; a finished one read."""

from __future__ import annotations

from attninfluence.output.files import OutputError

__all__ = ["OutputError"]
