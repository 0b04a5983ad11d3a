from __future__ import annotations

import pytest

from server.application.headings import under_headings


@pytest.mark.parametrize(
    ("headings", "text", "expected"),
    [
        ((), "Text.", "Text."),
        (("Fleet", "Ferries"), "| Sanderling | 610 |", "Fleet > Ferries\n| Sanderling | 610 |"),
        (("Fleet", "Ferries"), "Ferries\nThere are three.", "Fleet\nFerries\nThere are three."),
        (("Fleet",), "Fleet\nThere are three.", "Fleet\nThere are three."),
    ],
)
def test_a_text_stands_under_the_headings_that_it_lacks(headings: tuple[str, ...], text: str, expected: str) -> None:
    assert under_headings(headings, text) == expected
