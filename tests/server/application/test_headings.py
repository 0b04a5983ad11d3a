from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.headings import bounded_path, under_headings


@pytest.mark.parametrize(
    ("headings", "text", "expected"),
    [
        ((), "Text.", "Text."),
        (("Fleet", "Ferries"), "| Sanderling | 610 |", "Fleet > Ferries\n| Sanderling | 610 |"),
        (("Fleet", "Ferries"), "Ferries\nThere are three.", "Fleet\nFerries\nThere are three."),
        (("Fleet",), "Fleet\nThere are three.", "Fleet\nThere are three."),
        (("Fleet", "Ferries and…"), "Ferries and other ships\nThree.", "Fleet\nFerries and other ships\nThree."),
    ],
)
def test_a_text_stands_under_the_headings_that_it_lacks(headings: tuple[str, ...], text: str, expected: str) -> None:
    assert under_headings(headings, text) == expected


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("Ferries", "Ferries"),
        ("Ferries of 1969", "Ferries of 1969"),
        ("Ferries of the river", "Ferries of the…"),
        ("Ferries of thirty years", "Ferries of…"),
        ("A Donaudampfschifffahrt", "A Donaudampfsc…"),
        ("港の営業時間は午前十一時から午後五時まで", "港の営業時間は午前十一時から…"),
    ],
)
def test_a_long_heading_is_cut_after_a_word(heading: str, expected: str) -> None:
    assert bounded_path([heading], 15, 100) == (expected,)


def test_outer_headings_are_left_out_first() -> None:
    assert bounded_path(["Book", "Part", "Chapter"], 10, 15) == ("Book", "Part", "Chapter")
    assert bounded_path(["Book", "Part", "Chapter"], 10, 14) == ("Part", "Chapter")
    assert bounded_path(["Book", "Part", "Chapter"], 10, 3) == ("Ch…",)


@given(
    st.lists(st.text(st.sampled_from("ab 港、"), min_size=1, max_size=60), max_size=8), st.integers(1, 40), st.data()
)
def test_a_path_keeps_its_bounds_and_its_last_heading(headings: list[str], each: int, data: st.DataObject) -> None:
    together = data.draw(st.integers(1, 100))
    path = bounded_path(headings, each, together)
    assert len(path) >= min(len(headings), 1)
    assert sum(map(len, path)) <= together
    for whole, short in zip(headings[len(headings) - len(path) :], path, strict=True):
        assert len(short) <= each
        assert short == whole or whole.startswith(short.removesuffix("…"))
