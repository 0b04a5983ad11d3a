"""Passages, pages, and places in them."""

from __future__ import annotations

from dataclasses import dataclass

from pinakes.results.wire_enum import WireEnum


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page; the origin is the page's top-left corner, the unit that of `PageRegion.page_width`."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class PageImage:
    """An encoded image of a page; `scale` is pixels per unit of the page's boxes."""

    image: bytes
    media_type: str
    width: int
    height: int
    scale: float


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An encoded image of 200 x 300 pixels."""

    image: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class PageRegion:
    """Where on one page a text stands: one box per line. Sizes are PDF points or pixels; 0 without pages."""

    page: int
    page_width: float
    page_height: float
    boxes: tuple[Box, ...]


class PiiKind(WireEnum):
    """A kind of personal data."""

    UNSPECIFIED = "unspecified"
    EMAIL = "email"
    PHONE = "phone"
    PAYMENT_CARD = "payment_card"
    BANK_ACCOUNT = "bank_account"
    US_SSN = "us_ssn"
    US_ITIN = "us_itin"
    JP_MY_NUMBER = "jp_my_number"
    JP_DRIVERS_LICENCE = "jp_drivers_licence"
    PASSPORT = "passport"


@dataclass(frozen=True, slots=True)
class MaskedSpan:
    """Code points `start` to `end` of a text are a word in the place of personal data; where a text was scanned, the
    data itself."""

    start: int
    end: int
    kind: PiiKind


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document. `joined_chunk_ids`: of an answer's sources, the chunks beside it whose text is part of
    `text`. `masked`: where personal data was masked in `text`."""

    chunk_id: str
    document_id: str
    document_name: str
    revision: int
    text: str
    heading_path: tuple[str, ...]
    language: str
    regions: tuple[PageRegion, ...]
    joined_chunk_ids: tuple[str, ...] = ()
    masked: tuple[MaskedSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class TextSpan:
    """The code points `[start:end]` of a text."""

    start: int
    end: int
