"""The training mix: rows extracted, a recipe, a written folder."""

from __future__ import annotations

from attninfluence.mix.write import mix

__all__ = ["mix"]
