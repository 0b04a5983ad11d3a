from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from triton_models.ocr.decoding import UnreadableImage, decode

LIMIT = 1_000_000


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_formats_give_blue_green_red(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = decode(encoded(Image.new("RGB", (40, 20), (250, 120, 10)), kind, **options), LIMIT)
    assert pixels.shape == (20, 40, 3)
    assert np.abs(pixels[10, 20].astype(int) - [10, 120, 250]).max() <= 4


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "CMYK", "I;16", "I", "F"])
def test_every_mode_becomes_three_bytes_a_pixel(mode: str) -> None:
    kind = "TIFF" if mode in ("CMYK", "F", "I", "PA") else "PNG"
    source = Image.new("L", (8, 8), 255).convert(mode if mode != "PA" else "LA")
    pixels = decode(encoded(source, kind), LIMIT)
    assert pixels.shape == (8, 8, 3)
    assert pixels.min() == 255


def test_transparent_means_white() -> None:
    assert decode(encoded(Image.new("RGBA", (5, 5), (0, 0, 0, 0))), LIMIT).min() == 255


def test_exif_turns_the_image_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(Image.new("RGB", (40, 20)), "JPEG", exif=exif), LIMIT).shape == (40, 20, 3)


def bomb() -> bytes:
    """A PNG of a few bytes whose header promises 100,000 x 100,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no image"),
        (b"%PDF-1.7 not an image", "no image"),
        (encoded(Image.effect_noise((64, 64), 50))[:600], "broken"),
        (encoded(Image.new("L", (1001, 1000))), "at most 1000000"),
        (bomb(), "at most 1000000"),
        (encoded(Image.new("RGB", (4, 4)), "GIF"), "no image"),
    ],
    ids=["empty", "a PDF", "cut off", "too large", "a bomb", "a format that is not read"],
)
def test_what_cannot_be_read_says_why(data: bytes, says: str) -> None:
    with pytest.raises(UnreadableImage, match=says):
        decode(data, LIMIT)
