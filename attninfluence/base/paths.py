"""Names of files and folders as people type them."""

from __future__ import annotations

import os


def expand_home(path: str | os.PathLike[str]) -> str:
    """`path` with ``~`` and ``~user`` at its start replaced, as a shell does.

    A shell leaves them within quotes and after ``--option=``. A path that exists by the very name
    stays as it is.
    """
    given = os.fspath(path)
    if not given.startswith("~") or os.path.lexists(given):
        return given
    return os.path.expanduser(given)
