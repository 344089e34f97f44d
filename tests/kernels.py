"""The kernels that this CPU runs."""

from __future__ import annotations

from attninfluence import _core

PRECISIONS = ("fp32", "bf16", "int8")

# (precision, kernel), the best of each precision first.
KERNELS = [(precision, name) for precision in PRECISIONS for name in _core.kernels(precision)]
