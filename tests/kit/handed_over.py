"""Arrow data of another library, which has nothing but Arrow's PyCapsule interface."""

from __future__ import annotations

from typing import Any


class HandedOver:
    """One array or record batch."""

    def __init__(self, held: Any) -> None:
        self._held = held

    def __arrow_c_array__(self, requested_schema: object = None) -> Any:
        return self._held.__arrow_c_array__(requested_schema)


class Streamed:
    """A table, or an array of several chunks."""

    def __init__(self, held: Any) -> None:
        self._held = held

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        return self._held.__arrow_c_stream__(requested_schema)
