"""Typeset pages whose text is known: A4 at 300 DPI, rows of English, rows and columns of Japanese, clean or scanned."""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from bench.suites.index.datasets import CORPUS, NoDataSets

Writing = Literal["rows", "columns"]

WIDTH, HEIGHT = 2480, 3508
MARGIN = 260
SIZE = 46
"""Pixels; 11 points."""
_NEVER_FIRST = frozenset("、。，．」』）】〕・ー！？：；ぁぃぅぇぉっゃゅょァィゥェォッャュョ々％")
_NEVER_LAST = frozenset("「『（【〔")
_NOT_PLAIN = frozenset("*#_|<>")
_LEAST_LETTERS = 120


@dataclass(frozen=True, slots=True)
class TypesetPage:
    image: bytes
    text: str


def font_path(family: str) -> str:
    """Raises ValueError if the machine has no such font."""
    return str(font_manager.findfont(family, fallback_to_default=False))


def texts_of(sets: Path, name: str, seed: int, *, wide: bool) -> Iterator[str]:
    """Paragraphs of a retrieval set in random order, those in plain English or, with `wide`, plain Japanese. Raises
    NoDataSets."""
    corpus = sets / name / CORPUS
    if not corpus.exists():
        raise NoDataSets(sets)
    paragraphs = [str(json.loads(row)["text"]).strip() for row in corpus.read_text().splitlines()]
    for index in np.random.default_rng(seed).permutation(len(paragraphs)):
        text = unicodedata.normalize("NFC", " ".join(paragraphs[index].split()))
        if len(text) >= _LEAST_LETTERS and all(_is_plain(character, wide) for character in text):
            yield text


def _is_plain(character: str, wide: bool) -> bool:
    japanese = (
        "\u3000" <= character <= "\u30ff" or "\u4e00" <= character <= "\u9fff" or "\uff00" <= character <= "\uff60"
    )
    return (character.isascii() or (wide and japanese)) and character not in _NOT_PLAIN


def english_page(texts: Iterator[str], font: str) -> TypesetPage:
    face = ImageFont.truetype(font, SIZE)
    pitch = round(1.5 * SIZE)
    lines = _page_of(
        ((*_wrapped(text, face, WIDTH - 2 * MARGIN), "") for text in texts), (HEIGHT - 2 * MARGIN) // pitch
    )
    image, draw = _blank()
    for number, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + number * pitch), line, font=face, fill=0)
    return TypesetPage(_png(image), "\n".join(lines))


def japanese_page(texts: Iterator[str], font: str, writing: Writing) -> TypesetPage:
    """Columns go from right to left, with the font's forms of signs for them; letters and digits in them are wide."""
    face = ImageFont.truetype(font, SIZE, layout_engine=ImageFont.Layout.RAQM)
    pitch = round(1.75 * SIZE)
    along, across = (WIDTH, HEIGHT) if writing == "rows" else (HEIGHT, WIDTH)
    cells, count = (along - 2 * MARGIN) // SIZE - 1, (across - 2 * MARGIN) // pitch
    shown = (text if writing == "rows" else _widened(text) for text in texts)
    lines = _page_of((_in_cells(f"\u3000{text}", cells) for text in shown), count)
    image, draw = _blank()
    for number, line in enumerate(lines):
        if writing == "rows":
            draw.text((MARGIN, MARGIN + number * pitch), line, font=face, fill=0)
        else:
            place = (WIDTH - MARGIN - number * pitch - SIZE // 2, MARGIN)
            draw.text(place, line, font=face, fill=0, direction="ttb", anchor="mt", language="ja", features=["vert"])
    return TypesetPage(_png(image), "\n".join(lines))


def scanned(page: TypesetPage, seed: int, *, dpi: int) -> TypesetPage:
    """The page as a poor scanner gives it: turned by up to 1.5 degrees, coarser, blurred, on uneven grey paper, with
    the sensor's noise, specks, and JPEG's artefacts."""
    rng = np.random.default_rng(seed)
    clean = np.asarray(Image.open(io.BytesIO(page.image)).convert("L"))
    turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), rng.uniform(-1.5, 1.5), 1.0)
    turned = cv2.warpAffine(clean, turn, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderValue=255)
    coarse = cv2.resize(turned, None, fx=dpi / 300, fy=dpi / 300, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(coarse, (0, 0), 0.8)
    light: npt.NDArray[np.float64] = np.asarray(blurred, dtype=np.float64) / 255
    height, width = light.shape
    paper = 235 + 8 * cv2.resize(rng.standard_normal((20, 15)), (width, height), interpolation=cv2.INTER_CUBIC)
    noisy = paper * light + 40 * (1 - light) + rng.normal(0, 14, light.shape)
    specks = rng.random(light.shape)
    noisy[specks < 0.001] = 0
    noisy[specks > 0.999] = 255
    out = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=75)
    return TypesetPage(out.getvalue(), page.text)


def _page_of(paragraphs: Iterable[Iterable[str]], count: int) -> list[str]:
    """The first `count` lines. Raises ValueError if there are fewer."""
    lines: list[str] = []
    for paragraph in paragraphs:
        lines.extend(paragraph)
        if len(lines) >= count:
            return lines[:count]
    raise ValueError("the texts do not fill the pages")


def _wrapped(text: str, face: ImageFont.FreeTypeFont, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if face.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _in_cells(text: str, cells: int) -> list[str]:
    """Lines of that many characters, one less where a line would end with an opening bracket, up to two more where the
    next would begin with a sign that must not be first."""
    lines, start = [], 0
    while start < len(text):
        end = min(len(text), start + cells)
        while end < min(len(text), start + cells + 2) and text[end] in _NEVER_FIRST:
            end += 1
        while start + 1 < end < len(text) and text[end - 1] in _NEVER_LAST:
            end -= 1
        lines.append(text[start:end])
        start = end
    return lines


def _widened(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text).replace(" ", "\u3000")


def _blank() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("L", (WIDTH, HEIGHT), 255)
    return image, ImageDraw.Draw(image)


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
