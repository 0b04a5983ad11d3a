"""Which segments are merged: how often a row is rewritten, and how many segments there are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import IndexOptions
from index.merging import SegmentFacts, plan_merge

OPTIONS = IndexOptions(seal_rows=16, merge_width=4)


def plan(*segments: tuple[int, int], options: IndexOptions = OPTIONS) -> tuple[str, ...]:
    return plan_merge([SegmentFacts(f"s{n}", rows, dead) for n, (rows, dead) in enumerate(segments)], options)


@pytest.mark.parametrize(
    ("segments", "chosen"),
    [
        ([], ""),
        ([(16, 0)] * 3, ""),
        ([(16, 0)] * 4, "s0 s1 s2 s3"),
        ([(16, 0), (63, 0), (64, 0), (20, 0), (30, 0)], "s0 s1 s3 s4"),
        ([(64, 0)] * 3 + [(16, 0)] * 4, "s3 s4 s5 s6 s0 s1 s2"),
        ([(64, 0)] * 2 + [(16, 0)] * 4, "s2 s3 s4 s5"),
        ([(64, 0)] * 4 + [(16, 0)], "s0 s1 s2 s3"),
        ([(1, 0)] * 3 + [(4, 0)] * 3, ""),
        ([(2, 0)] * 4 + [(4, 0)] * 3 + [(16, 0)] * 3, "s0 s1 s2 s3 s4 s5 s6 s7 s8 s9"),
        ([(1000, 0), (100, 33)], ""),
        ([(1000, 0), (100, 34)], "s1"),
        ([(1, 1)], "s0"),
    ],
)
def test_what_is_merged(segments: list[tuple[int, int]], chosen: str) -> None:
    assert plan(*segments) == tuple(chosen.split())


def merged(sizes: list[int], written: list[int], options: IndexOptions) -> list[int]:
    """The segments' sizes once nothing is due any more; `written` gets the size of each that is made."""
    while chosen := plan(*((size, 0) for size in sizes), options=options):
        numbers = {int(name[1:]) for name in chosen}
        written.append(sum(size for number, size in enumerate(sizes) if number in numbers))
        sizes = [*(size for number, size in enumerate(sizes) if number not in numbers), written[-1]]
    return sizes


@pytest.mark.parametrize("width", [2, 4, 8])
def test_each_row_is_rewritten_once_per_tier_at_most(width: int) -> None:
    options = IndexOptions(seal_rows=8_192, merge_width=width)
    sizes: list[int] = []
    written: list[int] = []
    heads, tiers = 500, 1 + np.ceil(np.log(500) / np.log(width))
    for sealed in range(1, heads + 1):
        sizes = merged([*sizes, 8_192], written, options)
        assert sum(sizes) == sealed * 8_192
        assert len(sizes) <= (width - 1) * (1 + np.floor(np.log(sealed) / np.log(width) + 1e-9))
    assert sum(written) / (heads * 8_192) <= tiers


@given(st.lists(st.integers(1, 400), min_size=1, max_size=150), st.sampled_from([2, 3, 4]))
def test_heads_of_any_size_leave_few_segments(sealed: list[int], width: int) -> None:
    options = IndexOptions(seal_rows=100, merge_width=width)
    sizes: list[int] = []
    for size in sealed:
        sizes = merged([*sizes, size], [], options)
    tiers = 3 + max(0.0, np.log(sum(sealed) / 100) / np.log(width))
    assert sum(sizes) == sum(sealed) and len(sizes) <= (width - 1) * tiers


@given(st.lists(st.tuples(st.integers(1, 10_000), st.integers(0, 10_000)), max_size=40))
def test_a_merge_is_worth_it(segments: list[tuple[int, int]]) -> None:
    facts = [(rows, min(rows, dead)) for rows, dead in segments]
    chosen = plan(*facts)
    if len(chosen) == 1:
        rows, dead = facts[int(chosen[0][1:])]
        assert dead > rows / 3
    elif chosen:
        live = [rows - dead for rows, dead in (facts[int(name[1:])] for name in chosen)]
        assert len(chosen) >= 4 and sum(live) >= max(live)
    else:
        assert all(dead <= rows / 3 for rows, dead in facts)
