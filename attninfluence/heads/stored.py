"""Heads of published models that come with the package (stored/*.json)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from attninfluence.heads.file import read_heads

FOLDER = Path(__file__).with_name("stored")


def stored_heads_file(shape: tuple[int, int] | None, fingerprint: Callable[[], str]) -> Path | None:
    """The heads.json of the model with that fingerprint, or None.

    shape: layers and heads a layer, or None for any. fingerprint: called only where a stored model
    has that shape, as it may read the whole model.
    """
    alike = {model: path for path, stored, model in _stored(FOLDER) if shape in (None, stored)}
    return alike.get(fingerprint()) if alike else None


@cache
def _stored(folder: Path) -> tuple[tuple[Path, tuple[int, int], str], ...]:
    """(file, shape, fingerprint) of each."""
    found = [(path, read_heads(path)) for path in sorted(folder.glob("*.json"))]
    return tuple(
        (path, fields["scores"].shape, fields["model_fingerprint"]) for path, fields in found
    )
