"""Readers, and documents drawn at known places."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pypdfium2 as pdfium
import pytest
import pytest_asyncio
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from server.adapters.document_reader import FileDocumentReader
from server.application.reading_ports import PageImage
from server.domain.documents import Page

SHARED_LOOP = pytest.mark.asyncio(loop_scope="module")
ReadFile = Callable[..., Awaitable[list[Page | PageImage]]]
WIDTH, HEIGHT = 400.0, 500.0
PATIENCE_S = 30.0


def reader_processes() -> list[int]:
    """The processes of readers that this process has running."""
    children = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    programs = {int(child): Path(f"/proc/{child}/cmdline").read_text() for group in children for child in group}
    return [child for child, program in programs.items() if "_program import main" in program]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader() -> AsyncIterator[FileDocumentReader]:
    """Shared by the tests of a module, which run in one loop: `pytestmark = SHARED_LOOP`."""
    made = FileDocumentReader()
    yield made
    await made.close()


@pytest.fixture
def read(reader: FileDocumentReader, tmp_path: Path) -> ReadFile:
    """Writes bytes to a file and reads all its pages."""

    async def read_all(data: bytes, name: str = "document", first: int = 1) -> list[Page | PageImage]:
        path = tmp_path / "upload"
        path.write_bytes(data)
        probe = await reader.probe(path, name)
        return [page async for page in reader.pages(path, probe, first)]

    return read_all


def draw(
    *pages: Callable[[Canvas], None],
    size: tuple[float, float] = (WIDTH, HEIGHT),
    encrypt: StandardEncryption | None = None,
    crop: tuple[float, float, float, float] | None = None,
) -> bytes:
    """A PDF whose pages are drawn by functions of the canvas (origin bottom left)."""
    target = io.BytesIO()
    canvas = Canvas(target, pagesize=size, encrypt=encrypt, cropBox=crop)
    for page in pages:
        page(canvas)
        canvas.showPage()
    canvas.save()
    return target.getvalue()


def turned(data: bytes, degrees: int) -> bytes:
    """The PDF with all its pages rotated clockwise."""
    document = pdfium.PdfDocument(data)
    for number in range(len(document)):
        page = document[number]
        page.set_rotation(degrees)
        page.close()
    target = io.BytesIO()
    document.save(target)
    document.close()
    return target.getvalue()


def put(canvas: Canvas, x: float, top: float, text: str, size: float = 12, font: str = "Helvetica") -> None:
    """Text whose baseline is `top` points below the upper edge of the page."""
    canvas.setFont(font, size)
    canvas.drawString(x, HEIGHT - top, text)


def put_lines(canvas: Canvas, x: float, top: float, lines: Sequence[str], size: float = 12) -> None:
    for number, line in enumerate(lines):
        put(canvas, x, top + number * size * 1.3, line, size)


def put_image(canvas: Canvas, encoded: bytes) -> None:
    """A picture over the whole page."""
    canvas.drawImage(ImageReader(io.BytesIO(encoded)), 0, 0, WIDTH, HEIGHT)


def text_of(page: Page | PageImage) -> list[str]:
    assert isinstance(page, Page)
    return [line.text for block in page.blocks for line in block.lines]


async def eventually(holds: Callable[[], bool]) -> None:
    """Returns when it holds; for what other processes do."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
