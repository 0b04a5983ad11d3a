"""What a file is, whatever its name says."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import pytest

from server.adapters.document_reader import FileDocumentReader
from server.adapters.reading.probing import SUPPORTED
from server.domain.errors import UnreadableDocument, UnsupportedFormat
from tests.server.reading.conftest import SHARED_LOOP, draw, put
from tests.server.reading.test_images import encoded, gradient

pytestmark = SHARED_LOOP

MARKDOWN = b"# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"


def archive(*names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        for name in names:
            made.writestr(name, "application/epub+zip" if name == "mimetype" else "<x/>")
    return target.getvalue()


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    return tmp_path / "upload"


@pytest.mark.parametrize(
    ("data", "name", "media_type", "pages"),
    [
        (draw(lambda c: put(c, 9, 9, "a"), lambda c: put(c, 9, 9, "b")), "report.docx", "application/pdf", 2),
        (b"\n\n" + draw(lambda c: put(c, 9, 9, "a")), "x", "application/pdf", 1),
        (encoded(gradient(), "PNG"), "page.pdf", "image/png", 1),
        (encoded(gradient(), "JPEG"), "page.png", "image/jpeg", 1),
        (encoded(gradient(), "TIFF"), "page.txt", "image/tiff", 1),
        (encoded(gradient(), "WEBP"), "", "image/webp", 1),
        (MARKDOWN, "notes", "text/markdown", 1),
        (b"One line. # not a heading\n", "notes", "text/plain", 1),
        (b"One line.\n", "notes.md", "text/markdown", 1),
        (b"# A comment\nkey = 1\n", "settings.ini", "text/plain", 1),
        (b'{"a": [1, 2]}', "a.json", "text/plain", 1),
        (b"<!DOCTYPE html>\n<html><body>x</body></html>", "page.pdf", "text/html", 1),
        (b'<?xml version="1.0"?>\n<!-- a --><HTML></HTML>', "x", "text/html", 1),
        (b"From: a@b.c\r\nTo: d@e.f\r\nMIME-Version: 1.0\r\n\r\nHi\r\n", "mail.txt", "message/rfc822", 1),
        (b"From: the harbour\nTo: all\n\nA memo.\n", "memo", "text/plain", 1),
        (b"name;born\nAna;1990\nBo;1991\n", "people.txt", "text/csv", 1),
        ("名前,年齢\n佐藤,30\n三木,25\n".encode("cp932"), "x", "text/csv", 1),
        (b"Hello, all\nDear Ana, dear Bo\nBye, now\n", "x.csv", "text/plain", 1),
        (b'{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n{"a": 5, "b": 6}\n', "x.csv", "text/plain", 1),
        (
            b"2026-01-01 10:00:00,123 one\n2026-01-01 10:00:01,456 two\n2026-01-01 10:00:02,7 three\n",
            "x",
            "text/plain",
            1,
        ),
        (b"The header of a PDF is %PDF-1.7, and it ends with %%EOF.\n", "x.pdf", "text/plain", 1),
    ],
)
async def test_supported(
    reader: FileDocumentReader, upload: Path, data: bytes, name: str, media_type: str, pages: int
) -> None:
    upload.write_bytes(data)
    probe = await reader.probe(upload, name)
    assert (probe.media_type, probe.page_count) == (media_type, pages)
    assert media_type in SUPPORTED


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (archive("mimetype"), "application/epub\\+zip"),
        (archive("anything"), "application/zip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "ole"),
        (b"GIF89a" + bytes(60), "image/gif"),
        (b'<?xml version="1.0"?><a/>', "application/xml"),
        (b"{\\rtf1\\ansi Hello}", "application/rtf"),
    ],
)
async def test_known_but_not_supported(reader: FileDocumentReader, upload: Path, data: bytes, media_type: str) -> None:
    upload.write_bytes(data)
    with pytest.raises(UnsupportedFormat, match=media_type):
        await reader.probe(upload, "report.pdf")


@pytest.mark.parametrize("data", [b"", random.Random(4).randbytes(5000), b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<"])
async def test_unreadable(reader: FileDocumentReader, upload: Path, data: bytes) -> None:
    upload.write_bytes(data)
    with pytest.raises(UnreadableDocument):
        await reader.probe(upload, "report.pdf")
