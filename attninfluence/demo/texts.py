"""Texts for the demo: from the Python installation and from the package, the same every time.

code           the source of the standard library, one function or class a text
documentation  Python's own help (`pydoc_data.topics`), cut at paragraphs
the others     the texts of the package (`attninfluence.texts`)

An installation without source files or without the help simply lacks that domain.
"""

from __future__ import annotations

import ast
import json
import os
import sysconfig
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from attninfluence.base.replacing import replacing
from attninfluence.texts.packaged import Text, packaged_texts, spread

SHORTEST, LONGEST = 300, 2500  # characters
LARGEST_SOURCE = 60_000  # bytes


def collect_texts(limit: int) -> list[Text]:
    """At most `limit` texts of each domain, evenly spread over what there is (ValueError for 0)."""
    if limit < 1:
        raise ValueError(f"at least one document of each domain is needed, got {limit}")
    texts = spread(list(code_texts()), limit) + spread(list(documentation_texts()), limit)
    packaged = packaged_texts()
    for domain in dict.fromkeys(text.domain for text in packaged):
        texts += spread([text for text in packaged if text.domain == domain], limit)
    return texts


def code_texts() -> Iterator[Text]:
    """Functions and classes of the standard library's top-level modules, by file and line."""
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.glob("*.py")):
        if path.stat().st_size <= LARGEST_SOURCE:
            yield from _definitions(path)


def _definitions(path: Path) -> Iterator[Text]:
    """The file's top-level definitions, decorators included, that have a fitting length."""
    try:
        with tokenize.open(path) as file:
            source = file.read()
        tree = ast.parse(source)
    except (SyntaxError, UnicodeDecodeError):
        return
    lines = source.splitlines(keepends=True)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            text = "".join(lines[first - 1 : node.end_lineno]).rstrip()
            if SHORTEST <= len(text) <= LONGEST:
                yield Text(f"{path.name}:{node.name}", "code", text)


def documentation_texts() -> Iterator[Text]:
    """The help topics in order of their names, each in pieces of whole paragraphs."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        return
    for name in sorted(topics):
        for number, piece in enumerate(_pieces(topics[name]), start=1):
            if SHORTEST <= len(piece) <= LONGEST:
                yield Text(f"{name}, part {number}", "documentation", piece)


def _pieces(topic: str) -> Iterator[str]:
    """Runs of paragraphs, each as long as it may be; a longer paragraph is a piece by itself."""
    piece = ""
    for paragraph in topic.strip("\n").split("\n\n"):
        joined = f"{piece}\n\n{paragraph}" if piece else paragraph
        if piece and len(joined) > LONGEST:
            yield piece
            piece = paragraph
        else:
            piece = joined
    if piece:
        yield piece


def write_texts(texts: Sequence[Text], path: str | os.PathLike[str]) -> None:
    """The texts as JSONL, in the columns that `attninfluence score` expects."""
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace") as file,
    ):
        for text in texts:
            file.write(json.dumps(asdict(text), ensure_ascii=False) + "\n")
