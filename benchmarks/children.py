"""Processes that run the peers, one a library, each with the Python that has the library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.peer import Entry, Job, Losses
from benchmarks.peers.registry import LIBRARIES
from benchmarks.peers.serve import load_arrays

ROOT = Path(__file__).resolve().parents[1]


class PeerError(Exception):
    """A peer could not do what it was asked; the message says why."""


class Child:
    """The process of one library; `refusals` says why a peer could not be opened."""

    def __init__(
        self, library: str, python: str, names: Sequence[str], job_file: Path, documents: Path
    ) -> None:
        self.library = library
        self._scratch = job_file.parent
        self._log = self._scratch / f"{library}.log"
        command = [python, "-m", "benchmarks.peers.serve", library, str(job_file), str(documents)]
        threads = str(Job.parse(job_file.read_text(encoding="utf-8")).threads)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *names],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        opened = self._answer()
        self.refusals: dict[str, str] = opened["refusals"]
        self.software: str = opened["software"]

    def losses(self, name: str, documents: int) -> list[Losses]:
        """The losses of the first `documents` documents, by the peer of that name."""
        path = self._scratch / "losses.npz"
        self._ask(do="losses", name=name, documents=documents, to=str(path))
        return load_arrays(path)

    def work(self, name: str, documents: int, *, own_heads: bool = False) -> float:
        """Seconds that the peer takes for the first `documents` documents."""
        do = "work_with_own_heads" if own_heads else "work"
        return float(self._ask(do=do, name=name, documents=documents)["seconds"])

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()

    def _ask(self, **request: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise PeerError(f"{self.library}: {self._last_words()}") from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(f"{self.library}: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def _last_words(self) -> str:
        self._process.communicate()
        status = self._process.returncode
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"its process ended with {status}: {lines[-1] if lines else 'no message'}"


def start_children(
    entries: Sequence[Entry], pythons: Mapping[str, str], job_file: Path, documents: Path
) -> tuple[list[Child], dict[str, str]]:
    """A process for each library that one of the entries is of, and who cannot run, and why."""
    children: list[Child] = []
    refusals: dict[str, str] = {}
    for library, offered in LIBRARIES.items():
        names = [entry.name for entry in offered if entry in entries]
        if not names:
            continue
        try:
            python = pythons.get(library, sys.executable)
            children.append(Child(library, python, names, job_file, documents))
            refusals |= children[-1].refusals
        except (PeerError, OSError) as error:
            refusals |= dict.fromkeys(names, str(error))
    return children, refusals
