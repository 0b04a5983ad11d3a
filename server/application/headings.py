"""A text together with the headings above it."""

from __future__ import annotations

from collections.abc import Sequence


def under_headings(heading_path: Sequence[str], text: str) -> str:
    """The text below those of its headings that are not part of it already, outermost first. They say what a table or
    a list is about; the first chunk of a section has its own heading in it."""
    missing = " > ".join(heading for heading in heading_path if heading not in text)
    return f"{missing}\n{text}" if missing else text
