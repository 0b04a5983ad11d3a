"""Pages in, documents out: every step of the OCR in turn, lines of all pages recognized together."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from triton_models.ocr.cropping import crop, is_tall, parts
from triton_models.ocr.decoding import Pixels, UnreadableImage, decode
from triton_models.ocr.detection import Detector, Quad
from triton_models.ocr.document import PageCharacters, PageDocument, PageLine
from triton_models.ocr.orientation import Stand, stand_of, turned_points
from triton_models.ocr.reading_order import in_reading_order, skew
from triton_models.ocr.recognition import ReadLine, Recognizer
from triton_models.ocr.rules import Segments, find_rules, parted_at_rules
from triton_models.ocr.second_look import best_reading, second_looks
from triton_models.ocr.spacing import extents
from triton_models.ocr.vertical import are_lying, mended

WIDE_SHARE = 0.8
"""Rows of wide characters are squeezed to this share of their width: they are read at least as well, in less time."""


@dataclass(frozen=True, slots=True)
class PageReaderOptions:
    """Lines below `min_confidence` are left out."""

    limit_pixels: int = 50_000_000
    min_confidence: float = 0.5


@dataclass(slots=True)
class _Page:
    """A page on its way: `image` is turned upright as `stand` says; `skew` is what is left of its rows' angle."""

    image: Pixels
    stand: Stand
    quads: list[Quad]
    skew: float
    rules: Segments


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    lines: list[PageLine]
    rules: Segments


class PageReader:
    def __init__(self, detector: Detector, recognizer: Recognizer, options: PageReaderOptions) -> None:
        self._detector = detector
        self._recognizer = recognizer
        self._options = options

    def read(self, images: Sequence[bytes]) -> list[PageDocument | UnreadableImage]:
        """One result per encoded image, in order; one that cannot be read does not disturb the others. A page that was
        read badly is read again in other ways, and its best reading is the result."""
        pages = [self._decoded(image) for image in images]
        readable = [page for page in pages if isinstance(page, _Page)]
        found = iter([self._best(*one) for one in zip(readable, self._lines(readable), strict=True)])
        return [next(found) if isinstance(page, _Page) else page for page in pages]

    def _decoded(self, encoded: bytes) -> _Page | UnreadableImage:
        try:
            return self._page(decode(encoded, self._options.limit_pixels))
        except UnreadableImage as error:
            return error

    def _page(self, image: Pixels) -> _Page:
        quads = self._detector.detect(image)
        stand = stand_of(image, quads, self._recognizer)
        if stand.turns:
            image = np.ascontiguousarray(np.rot90(image, stand.turns))
            quads = self._detector.detect(image)
        angle = skew(quads, downward=2 * sum(map(is_tall, quads)) > len(quads))
        rules = find_rules(image, quads, angle)
        return _Page(image, stand, parted_at_rules(quads, rules), angle, rules)

    def _best(self, page: _Page, lines: list[PageLine]) -> PageDocument:
        """As it was sent: the page with these lines, or with what a second look finds."""
        readings = [_Reading(lines, page.rules)]
        angles = [page.skew]
        for look in second_looks(page.image, lines):
            again = self._page(look.image)
            (found,) = self._lines([again])
            readings.append(_moved(again, _Reading(found, again.rules), 1 / look.scale))
            angles.append(again.skew)
        height, width = page.image.shape[:2]
        size = (height, width) if page.stand.turns % 2 else (width, height)
        best = best_reading([reading.lines for reading in readings])
        reading = _moved(page, readings[best], 1.0)
        return PageDocument(*size, tuple(reading.lines), reading.rules, angles[best])

    def _lines(self, pages: Sequence[_Page]) -> list[list[PageLine]]:
        """Of each page, in reading order; lines of all pages are recognized together."""
        quads = [quad for page in pages for quad in page.quads]
        crops = [crop(page.image, quad) for page in pages for quad in page.quads]
        shares = [WIDE_SHARE if page.stand.wide and not is_tall(quad) else 1.0 for page in pages for quad in page.quads]
        read = self._recognizer.read(crops, shares)
        downward = self._lying(pages, crops, read)
        # Lying characters are squeezed from head to foot: what is left out of them is found in their own pitch.
        squeezed = [index for index in downward if shares[index] < 1]
        for index, line in zip(squeezed, self._recognizer.read([crops[index] for index in squeezed]), strict=True):
            read[index] = line
        sound = mended([crops[index] for index in downward], [read[index] for index in downward], self._recognizer)
        for index, line in zip(downward, sound, strict=True):
            read[index] = line
        placed = (_placed(*one) for one in zip(quads, crops, read, strict=True))
        return [
            in_reading_order(
                [line for line in itertools.islice(placed, len(page.quads)) if self._is_kept(line)], page.rules
            )
            for page in pages
        ]

    def _lying(self, pages: Sequence[_Page], crops: Sequence[Pixels], read: Sequence[ReadLine]) -> list[int]:
        """Which of all pages' lines hold lying characters: those that run downwards, and rows where all are such."""
        lying: list[int] = []
        start = 0
        for page in pages:
            members = range(start, start + len(page.quads))
            rows = [index for index, quad in zip(members, page.quads, strict=True) if not is_tall(quad)]
            if are_lying([crops[index] for index in rows], [read[index] for index in rows]):
                lying += members
            else:
                lying += sorted({*members}.difference(rows))
            start += len(page.quads)
        return lying

    def _is_kept(self, line: PageLine) -> bool:
        return bool(line.text) and line.confidence >= self._options.min_confidence


def _placed(quad: Quad, crop: Pixels, read: ReadLine) -> PageLine:
    line = read.stripped()
    characters = PageCharacters(
        tuple(character.text for character in line.characters),
        np.array([character.confidence for character in line.characters], dtype=np.float32),
        parts(quad, extents(line, crop) / crop.shape[1]),
    )
    return PageLine(line.text, line.confidence, quad, is_tall(quad), characters)


def _moved(page: _Page, reading: _Reading, scale: float) -> _Reading:
    """What was read on the page in pixels of the image before it was turned, times `scale`."""
    if not page.stand.turns and scale == 1.0:
        return reading
    height, width = page.image.shape[:2]

    def moved(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(turned_points(points, width, height, -page.stand.turns) * scale, dtype=np.float32)

    lines = [
        replace(line, quad=moved(line.quad), characters=replace(line.characters, quads=moved(line.characters.quads)))
        for line in reading.lines
    ]
    return _Reading(lines, moved(reading.rules))
