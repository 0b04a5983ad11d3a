"""What the `ocr` model answers: a page as JSON.

    {"width": 1240, "height": 1754, "skew": -0.0012,
     "rules": [[x0, y0, x1, y1], …],
     "lines": [{"text": "Terms", "confidence": 0.98, "box": [x0, y0, x1, y1],
                "polygon": [[x, y], [x, y], [x, y], [x, y]],
                "characters": [["T", 0.99, x0, y0, x1, y1], …]}]}

`skew` is the angle of the rows, in radians, clockwise; for downward lines by how much they deviate from the vertical.
`rules` are the straight lines along the text and across it, each by its two ends, the longest first.

Lines are in reading order. Coordinates are pixels of the image as it was sent (turned upright by its EXIF), origin
top-left; `polygon` goes clockwise from the corner where the text starts, `box` is the upright rectangle around it.
`characters` has every character of `text`, spaces included, each with its confidence and box. Along the line, words
begin and end with their ink; between two neighbours a box ends halfway.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triton_models.ocr.detection import Quad
from triton_models.ocr.rules import Segments


@dataclass(frozen=True, slots=True, eq=False)
class PageCharacters:
    """`texts` joined are the line's text. confidences: float32[n]; quads: float32[n, 4, 2], corners as in `Quad`."""

    texts: tuple[str, ...]
    confidences: npt.NDArray[np.float32]
    quads: npt.NDArray[np.float32]


NO_CHARACTERS = PageCharacters((), np.empty(0, dtype=np.float32), np.empty((0, 4, 2), dtype=np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class PageLine:
    """`vertical`: the line runs downwards."""

    text: str
    confidence: float
    quad: Quad
    vertical: bool = False
    characters: PageCharacters = NO_CHARACTERS


@dataclass(frozen=True, slots=True, eq=False)
class PageDocument:
    width: int
    height: int
    lines: tuple[PageLine, ...]
    rules: Segments
    skew: float


def to_json(page: PageDocument) -> bytes:
    document = {
        "width": page.width,
        "height": page.height,
        "skew": round(page.skew, 5),
        "rules": page.rules.reshape(-1, 4).astype(np.float64).round(1).tolist(),
        "lines": [
            {
                "text": line.text,
                "confidence": round(line.confidence, 4),
                "box": [*_rounded(line.quad.min(axis=0)), *_rounded(line.quad.max(axis=0))],
                "polygon": [_rounded(corner) for corner in line.quad],
                "characters": _characters(line.characters),
            }
            for line in page.lines
        ],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _characters(characters: PageCharacters) -> list[list[str | float]]:
    boxes = np.concatenate([characters.quads.min(axis=1), characters.quads.max(axis=1)], axis=1).round(1).tolist()
    confidences = characters.confidences.astype(np.float64).round(4).tolist()
    return [[text, sure, *box] for text, sure, box in zip(characters.texts, confidences, boxes, strict=True)]


def _rounded(point: npt.NDArray[np.float32]) -> list[float]:
    return [round(float(coordinate), 1) for coordinate in point]
