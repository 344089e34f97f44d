"""What the tests of the datatrove blocks share: documents, pipelines and what they gave."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attninfluence as ai

HEADS = ((1, 2), (2, 0))

# Empty, broken, very long and right-to-left texts, and what is no text at all: a Document's text
# may be anything, as nothing checks it.
ODD_TEXTS: tuple[Any, ...] = (
    "A plain sentence, and another one.",
    "",
    " \n\t ",
    "x",
    "a\0b and after the NUL",
    "\ud800 is half a pair",
    "<|endoftext|> is text</s>",
    "^" * 5000,
    "the " * 3000,
    "e\u0301\u200b 漢字 🙂 \u202e",
    None,
    float("nan"),
    7,
    ["a", "list"],
    b"bytes are text",
    b"\xff\xfe are none",
)


def plain_texts(count: int, seed: int = 0) -> list[str]:
    """Different texts of 3 to 60 words."""
    words = "the of and to in is that for it as was with be by on not he his but at".split()
    return [
        " ".join(words[(seed + i * (j + 3) + j * j) % len(words)] for j in range(3 + i * 7 % 58))
        + f" {i}"
        for i in range(count)
    ]


def documents(texts: Iterable[Any]) -> Iterator[Any]:
    """datatrove documents with ids d0, d1, ... and the domains a and b in turn."""
    from datatrove.data import Document

    for index, text in enumerate(texts):
        yield Document(text=text, id=f"d{index}", metadata={"domain": "ab"[index % 2]})


def write_jsonl(folder: Path, texts: Sequence[str], files: int) -> Path:
    """The texts, in turn, in files of JSON lines."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        lines = [
            json.dumps({"text": text, "id": f"d{index}", "domain": "ab"[index % 2]})
            for index, text in enumerate(texts)
            if index % files == number
        ]
        (folder / f"{number:03d}.jsonl").write_text("".join(line + "\n" for line in lines))
    return folder


def bits(row: dict[str, Any], prefix: str = "ai_") -> dict[str, Any]:
    """The scores in a document's metadata, numbers as bytes, so that NaN equals NaN."""
    return {
        name: struct.pack("<d", value) if isinstance(value, float) else value
        for name, value in row.items()
        if name.startswith(prefix)
    }


def expected_bits(texts: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
    """What `ai.score` gives for the texts, as `bits` of metadata."""
    columns = {
        f"ai_{name}": values if isinstance(values, list) else values.tolist()
        for name, values in ai.score(texts, **options).columns().items()
    }
    rows = zip(*columns.values(), strict=True)
    return [bits(dict(zip(columns, row, strict=True))) for row in rows]


def read_parquet(folder: Path) -> dict[str, dict[str, Any]]:
    """Every document that ParquetWriter wrote, by id; each id once."""
    import pyarrow.parquet as pq

    rows = [row for path in sorted(folder.glob("*.parquet")) for row in _rows(pq.read_table(path))]
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == len(rows)
    return by_id


def _rows(table: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
