"""The code blocks of the documentation: found, run as they stand, and their outputs compared.

A page's blocks run in order, in one folder and one namespace, as a reader would run them:

    ```python    is executed
    ```sh        each line is a command of `attninfluence`; MODEL is the bundled model's folder
    ```output    what the block before it prints: its numbers may differ a little (another kernel),
                 everything else may not
    <!-- not run: REASON -->    before a block that no test can run

`python -m tests.house.doc_blocks docs/tutorial.md ...` runs pages and writes into them what was
printed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n)?"
    r"^```(?P<language>python|sh)\n(?P<source>.*?)^```\n"
    r"(?:\n?^```output\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
NUMBER = re.compile(r"[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
# Enough to show the command; the defaults take minutes.
FEW = {"heads": ["--samples", "4"], "bench": ["--seconds", "0.1"]}


@dataclass(frozen=True)
class Block:
    """One block of a page; `output` is None where the page shows none."""

    language: str
    source: str
    line: int
    reason: str | None
    output: str | None


def blocks_of(text: str) -> list[Block]:
    """The blocks of a page of Markdown, in order."""
    return [
        Block(
            found["language"],
            found["source"],
            text[: found.start("source")].count("\n") + 1,
            found["reason"],
            found["output"],
        )
        for found in BLOCK.finditer(text)
    ]


def commands_of(source: str) -> list[list[str]]:
    """The words of each command of a shell block, without comments."""
    lines = source.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def make_corpus(folder: Path) -> Path:
    """Forty short documents, one of them without text: corpus/documents.jsonl."""
    path = folder / "corpus" / "documents.jsonl"
    path.parent.mkdir()
    texts = [f"Item {i} is {i * i}. " * (1 + i % 7) + f"So item {i} is {i * i}." for i in range(39)]
    rows = [{"text": text, "domain": "ab"[i % 2]} for i, text in enumerate([*texts, ""])]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run_page(path: Path) -> Iterator[tuple[Block, str]]:
    """Run a page's blocks in the current folder; each with what it printed."""
    names: dict[str, Any] = {}
    text = path.read_text(encoding="utf-8")
    for block in blocks_of(text):
        if block.reason is None:
            yield block, _run(block, names, f"{path.name}, line {block.line}")


def _run(block: Block, names: dict[str, Any], where: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if block.language == "python":
            source = "\n" * (block.line - 1) + block.source
            exec(compile(source, where, "exec"), names)
            return printed.getvalue()
    with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(io.StringIO()):
        for words in commands_of(block.source):
            assert words[0] == "attninfluence", f"{where}: {words[0]} is not run by any test"
            status = _run_command(words[1:])
            assert status == 0, f"{where}: {printed.getvalue()}"
    return printed.getvalue()


def _run_command(words: list[str]) -> int:
    from attninfluence.cli import main
    from attninfluence.model.opening import bundled_folder

    arguments = [bundled_folder() if word == "MODEL" else word for word in words]
    few = FEW.get(words[0], [])
    if few and few[0] not in arguments:
        arguments += few
    return main(arguments)


def differs(printed: str, shown: str) -> str:
    """Which line of an output is not the one that a page shows, or nothing."""
    now, then = _lines(printed), _lines(shown)
    for number, (a, b) in enumerate(zip(now, then, strict=False), 1):
        if NUMBER.sub("0", a) != NUMBER.sub("0", b) or not _near(a, b):
            return f"line {number} is {a!r}, the page shows {b!r}"
    if len(now) != len(then):
        return f"{len(now)} lines were printed, the page shows {len(then)}"
    return ""


def _lines(text: str) -> list[str]:
    """Without the spaces that only make columns, which move with the numbers in them."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _near(a: str, b: str) -> bool:
    pairs = zip(NUMBER.findall(a), NUMBER.findall(b), strict=True)
    values = [(float(x.replace(",", "")), float(y.replace(",", ""))) for x, y in pairs]
    return all(abs(x - y) <= max(0.02, 0.05 * abs(y)) for x, y in values)


def rewrite(path: Path) -> None:
    """Run a page in a new folder, and write what its blocks print where it shows outputs."""
    with tempfile.TemporaryDirectory() as folder:
        make_corpus(Path(folder))
        os.chdir(folder)
        printed = {block.line: output for block, output in run_page(path)}
    text = path.read_text(encoding="utf-8")

    def written(found: re.Match[str]) -> str:
        line = text[: found.start("source")].count("\n") + 1
        if found["output"] is None or line not in printed:
            return found[0]
        start, stop = (place - found.start() for place in found.span("output"))
        return found[0][:start] + _trimmed(printed[line]) + found[0][stop:]

    path.write_text(BLOCK.sub(written, text), encoding="utf-8")


def _trimmed(text: str) -> str:
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    os.environ["COLUMNS"] = "80"
    for page in [Path(name).resolve() for name in sys.argv[1:]]:
        rewrite(page)
