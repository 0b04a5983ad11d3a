"""Pages as pictures: what is shown, where boxes are, how large it may be; thumbnails of every format."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from server.adapters.document_reader import DocumentReaderOptions, FileDocumentReader
from server.adapters.reading.opening import ReadingOptions
from server.adapters.reading.page_views import ViewOptions
from server.adapters.reading.probing import SUPPORTED
from server.application.page_image_ports import THUMBNAIL_SIZE, PageView, PageWish
from server.domain.documents import Box, Page
from server.domain.errors import InvalidField, NoPageImage, UnreadableDocument
from tests.fuzz.documents import documents
from tests.server.reading.conftest import HEIGHT, SHARED_LOOP, WIDTH, draw, put, turned
from tests.server.reading.test_images import encoded, gradient

pytestmark = SHARED_LOOP

PDF = "application/pdf"


def pixels(view: PageView) -> NDArray[np.int16]:
    image = Image.open(io.BytesIO(view.image))
    assert (image.width, image.height, view.media_type) == (view.width, view.height, "image/jpeg")
    return np.asarray(image.convert("RGB"), np.int16)


def square(canvas: Canvas) -> None:
    """Red, from (100, 50) to (200, 150) seen from the upper left."""
    canvas.setFillColorRGB(1, 0, 0)
    canvas.rect(100, HEIGHT - 150, 100, 100, stroke=0, fill=1)


def red(view: PageView) -> NDArray[np.bool_]:
    shown = pixels(view)
    return (shown[..., 0] > 200) & (shown[..., 1] < 80)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "upload"


async def test_a_page_is_shown_in_colour_at_the_scale_that_was_asked_for(
    reader: FileDocumentReader, path: Path
) -> None:
    path.write_bytes(draw(lambda c: put(c, 9, 20, "one"), square))
    view = await reader.show(path, PDF, PageWish(2, 2.0, ()))
    assert (view.width, view.height, view.scale) == (2 * WIDTH, 2 * HEIGHT, 2.0)
    inside = red(view)
    assert inside[110:290, 210:390].all()
    assert not inside[:, :190].any() and not inside[:90].any()
    usual = await reader.show(path, PDF, PageWish(2, None, ()))
    assert usual.scale == 1.5


async def test_boxes_are_marked_where_the_reader_saw_the_text(reader: FileDocumentReader, path: Path) -> None:
    path.write_bytes(turned(draw(lambda c: put(c, 50, 100, "Twelve points")), 90))
    [page] = [page async for page in reader.pages(path, await reader.probe(path, "x"), 1)]
    assert isinstance(page, Page)
    box = page.blocks[0].lines[0].box
    assert box is not None
    outside = Box(-500, -500, -400, -400)
    plain, marked = [pixels(await reader.show(path, PDF, PageWish(1, 2.0, boxes))) for boxes in ((), (box, outside))]
    rows, columns = np.nonzero(np.abs(plain - marked).max(axis=2) > 40)
    found = [columns.min() / 2, rows.min() / 2, columns.max() / 2, rows.max() / 2]
    assert found == pytest.approx([box.x0, box.y0, box.x1, box.y1], abs=3)


async def test_large_pages_are_shown_smaller(path: Path) -> None:
    path.write_bytes(draw(square))
    options = DocumentReaderOptions(ReadingOptions(view=ViewOptions(most_pixels=50_000)))
    reader = FileDocumentReader(options)
    view = await reader.show(path, PDF, PageWish(1, 16.0, ()))
    await reader.close()
    assert view.width * view.height <= 51_000
    assert view.scale == pytest.approx(view.width / WIDTH, rel=0.01)
    assert red(view)[int(100 * view.scale), int(150 * view.scale)]


async def test_an_image_is_shown_upright(reader: FileDocumentReader, path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path.write_bytes(encoded(gradient(), "JPEG", exif=exif))
    view = await reader.show(path, "image/jpeg", PageWish(1, 0.5, ()))
    assert (view.width, view.height, view.scale) == (20, 30, 0.5)
    shown = pixels(view)
    assert shown[:5].mean() < 80 and shown[-5:].mean() > 180


async def test_what_cannot_be_shown_is_refused(reader: FileDocumentReader, path: Path) -> None:
    path.write_bytes(b"Some text.\n")
    with pytest.raises(NoPageImage):
        await reader.show(path, "text/plain", PageWish(1, 1.0, ()))
    with pytest.raises(InvalidField, match="at most 1"):
        await reader.show(path, "text/plain", PageWish(2, 1.0, ()))
    with pytest.raises(UnreadableDocument):
        await reader.show(path, PDF, PageWish(1, 1.0, ()))


@pytest.mark.parametrize("name", sorted(documents()))
async def test_every_format_is_read_and_has_a_thumbnail(reader: FileDocumentReader, path: Path, name: str) -> None:
    path.write_bytes(documents()[name])
    probe = await reader.probe(path, "upload")
    assert probe.media_type in SUPPORTED
    assert len([page async for page in reader.pages(path, probe, 1)]) == probe.page_count
    thumbnail = await reader.thumbnail(path, probe.media_type)
    assert (thumbnail.width, thumbnail.height) == THUMBNAIL_SIZE
    shown = pixels(thumbnail)
    assert shown.max() > 230, "paper"
    assert shown.min() < 160, "and something on it"


async def test_a_thumbnail_keeps_the_proportions(reader: FileDocumentReader, path: Path) -> None:
    path.write_bytes(draw(square))
    inside = red(await reader.thumbnail(path, PDF))
    rows, columns = np.nonzero(inside)
    assert (columns.min(), columns.max()) == (pytest.approx(50, abs=2), pytest.approx(100, abs=2))
    assert rows.max() - rows.min() == pytest.approx(columns.max() - columns.min(), abs=2)


async def test_nothing_is_left_of_what_is_hidden(reader: FileDocumentReader, path: Path) -> None:
    path.write_bytes(draw(square))
    square_box = Box(100, 50, 200, 150)
    for view in (
        await reader.show(path, PDF, PageWish(1, 2.0, (square_box,), (square_box,))),
        await reader.thumbnail(path, PDF, (square_box,)),
    ):
        assert not red(view).any()
        assert (pixels(view).max(axis=2) < 30).any()
    outside = Box(-50, -50, -10, -10)
    assert red(await reader.show(path, PDF, PageWish(1, 2.0, (), (outside,)))).any()
