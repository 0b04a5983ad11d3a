"""Whether the text of a PDF's page can stand for what a reader sees on it. Pure.

It cannot where there is next to none, where its characters have no meaning (fonts without a mapping to Unicode, private
use), where it is drawn invisibly (an older OCR's result under a scan), or where its words run together. Such a page is
read like a scan.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from server.adapters.reading.pdf_content import PageContent
from server.domain.documents import Block

_WORD = re.compile("[A-Za-z\u00c0-\u024f]+")


@dataclass(frozen=True, slots=True)
class TextLayerOptions:
    """Shares are between 0 and 1."""

    fewest_characters: int = 8
    """Of a page with pictures or drawings, below which it counts as having no text."""
    most_broken: float = 0.2
    """Share of characters without a meaning, above which the text is not used."""
    most_hidden: float = 0.5
    """Share of characters drawn invisibly, above which the text is not used on a page where something else is drawn."""
    picture_area: float = 0.6
    """Share of the page under pictures, from which on a few characters (a stamp, a page number) are not its text."""
    fewest_characters_on_picture: int = 120
    longest_word: int = 28
    """Letters. A longer word is likely several without spaces between them."""
    most_in_long_words: float = 0.3
    """Share of Latin letters in such words, above which the text is not used …"""
    fewest_letters: int = 150
    """… if there are at least so many letters."""


def is_usable(content: PageContent, options: TextLayerOptions) -> bool:
    """Whether the characters can be used. A page with nothing on it reads as empty."""
    good = content.glyph_count - content.broken
    if content.glyph_count and content.broken > options.most_broken * content.glyph_count:
        return False
    if content.drawing_count and content.hidden > options.most_hidden * good:
        return False
    if content.picture_area >= options.picture_area:
        return good >= options.fewest_characters_on_picture
    return good >= options.fewest_characters or content.drawing_count == 0


def runs_together(blocks: Iterable[Block], options: TextLayerOptions) -> bool:
    """Whether the laid out text lacks its spaces: neither the file nor the gaps between its letters have them."""
    lengths = [len(word.group()) for block in blocks for line in block.lines for word in _WORD.finditer(line.text)]
    letters = sum(lengths)
    in_long_words = sum(length for length in lengths if length > options.longest_word)
    return letters >= options.fewest_letters and in_long_words > options.most_in_long_words * letters
