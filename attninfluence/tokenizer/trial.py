"""A model's tokenizer opened by another process first.

The library that reads it may end its process, or never come back, over a file that somebody made
for that. Asked for (`try_in_child`), another process meets it first.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

from attninfluence._core import ModelError

# Hundreds of times of what the largest tokenizer in use takes, on a machine that is busy too.
SECONDS = 120
MOST_MEMORY = 16 << 30  # of address space; libraries map some that they never use

_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from attninfluence.tokenizer.trial import _open; _open(sys.argv[2])"
)
_TEXT = "The 1st text,\tof  two lines\n\u00e4\u4e00"
_NO_MEMORY = 3


def try_in_child(path: str | os.PathLike[str], seconds: int = SECONDS) -> None:
    """Open a model's tokenizer in a process of its own and encode a few characters.

    Raises ModelError where that process crashes, takes more than `seconds` or more memory than any
    tokenizer needs. What the tokenizer itself refuses is left to be said by who opens it next.
    """
    named = os.path.abspath(path)
    command = [sys.executable, "-I", "-c", _CODE, json.dumps(sys.path), named, str(seconds)]
    try:
        status = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"{named!r}: its tokenizer was not open after {seconds} s; it may be made to take "
            "forever"
        ) from None
    if status == _NO_MEMORY or status < 0:
        cause = (
            f"the process that tried to was ended by signal {-status}"
            if status < 0
            else f"it takes more than {MOST_MEMORY >> 30} GiB, or than the limit of this process"
        )
        raise ModelError(f"{named!r}: its tokenizer cannot be opened: {cause}")


def _open(path: str) -> None:
    """In the child: open and use it; the exit status says whether memory was short."""
    _limit(int(sys.argv[3]))
    from attninfluence.tokenizer.tokenizer import Tokenizer

    try:
        tokenizer = Tokenizer(path)
        tokenizer.token_strings(tokenizer.bos_ids())
        tokenizer.encode([_TEXT])
    except MemoryError:
        os._exit(_NO_MEMORY)
    except BaseException:  # noqa: BLE001 - the next who opens it says what is wrong
        os._exit(0)


def _limit(seconds: int) -> None:
    """Bound this process, also when nobody waits for it any more."""
    limits = {
        resource.RLIMIT_AS: _address_space() + MOST_MEMORY,
        resource.RLIMIT_CPU: 2 * seconds,
        resource.RLIMIT_CORE: 0,
    }
    for what, most in limits.items():
        soft, hard = resource.getrlimit(what)
        if soft == resource.RLIM_INFINITY or most < soft:
            resource.setrlimit(what, (most, hard))


def _address_space() -> int:
    """The bytes that are mapped already, of which a sanitizer has terabytes; 0 if nothing tells."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0
