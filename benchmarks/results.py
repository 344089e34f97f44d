"""RESULTS.md: one section a benchmark, each rewritten without touching the others."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")


def write_section(heading: str, body: str, path: Path = RESULTS) -> None:
    """Puts `body` below the line `## heading`: in place of what stood there, else at the end."""
    text = path.read_text(encoding="utf-8") if path.is_file() else "# Results\n"
    section = f"## {heading}\n\n{body.strip()}\n"
    found = re.search(rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    if found is None:
        text = f"{text.rstrip()}\n\n{section}"
    else:
        rest = text[found.end() :]
        text = text[: found.start()] + section + (f"\n{rest}" if rest else "")
    path.write_text(text, encoding="utf-8")


def publish(heading: str, body: str, command: str, *, write: bool) -> None:
    """Prints a section and, when asked, writes it with the command that made it."""
    print(f"## {heading}\n\n{body}", flush=True)
    if write:
        write_section(heading, f"`{command}`\n\n{body}")


def machine() -> str:
    """The processor and the Python that ran the benchmark."""
    return f"{_processor()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    fields = dict(re.findall(r"^(model name|cpu family|model)\s*: (.*)$", text, re.MULTILINE))
    if "model name" not in fields:
        return platform.machine()
    family = f"family {fields.get('cpu family', '?')}, model {fields.get('model', '?')}"
    return f"{fields['model name']} ({family})"
