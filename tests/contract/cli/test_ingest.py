"""`pinakes ingest`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

from pinakes.cli.ingest import File, Settling, find_files
from pinakes.cli.main import app
from pinakes.v1 import document_service_pb2 as documents
from tests.contract import scripted_server as server
from tests.contract.cli.runner import WIDE, Pinakes
from tests.contract.cli.wire import BROKEN, DONE
from tests.contract.scripted_server import Script


class Library:
    """Stores uploads by name, and refuses those that a test names."""

    def __init__(self, refused: dict[str, server.Behaviour]) -> None:
        self._refused = refused
        self.headers: list[documents.UploadHeader] = []

    async def upload(self, requests: Any, context: Any) -> Any:
        header = (await anext(aiter(requests))).header
        self.headers.append(header)
        if header.name in self._refused:
            await self._refused[header.name](requests, context)
        async for _ in requests:
            pass
        stored = documents.Document(document_id=f"id-{header.name}")
        return documents.UploadDocumentResponse(document=stored, job=documents.Job(job_id=f"job-{header.name}"))

    async def watch(self, request: Any, context: Any) -> Any:
        async for state in (BROKEN if request.job_id == "job-late.pdf" else DONE)(request, context):
            yield state


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.pdf", "sub/b.txt", "sub/known.pdf", "secret.pdf", "late.pdf", ".hidden/c.pdf"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"content of " + name.encode())
    return tmp_path


async def test_every_file_is_told_of(pinakes: Pinakes, script: Script, folder: Path) -> None:
    known = server.reason("DOCUMENT_EXISTS", document_id="d-old")
    library = Library(
        {
            "sub/known.pdf": server.fails(grpc.StatusCode.ALREADY_EXISTS, "the same bytes", known),
            "secret.pdf": server.fails(
                grpc.StatusCode.INVALID_ARGUMENT, "the document is encrypted", server.reason("ENCRYPTED_DOCUMENT")
            ),
        }
    )
    script.on("UploadDocument", library.upload)
    script.on("WatchJob", library.watch)
    result = await pinakes("ingest", str(folder), "--tag", "t", "--group", "g", "--parallel", "2")
    assert result.exit_code == 1
    rows = {Path(line.split()[0]).name: line for line in result.output.splitlines() if line.startswith(str(folder))}
    assert "ready" in rows["a.pdf"]
    assert "id-sub/b.txt" in rows["b.txt"]
    assert "already there" in rows["known.pdf"]
    assert "d-old" in rows["known.pdf"]
    assert f"{folder / 'secret.pdf'}: the document is encrypted (ENCRYPTED_DOCUMENT)" in result.output
    assert f"{folder / 'late.pdf'}: page 2 is broken (UNREADABLE_DOCUMENT)" in result.output
    assert result.output.splitlines()[-1] == "2 ready, 1 already there, 2 failed"
    assert {(header.tags[0], header.allowed_groups[0]) for header in library.headers} == {("t", "g")}
    assert {header.priority for header in library.headers} == {documents.INGESTION_PRIORITY_BULK}
    assert not any(header.replace for header in library.headers)


async def test_all_is_well(pinakes: Pinakes, script: Script, folder: Path) -> None:
    library = Library({})
    script.on("UploadDocument", library.upload)
    script.on("WatchJob", DONE)
    result = await pinakes("ingest", str(folder / "a.pdf"), str(folder / "sub"))
    assert result.exit_code == 0, result.output
    assert sorted(header.name for header in library.headers) == ["a.pdf", "b.txt", "known.pdf"]


async def test_a_file_alone_is_not_kept_waiting(pinakes: Pinakes, script: Script, folder: Path) -> None:
    library = Library({})
    script.on("UploadDocument", library.upload)
    script.on("WatchJob", DONE)
    await pinakes("ingest", "--replace", str(folder / "a.pdf"))
    [header] = library.headers
    assert (header.priority, header.replace) == (documents.INGESTION_PRIORITY_UNSPECIFIED, True)


def test_hidden_files_are_only_taken_when_named(folder: Path) -> None:
    found = [file.name for file in find_files([folder])]
    assert found == ["a.pdf", "late.pdf", "secret.pdf", "sub/b.txt", "sub/known.pdf"]
    assert [file.name for file in find_files([folder / ".hidden", folder / "a.pdf"])] == ["c.pdf", "a.pdf"]


def test_a_file_is_at_rest_when_two_looks_find_it_the_same(tmp_path: Path) -> None:
    settling = Settling()
    written, gone = (File(tmp_path / name, name) for name in ("written.txt", "gone.txt"))
    for file in (written, gone):
        file.path.write_text("a")
        settling.touch(file)
    assert settling.look() == []
    written.path.write_text("ab")
    gone.path.unlink()
    assert settling.look() == []
    os.utime(written.path, ns=(1, 1))  # the same size
    assert settling.look() == []
    assert settling.look() == [written]
    assert settling.look() == []


async def test_a_missing_file_is_one_line(pinakes: Pinakes, tmp_path: Path) -> None:
    result = await pinakes("ingest", str(tmp_path / "none.pdf"))
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1


def test_no_server_is_one_line(folder: Path) -> None:
    result = CliRunner(env=WIDE).invoke(app, ["--server", "127.0.0.1:1", "--timeout", "0.5", "ingest", str(folder)])
    assert result.exit_code == 1
    assert result.stderr.startswith("pinakes: no server answers at 127.0.0.1:1: ")
    assert result.stderr.count("\n") == 1
