"""Images: what is passed on, what is made anew, what is refused."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from server.application.reading_ports import PageImage
from server.domain.errors import UnreadableDocument
from tests.server.reading.conftest import SHARED_LOOP, ReadFile

pytestmark = SHARED_LOOP


def gradient(width: int = 60, height: int = 40, mode: str = "L") -> Image.Image:
    """Dark on the left, light on the right."""
    row = np.linspace(0, 255, width).astype(np.uint8)
    return Image.fromarray(np.tile(row, (height, 1))).convert(mode)


def encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, image_format, **options)
    return target.getvalue()


def decoded(page: object) -> Image.Image:
    assert isinstance(page, PageImage)
    image = Image.open(io.BytesIO(page.image))
    image.load()
    return image


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
async def test_every_format_is_one_page_in_pixels(read: ReadFile, image_format: str, mode: str) -> None:
    (page,) = await read(encoded(gradient(mode=mode), image_format), "no extension")
    assert isinstance(page, PageImage)
    assert (page.number, page.width, page.height, page.scale) == (1, 60, 40, 1.0)
    pixels = np.asarray(decoded(page).convert("L"), np.int16)
    assert np.abs(pixels - np.asarray(gradient(), np.int16)).mean() < 6


async def test_a_usual_image_is_passed_on_as_it_is(read: ReadFile) -> None:
    data = encoded(gradient(), "PNG")
    (page,) = await read(data)
    assert isinstance(page, PageImage)
    assert page.image == data


@pytest.mark.parametrize(
    "image",
    [
        gradient(mode="1"),
        gradient(mode="P"),
        gradient(mode="CMYK"),
        Image.fromarray(np.tile(np.linspace(0, 65535, 60).astype(np.uint16), (40, 1))),
    ],
    ids=["1", "P", "CMYK", "I;16"],
)
async def test_unusual_pixels_are_converted(read: ReadFile, image: Image.Image) -> None:
    (page,) = await read(encoded(image, "TIFF"))
    pixels = np.asarray(decoded(page).convert("L"), np.int16)
    assert pixels[:, :10].mean() < 60
    assert pixels[:, -10:].mean() > 195


async def test_what_is_transparent_becomes_white(read: ReadFile) -> None:
    image = Image.new("RGBA", (30, 20), (0, 0, 0, 0))
    (page,) = await read(encoded(image, "PNG"))
    assert np.asarray(decoded(page)).min() > 250


async def test_the_orientation_of_a_camera_is_honoured(read: ReadFile) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it turned clockwise by 90 degrees
    (page,) = await read(encoded(gradient(), "JPEG", exif=exif))
    assert isinstance(page, PageImage)
    assert (page.width, page.height) == (40, 60)
    pixels = np.asarray(decoded(page), np.int16)
    assert pixels[:10].mean() < 60
    assert pixels[-10:].mean() > 195


async def test_every_page_of_a_tiff_is_a_page(read: ReadFile) -> None:
    pages = [gradient(20 + n, 30) for n in range(3)]
    read_pages = await read(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert [(page.number, page.width) for page in read_pages] == [(1, 20), (2, 21), (3, 22)]


async def test_a_large_image_is_shrunk_for_ocr_and_keeps_its_size(read: ReadFile) -> None:
    (page,) = await read(encoded(gradient(7000, 5000), "PNG"))
    assert isinstance(page, PageImage)
    image = decoded(page)
    assert (page.width, page.height) == (7000, 5000)
    assert image.width * image.height <= 25_100_000
    assert page.scale == pytest.approx(image.width / 7000)


async def test_a_decompression_bomb_is_refused_before_it_is_decoded(read: ReadFile) -> None:
    bomb = encoded(Image.new("1", (20_000, 20_000)), "PNG")
    assert len(bomb) < 200_000
    with pytest.raises(UnreadableDocument, match="20000 x 20000 pixels"):
        await read(bomb)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "TIFF", "WEBP"])
async def test_an_image_that_was_cut_off_is_refused(read: ReadFile, image_format: str) -> None:
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 255, (200, 200), np.uint8))
    data = encoded(noise, image_format)
    with pytest.raises(UnreadableDocument):
        await read(data[: len(data) // 2])
