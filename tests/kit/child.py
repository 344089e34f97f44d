"""Running Python code in a process of its own, for what must be seen from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Whether tools/test-sanitize.sh runs us: memory then holds freed blocks and shadows too.
IS_SANITIZED = os.environ.get("ATTNINFLUENCE_SANITIZE", "") not in ("", "0")


def run_python(
    script: str, *arguments: object, env: Mapping[str, str] | None = None, timeout: float = 120
) -> str:
    """Runs `script` with `arguments` as sys.argv[1:] and returns what it prints.

    `tests` and `attninfluence` are those of this tree. Fails with the script's own words
    when it does not exit with 0.
    """
    completed = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    output = completed.stdout + completed.stderr
    assert completed.returncode == 0, f"exit status {completed.returncode}: {output}"
    return completed.stdout
