"""The kernels that this CPU runs."""

from __future__ import annotations

from attninfluence import _core
from tests.kit.child import IS_SANITIZED

PRECISIONS = ("fp32", "bf16", "int8")


def _kernels(precision: str) -> tuple[str, ...]:
    """All of them; with sanitizers, under which they take minutes, the best and OpenBLAS.

    The C tests run every kernel under sanitizers.
    """
    names = _core.kernels(precision)
    if not IS_SANITIZED:
        return names
    return tuple(name for name in names if name in (names[0], "openblas"))


# (precision, kernel), the best of each precision first.
KERNELS = [(precision, name) for precision in PRECISIONS for name in _kernels(precision)]
