"""Bytes and strings from outside as text that UTF-8 can store."""

from __future__ import annotations

import pytest

from attninfluence.base.text import as_text, marked_encoding, repaired

TEXT = "A caf\xe9, \U0001f600 and\r\nmore."


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_byte_order_mark_says_what_bytes_are(encoding):
    marked = f"\ufeff{TEXT}".encode(encoding)
    assert marked_encoding(marked) == encoding[:6]
    assert as_text(marked) == (TEXT, True)
    assert repaired(marked[:-1])[0].startswith(TEXT[:-1])
    assert repaired("\ufeff".encode(encoding)) == ("", True)
    assert marked_encoding(TEXT.encode(encoding)) is None


def test_without_a_mark_nothing_is_guessed():
    assert repaired(TEXT.encode()) == (TEXT, False)
    assert repaired("ab".encode("utf-16-le")) == ("a\x00b\x00", False)
    assert repaired(b"caf\xe9") == ("caf\ufffd", True)
    assert repaired(f"\ufeff{TEXT}".encode()) == (f"\ufeff{TEXT}", False)
    assert repaired(b"\xff") == ("\ufffd", True)
