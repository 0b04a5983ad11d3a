"""Documents that hang or break what reads them do so alone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from server.adapters.document_reader import DocumentReaderOptions, FileDocumentReader
from server.adapters.memory_files import MemoryFile
from server.adapters.reading import reader_process
from server.adapters.reading.reader_process import ReaderProcessOptions
from server.application.reading_ports import Probe
from server.domain.errors import DependencyUnavailable, Overloaded, StageDeadline, UnreadableDocument
from tests.server.reading.conftest import PATIENCE_S, draw, eventually, put, reader_processes

PDF = "application/pdf"
WritePdf = Callable[[str], Path]


@pytest.fixture(autouse=True)
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    program = reader_process._PROGRAM.replace(
        "server.adapters.reading.reader_program", "tests.server.reading.faulty_program"
    )
    assert program != reader_process._PROGRAM
    monkeypatch.setattr(reader_process, "_PROGRAM", program)


@pytest.fixture
def pdf(tmp_path: Path) -> WritePdf:
    """A PDF of three pages with the fault of its name."""

    def write(name: str) -> Path:
        path = tmp_path / f"{name}.pdf"
        path.write_bytes(draw(*[lambda c, n=n: put(c, 20, 60, f"This is page {n}") for n in range(3)]))
        return path

    return write


@asynccontextmanager
async def opened(**options: object) -> AsyncIterator[FileDocumentReader]:
    reader = FileDocumentReader(DocumentReaderOptions(**options))  # type: ignore[arg-type]
    try:
        yield reader
    finally:
        await reader.close()
    assert reader_processes() == []


async def read(reader: FileDocumentReader, path: Path) -> list[int]:
    async with aclosing(reader.pages(path, Probe(PDF, 3), 1)) as pages:
        return [page.number async for page in pages]


@asynccontextmanager
async def hung(reader: FileDocumentReader, path: Path) -> AsyncIterator[asyncio.Task[list[int]]]:
    """While a page of `path` hangs."""
    task = asyncio.create_task(read(reader, path))
    await eventually(path.with_suffix(".begun").exists)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def test_other_files_are_read_while_a_pdf_hangs(pdf: WritePdf, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("Some text.\n")
    async with opened() as reader, hung(reader, pdf("hang")) as task:
        probe = await reader.probe(text, "x.txt")
        assert [page.number async for page in reader.pages(text, probe, 1)] == [1]
        assert not task.done()


async def test_a_pdf_that_hangs_is_given_up_and_others_go_on(pdf: WritePdf) -> None:
    async with (
        opened(page_limit_s=1.0, processes=1) as reader,
        aclosing(reader.pages(pdf("healthy"), Probe(PDF, 3), 1)) as healthy,
    ):
        assert (await anext(healthy)).number == 1
        before = reader_processes()
        with pytest.raises(StageDeadline):
            await read(reader, pdf("hang"))
        assert [page.number async for page in healthy] == [2, 3]
        assert before and reader_processes() != before


async def test_who_waits_behind_a_hung_page_is_not_at_fault(pdf: WritePdf) -> None:
    async with opened(queue_wait_s=0.1, processes=1) as reader, hung(reader, pdf("hang")):
        with pytest.raises(Overloaded):
            await reader.probe(pdf("healthy"), "x")


async def test_a_page_that_crashes_twice_is_refused(pdf: WritePdf) -> None:
    async with opened() as reader:
        with capture_logs() as logs, pytest.raises(UnreadableDocument, match="breaks down"):
            await read(reader, pdf("crash"))
        assert [entry["exit_code"] for entry in logs] == [-signal.SIGSEGV] * 2
        assert await read(reader, pdf("healthy")) == [1, 2, 3]


async def test_a_page_that_crashes_once_is_read(pdf: WritePdf) -> None:
    async with opened() as reader:
        assert await read(reader, pdf("crash once")) == [1, 2, 3]


async def test_a_reader_killed_between_pages_is_replaced(pdf: WritePdf) -> None:
    numbers = []
    async with opened() as reader, aclosing(reader.pages(pdf("healthy"), Probe(PDF, 3), 1)) as pages:
        async for page in pages:
            numbers.append(page.number)
            [process] = reader_processes()
            os.kill(process, signal.SIGKILL)
    assert numbers == [1, 2, 3]


async def test_a_defect_is_logged_without_the_documents_text(pdf: WritePdf) -> None:
    async with opened() as reader:
        with capture_logs() as logs, pytest.raises(RuntimeError, match=r"^a defect in the document reader$"):
            await read(reader, pdf("bug"))
        [entry] = logs
        assert "faulty_program.py" in entry["trace"] and "the text" not in entry["trace"]
        assert await read(reader, pdf("healthy")) == [1, 2, 3]


async def test_a_document_that_takes_too_much_memory_is_refused(pdf: WritePdf) -> None:
    async with opened(process=ReaderProcessOptions(memory_bytes=2**30)) as reader:
        assert await read(reader, pdf("healthy")) == [1, 2, 3]
        before = reader_processes()
        with pytest.raises(UnreadableDocument, match="memory"):
            await read(reader, pdf("grow"))
        assert await read(reader, pdf("healthy")) == [1, 2, 3]
        assert len(before) == 1 and reader_processes() != before


async def test_a_process_that_does_not_start_is_no_fault_of_the_document(
    pdf: WritePdf, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pdf("healthy")
    async with opened() as reader:
        with monkeypatch.context() as broken:
            broken.setattr(reader_process, "_PROGRAM", "raise SystemExit")
            with pytest.raises(DependencyUnavailable):
                await reader.probe(path, "x")
        assert (await reader.probe(path, "x")).page_count == 3


async def test_closing_ends_a_hung_page(pdf: WritePdf) -> None:
    async with opened() as reader, hung(reader, pdf("hang")) as task:
        async with asyncio.timeout(PATIENCE_S):
            await reader.close()
            with pytest.raises(DependencyUnavailable):
                await task
        with pytest.raises(DependencyUnavailable):
            await reader.probe(pdf("healthy"), "x")


@pytest.mark.stack
async def test_a_hung_reader_ends_with_its_killed_parent(pdf: WritePdf) -> None:
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from server.adapters.reading import reader_process\n"
        "from tests.server.reading.conftest import reader_processes\n"
        "from tests.server.reading.test_reader_process import hung, opened\n"
        "async def main():\n"
        "    reader_process._PROGRAM = sys.argv[1]\n"
        "    async with opened() as reader, hung(reader, Path(sys.argv[2])):\n"
        "        print(*reader_processes(), flush=True)\n"
        "        await asyncio.sleep(3600)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, reader_process._PROGRAM, str(pdf("hang")), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        child = Path("/proc") / (await parent.stdout.readline()).decode().strip()
        assert child.exists() and child.name.isdigit()
        parent.kill()
        await parent.communicate()
    await eventually(lambda: not child.exists() or "State:\tZ" in (child / "status").read_text())


def test_a_request_goes_to_its_own_file_whatever_becomes_of_who_asked(tmp_path: Path) -> None:
    """The caller's descriptor is closed when it goes, and its number given to another file."""
    with MemoryFile([b"mine"]) as mine:
        held = reader_process._HeldFile(mine.path)
        theirs = mine.path
    path = held.path
    with MemoryFile([b"another one's"]) as other:
        assert other.path == theirs, "the number is used again"
        assert path.read_bytes() == b"mine"
    del held
    assert not path.exists(), "nobody holds it"
