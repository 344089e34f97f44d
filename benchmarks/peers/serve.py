"""Runs the peers of one library in a process of its own.

    python -m benchmarks.peers.serve LIBRARY JOB DOCUMENTS PRECISIONS...

A request and its answer are a line of JSON each, on standard input and output; what a library
prints goes to standard error. The first line written says who could be opened.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import IO, Any

import numpy as np

from benchmarks.peers.peer import Documents, Job, Peer, Unavailable, versions
from benchmarks.peers.registry import DISTRIBUTIONS, LIBRARIES


def main() -> int:
    """Opens the peers named, then answers requests until there are no more."""
    library, job_file, documents_file, *names = sys.argv[1:]
    answers = _claim_stdout()
    job = Job.parse(Path(job_file).read_text(encoding="utf-8"))
    documents = load_arrays(Path(documents_file))
    peers, refusals = _open(library, names, job)
    software = _software(library) if peers else ""
    _answer(answers, {"refusals": refusals, "software": software})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            _answer(answers, _serve(request, peers[request["name"]], documents))
        except (RuntimeError, ValueError, TypeError, MemoryError, OSError) as error:
            _answer(answers, {"error": _first_line(error)})
    return 0


def load_arrays(path: Path) -> list[Any]:
    """The arrays that `save_arrays` wrote, in order."""
    with np.load(path) as file:
        return [file[name] for name in file.files]


def save_arrays(path: Path, arrays: Documents | list[Any]) -> None:
    """Writes arrays to be read by another process."""
    with path.open("wb") as file:
        np.savez(file, *arrays)


def _claim_stdout() -> IO[str]:
    """Standard output for answers alone: whatever else is printed there becomes an error's."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _open(library: str, names: list[str], job: Job) -> tuple[dict[str, Peer], dict[str, str]]:
    """The peers that can run here, and why the others cannot."""
    peers: dict[str, Peer] = {}
    refusals: dict[str, str] = {}
    for entry in LIBRARIES[library]:
        if entry.name not in names:
            continue
        try:
            peers[entry.name] = entry.open(job)
        except ImportError as error:
            refusals[entry.name] = f"not installed: {_first_line(error)}"
        except (Unavailable, RuntimeError, ValueError, TypeError, OSError) as error:
            refusals[entry.name] = _first_line(error)
    return peers, refusals


def _serve(request: dict[str, Any], peer: Peer, documents: Documents) -> dict[str, Any]:
    chosen = documents[: request["documents"]]
    if request["do"] == "losses":
        save_arrays(Path(request["to"]), peer.losses(chosen))
        return {}
    begin = time.perf_counter()
    getattr(peer, request["do"])(chosen)
    return {"seconds": time.perf_counter() - begin}


def _software(library: str) -> str:
    if library == "ours":
        import attninfluence

        return f"attninfluence {attninfluence.__version__}"
    try:
        return versions(*DISTRIBUTIONS[library])
    except PackageNotFoundError as error:
        return f"{library} ({error})"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _answer(file: IO[str], answer: dict[str, Any]) -> None:
    print(json.dumps(answer), file=file, flush=True)


if __name__ == "__main__":
    sys.exit(main())
