"""What the `ocr` model answers: a page as JSON.

    {"width": 1240, "height": 1754,
     "lines": [{"text": "Terms", "confidence": 0.98, "box": [x0, y0, x1, y1],
                "polygon": [[x, y], [x, y], [x, y], [x, y]]}]}

Lines are in reading order. Coordinates are pixels of the image as it was sent (turned upright by its EXIF), origin
top-left; `polygon` goes clockwise from the corner where the text starts, `box` is the upright rectangle around it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from triton_models.ocr.detection import Quad


@dataclass(frozen=True, slots=True, eq=False)
class PageLine:
    """`vertical`: the line runs downwards."""

    text: str
    confidence: float
    quad: Quad
    vertical: bool = False


@dataclass(frozen=True, slots=True)
class PageDocument:
    width: int
    height: int
    lines: tuple[PageLine, ...]


def to_json(page: PageDocument) -> bytes:
    document = {
        "width": page.width,
        "height": page.height,
        "lines": [
            {
                "text": line.text,
                "confidence": round(line.confidence, 4),
                "box": [*_rounded(line.quad.min(axis=0)), *_rounded(line.quad.max(axis=0))],
                "polygon": [_rounded(corner) for corner in line.quad],
            }
            for line in page.lines
        ],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _rounded(point: np.typing.NDArray[np.float32]) -> list[float]:
    return [round(float(coordinate), 1) for coordinate in point]
