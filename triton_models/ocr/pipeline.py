"""Pages in, documents out: every step of the OCR in turn, lines of all pages recognized together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from triton_models.ocr.cropping import crop, is_tall
from triton_models.ocr.decoding import Pixels, UnreadableImage, decode
from triton_models.ocr.detection import Detector, Quad
from triton_models.ocr.document import PageDocument, PageLine
from triton_models.ocr.orientation import turned_quads, turns_to_upright
from triton_models.ocr.reading_order import in_reading_order
from triton_models.ocr.recognition import Recognizer


@dataclass(frozen=True, slots=True)
class PageReaderOptions:
    """Lines below `min_confidence` are left out."""

    limit_pixels: int = 50_000_000
    min_confidence: float = 0.5


@dataclass(slots=True)
class _Page:
    """A page on its way: `image` is turned a quarter to the left `turns` times from how it came."""

    image: Pixels
    turns: int = 0
    quads: list[Quad] = field(default_factory=list)


class PageReader:
    def __init__(self, detector: Detector, recognizer: Recognizer, options: PageReaderOptions) -> None:
        self._detector = detector
        self._recognizer = recognizer
        self._options = options

    def read(self, images: Sequence[bytes]) -> list[PageDocument | UnreadableImage]:
        """One result per encoded image, in order; one that cannot be read does not disturb the others."""
        pages = [self._page(image) for image in images]
        readable = [page for page in pages if isinstance(page, _Page)]
        documents = iter(self._documents(readable))
        return [next(documents) if isinstance(page, _Page) else page for page in pages]

    def _page(self, encoded: bytes) -> _Page | UnreadableImage:
        try:
            image = decode(encoded, self._options.limit_pixels)
        except UnreadableImage as error:
            return error
        quads = self._detector.detect(image)
        turns = turns_to_upright(image, quads, self._recognizer)
        if turns:
            image = np.ascontiguousarray(np.rot90(image, turns))
            quads = self._detector.detect(image)
        return _Page(image, turns, quads)

    def _documents(self, pages: Sequence[_Page]) -> list[PageDocument]:
        read = iter(self._recognizer.read([crop(page.image, quad) for page in pages for quad in page.quads]))
        documents = []
        for page in pages:
            lines = []
            for quad, line in zip(page.quads, read, strict=False):
                if line.text.strip() and line.confidence >= self._options.min_confidence:
                    lines.append(PageLine(line.text.strip(), line.confidence, quad, is_tall(quad)))
            documents.append(_as_sent(page, in_reading_order(lines)))
        return documents


def _as_sent(page: _Page, lines: Sequence[PageLine]) -> PageDocument:
    """The page with its coordinates as in the image that came."""
    height, width = page.image.shape[:2]
    quads = turned_quads([line.quad for line in lines], width, height, -page.turns)
    if page.turns % 2:
        height, width = width, height
    return PageDocument(width, height, tuple(replace(line, quad=quad) for line, quad in zip(lines, quads, strict=True)))
