from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.application.markdown_tables import markdown_row
from server.application.spoken_rows import spoken

FLEET = """The ships are these.
| Ship | Built | Passengers |
| --- | --- | --- |
| Sanderling | 2008 | 610 |
| Little Auk | | 180 |

All sail daily."""


def test_each_cell_stands_behind_its_head() -> None:
    assert spoken(FLEET).text == (
        "The ships are these.\nShip: Sanderling, Built: 2008, Passengers: 610.\nShip: Little Auk, Passengers: 180.\n"
        "\nAll sail daily."
    )


def test_what_is_said_is_found_again_where_it_stands() -> None:
    said = spoken(FLEET)
    for words in ("Sanderling", "610", "180", "Little", "All sail daily.", "ships are"):
        start = said.text.index(words)
        place = said.place(start, start + len(words))
        assert place is not None and FLEET[place.start : place.end] == words


def test_heads_and_several_cells_are_nowhere() -> None:
    said = spoken(FLEET)
    for words in ("Passengers: 610", "2008, Passengers", "Ship:", "610.\n"):
        start = said.text.index(words)
        assert said.place(start, start + len(words)) is None


def test_one_row_alone_has_no_head() -> None:
    assert spoken("| Sanderling | 610 |").text == "| Sanderling | 610 |"


@given(st.text(alphabet="ab|- \n.", max_size=60))
def test_every_piece_is_what_the_text_says(text: str) -> None:
    said = spoken(text)
    for start in range(len(said.text)):
        place = said.place(start, start + 1)
        assert place is None or text[place.start : place.end] == said.text[start]


@given(st.lists(st.lists(st.text(alphabet="xyz ", max_size=4), min_size=3, max_size=3), min_size=2, max_size=4))
def test_every_cell_below_the_head_is_said(rows: list[list[str]]) -> None:
    text = "\n".join(map(markdown_row, rows))
    said = spoken(text).text
    for row in rows[1:]:
        assert all(" ".join(cell.split()) in said for cell in row)
