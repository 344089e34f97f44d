"""Files of somebody else's, read to a size."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from attninfluence.base.regular_file import UnreadableFileError, read_regular_file


def test_memory_is_that_of_the_file(tmp_path: Path) -> None:
    """Not that of the largest one which would be read."""
    path = tmp_path / "small"
    path.write_bytes(b"ab" * 500)
    tracemalloc.start()
    try:
        assert read_regular_file(path, 1 << 30) == b"ab" * 500
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("most", [0, 1, 999, 1000, 1001, 1 << 22])
def test_a_file_is_read_to_a_size(tmp_path: Path, most: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * 1000)
    if most < 1000:
        with pytest.raises(UnreadableFileError, match="is larger than"):
            read_regular_file(path, most)
    else:
        assert read_regular_file(path, most) == b"a" * 1000


def test_a_file_that_is_longer_than_it_says() -> None:
    """As one that grows; those of /proc have a size of 0."""
    path = Path("/proc/self/environ")
    if not path.exists():
        pytest.skip("no such file here")
    whole = path.read_bytes()
    assert len(whole) > 100
    assert read_regular_file(path, 1 << 22) == whole
    with pytest.raises(UnreadableFileError):
        read_regular_file(path, 50)
