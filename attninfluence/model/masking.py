"""The ways in which a head is masked (docs/METHOD.md section 3)."""

from __future__ import annotations

MASKS = ("uniform", "zero")


def check_mask(mask: str) -> None:
    """ValueError for a mask that METHOD.md section 3 does not name."""
    if mask not in MASKS:
        raise ValueError(f"mask must be one of {', '.join(MASKS)}, got {mask!r}")
