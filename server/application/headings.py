"""The headings above a text: how they stand over it, and how long they may be. Pure."""

from __future__ import annotations

from collections.abc import Sequence

_CUT = "…"


def under_headings(heading_path: Sequence[str], text: str) -> str:
    """The text below those of its headings that are not part of it already, outermost first. They say what a table or
    a list is about; the first chunk of a section has its own heading in it, if only the beginning that the path has."""
    missing = " > ".join(heading for heading in heading_path if heading.removesuffix(_CUT) not in text)
    return f"{missing}\n{text}" if missing else text


def bounded_path(headings: Sequence[str], most_each: int, most_together: int) -> tuple[str, ...]:
    """The path in at most so many characters (1 or more) a heading, and together; outer headings are left out first.

    Where a heading is endless (a paragraph marked as one), all chunks below it would say little else.
    """
    kept: list[str] = []
    left = most_together
    for heading in reversed(headings):
        short = _shortened(heading, min(most_each, most_together))
        left -= len(short)
        if left < 0:
            break
        kept.append(short)
    return tuple(reversed(kept))


def _shortened(heading: str, most: int) -> str:
    """Cut after a word, unless that takes more than a third of it away."""
    if len(heading) <= most:
        return heading
    window = heading[: most - len(_CUT)]
    space = window.rfind(" ")
    whole_words = heading[len(window)] != " " and space > len(window) * 2 // 3
    return (window[:space] if whole_words else window).rstrip() + _CUT
