"""Every row is in exactly one shard."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attninfluence.run.shards import Shard, Slice, parse_shard, plan_slices

FILES = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 30)), max_size=8)


def rows_of(slices: list[Slice], counts: list[int]) -> list[tuple[int, int]]:
    return [
        (file, row)
        for file, first, stop, _ in slices
        for row in range(first, counts[file] if stop is None else stop)
    ]


@settings(max_examples=300, deadline=None)
@given(files=FILES, count=st.integers(1, 12))
def test_shards_divide_the_rows(files: list[tuple[int, int]], count: int) -> None:
    sizes = [size if rows else 0 for size, rows in files]
    counts = [rows if size else 0 for size, rows in files]
    found = [
        row
        for index in range(count)
        for row in rows_of(plan_slices(sizes, Shard(index, count), counts.__getitem__), counts)
    ]
    assert found == [(file, row) for file, rows in enumerate(counts) for row in range(rows)]


@settings(max_examples=200, deadline=None)
@given(files=FILES, count=st.integers(1, 12))
def test_every_file_begins_in_one_shard(files: list[tuple[int, int]], count: int) -> None:
    """So that an empty or damaged file is told of once."""
    sizes = [size for size, _ in files]
    begun = [
        piece.file
        for index in range(count)
        for piece in plan_slices(sizes, Shard(index, count), lambda file: 10**9)
        if piece.first_row == 0
    ]
    assert begun == list(range(len(files)))


def test_shards_are_even_and_read_their_own_files_only() -> None:
    asked: list[int] = []
    sizes = [100] * 10

    def count_rows(file: int) -> int:
        asked.append(file)
        return 1000

    shares = [
        rows_of(plan_slices(sizes, Shard(index, 4), count_rows), [1000] * 10) for index in range(4)
    ]
    assert [len(share) for share in shares] == [2500] * 4
    assert sorted(set(asked)) == [2, 7]
    whole = plan_slices(sizes, Shard(0, 1), count_rows)
    assert whole == [Slice(file, stored=100) for file in range(10)]


def test_one_file_can_be_divided() -> None:
    slices = [plan_slices([10], Shard(index, 3), lambda _: 1000) for index in range(3)]
    assert slices == [
        [Slice(0, 0, 300, 3)],
        [Slice(0, 300, 600, 3)],
        [Slice(0, 600, None, 4)],
    ]


def test_how_a_shard_is_written() -> None:
    assert parse_shard("0/1") == Shard(0, 1)
    assert parse_shard("7/8") == Shard(7, 8)
    for text in ("8/8", "1/0", "-1/2", "1", "a/b", "1/2/3", ""):
        with pytest.raises(ValueError, match="shard"):
            parse_shard(text)
