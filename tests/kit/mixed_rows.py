"""Rows of a corpus as it comes: several domains, duplicate ids, and texts that are none.

Every path from a row to its score has to give the same bits for these.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from attninfluence.texts.packaged import packaged_texts

# bytes stand for a string that is not valid UTF-8.
ODD_TEXTS: list[str | bytes | None] = [
    "",
    "   \t",
    None,
    "a",
    "of the",
    "NUL \x00 inside, and the text goes on",
    "\ufeffmark",
    "e\u0301" * 50,
    "emoji \U0001f600 and 日本語 \u202e",
    "two\nlines\r\nand a \u2028 separator \x0b \x85 \x1c",
    "<|endoftext|> in a text is text",
    "</s>",
    '"quotes" \\ and {"text": "json"}',
    "^" * 3000,
    "the same again " * 200,
    b"cut in the middle of a character: caf\xc3",
    b"a lone surrogate \xed\xa0\x80 as UTF-8 would have it",
    b"\xff\xfe\x00",
]


def mixed_rows(n: int) -> list[dict[str, Any]]:
    """n rows with id, domain and text: stretches of up to 160 characters of the packaged texts.

    Every tenth text is an odd one, every seventh id is that of the row before.
    """
    sources = packaged_texts()
    rows: list[dict[str, Any]] = []
    for row in range(n):
        source = sources[row % len(sources)]
        start = 37 * row % max(1, len(source.text) - 160)
        text: str | bytes | None = source.text[start : start + 40 + 31 * row % 120]
        if row % 10 == 3:
            text = ODD_TEXTS[row // 10 % len(ODD_TEXTS)]
        rows.append({"id": f"doc-{row - row % 7 // 6}", "domain": source.domain, "text": text})
    return rows


def string_array(texts: list[str | bytes | None], kind: pa.DataType | None = None) -> pa.Array:
    """The texts as an Arrow column of strings, those of bytes kept as they are."""
    raw = [text.encode() if isinstance(text, str) else text for text in texts]
    wide = kind == pa.large_string()
    return pa.array(raw, pa.large_binary() if wide else pa.binary()).view(kind or pa.string())
