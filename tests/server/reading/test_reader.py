"""The reader's life: nothing left open or running."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.adapters.document_reader import DocumentReaderOptions, FileDocumentReader
from server.adapters.reading.opening import ReadingOptions
from server.application.reading_ports import Probe
from server.domain.errors import UnreadableDocument
from tests.server.reading.conftest import draw, eventually, put, reader_processes


@pytest.fixture
async def reader() -> AsyncIterator[FileDocumentReader]:
    """Its own for each test: what is left of it is looked at."""
    made = FileDocumentReader()
    yield made
    await made.close()


def open_files(path: Path) -> int:
    """In this process and its readers of PDFs."""
    processes = [os.getpid(), *reader_processes()]
    links = [link for process in processes for link in Path(f"/proc/{process}/fd").iterdir()]
    return sum(link.exists() and link.samefile(path) for link in links)


def pages(count: int) -> bytes:
    return draw(*[lambda c, n=n: put(c, 20, 60, f"This is page {n}") for n in range(count)])


async def test_an_iterator_closed_early_closes_the_file(reader: FileDocumentReader, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(pages(4))
    probe = await reader.probe(path, "x")
    await eventually(lambda: open_files(path) == 0)
    async with contextlib.aclosing(reader.pages(path, probe, 1)) as iterator:
        assert (await anext(iterator)).number == 1
        assert open_files(path) == 2, "here and there"
    await eventually(lambda: open_files(path) == 0)  # in turn, not at once


async def test_a_cancelled_reader_closes_the_file(reader: FileDocumentReader, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(pages(30))
    probe = await reader.probe(path, "x")
    begun = asyncio.Event()

    async def read_all() -> None:
        async for _ in reader.pages(path, probe, 1):
            begun.set()

    task = asyncio.create_task(read_all())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: open_files(path) == 0)  # in turn, not at once


async def test_readings_side_by_side_do_not_disturb_each_other(reader: FileDocumentReader, tmp_path: Path) -> None:
    async def numbers(count: int) -> list[int]:
        path = tmp_path / f"upload{count}"
        path.write_bytes(pages(count))
        return [page.number async for page in reader.pages(path, Probe("application/pdf", count), 1)]

    read = await asyncio.gather(*(numbers(count) for count in range(1, 8)))
    assert read == [list(range(1, count + 1)) for count in range(1, 8)]


async def test_too_many_pages_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(pages(3))
    reader = FileDocumentReader(DocumentReaderOptions(ReadingOptions(most_pages=2)))
    with pytest.raises(UnreadableDocument, match="more than 2 pages"):
        await reader.probe(path, "x")
    await reader.close()


def reader_threads() -> int:
    return sum(thread.name.startswith("the-document-reader") for thread in threading.enumerate())


async def test_processes_are_started_when_they_are_needed_and_end_with_the_reader(tmp_path: Path) -> None:
    reader = FileDocumentReader()
    assert (reader_threads(), reader_processes()) == (0, [])
    path = tmp_path / "upload"
    path.write_bytes(pages(2))
    probe = await reader.probe(path, "x")
    async with contextlib.aclosing(reader.pages(path, probe, 1)) as iterator:
        assert (await anext(iterator)).number == 1
        assert len(reader_processes()) == 1, "one is enough while nobody else reads"
        await reader.probe(path, "x")
        assert (reader_threads(), len(reader_processes())) == (2, 2)
    await reader.close()
    assert (reader_threads(), reader_processes()) == (0, [])


@pytest.mark.parametrize("iterator_first", [True, False])
async def test_closing_the_reader_leaves_no_file_open(tmp_path: Path, iterator_first: bool) -> None:
    path = tmp_path / "upload"
    path.write_bytes(pages(3))
    reader = FileDocumentReader()
    iterator = reader.pages(path, await reader.probe(path, "x"), 1)
    await anext(iterator)
    for close in (iterator.aclose, reader.close) if iterator_first else (reader.close, iterator.aclose):
        await close()
    assert open_files(path) == 0
