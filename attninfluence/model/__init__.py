"""An opened model: found, opened, shared among processes, described."""

from __future__ import annotations

from attninfluence._core import ModelError
from attninfluence.model.model import Model
from attninfluence.model.opening import load
from attninfluence.model.shared import open_shared
from attninfluence.model.threads import default_threads

__all__ = ["Model", "ModelError", "default_threads", "load", "open_shared"]
