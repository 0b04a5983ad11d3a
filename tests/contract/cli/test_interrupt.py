"""Ctrl-C reaches the server."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from pinakes.v1 import document_service_pb2
from tests.contract import scripted_server as server
from tests.contract.scripted_server import Script
from tests.contract.test_calls import Received, delta, job_is

# A shell's background jobs ignore interrupts, and so would what they start.
RUN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);from pinakes.cli.main import main; main()"
)


@pytest.mark.parametrize("command", ["ask", "ingest"])
async def test_an_interrupt_cancels_the_call(address: str, script: Script, tmp_path: Path, command: str) -> None:
    script.on("Answer", server.hangs(delta("The river")))
    script.on("UploadDocument", Received().store)
    script.on("WatchJob", server.hangs(job_is("RUNNING")))
    files = [tmp_path / f"{number}.txt" for number in range(3)]
    for file in files:
        file.write_text(file.name)
    arguments = ["ask", "q"] if command == "ask" else ["ingest", "--parallel", "2", str(tmp_path)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        RUN,
        "--server",
        address,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        method = "Answer" if command == "ask" else "WatchJob"
        await asyncio.wait_for(script.until_called(method), 60)
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, err.decode()) == (130, "")
    for call in script.seen(method):
        await asyncio.wait_for(call.ended.wait(), 5)
        assert call.cancelled
    assert len(script.seen("UploadDocument")) <= 2


async def test_a_watched_folder_is_ingested_until_an_interrupt(address: str, script: Script, tmp_path: Path) -> None:
    seen: list[tuple[str, bool]] = []
    arrived = asyncio.Condition()

    async def store(requests: Any, context: Any) -> document_service_pb2.UploadDocumentResponse:
        header = (await anext(aiter(requests))).header
        async for _ in requests:
            pass
        async with arrived:
            seen.append((header.name, header.replace))
            arrived.notify_all()
        return document_service_pb2.UploadDocumentResponse(job=document_service_pb2.Job(job_id="j"))

    # What comes later is refused for longer than the client tries, and is taken all the same.
    script.on("UploadDocument", store, *[server.unavailable()] * 3, store)
    script.on("WatchJob", server.streams(job_is("SUCCEEDED")))
    (tmp_path / "first.txt").write_text("there before")
    (tmp_path / "sub").mkdir()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        RUN,
        "--server",
        address,
        "ingest",
        "--watch",
        # As people name folders.
        f"{tmp_path.name}/",
        cwd=tmp_path.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            while b"Watching" not in await process.stdout.readline():
                pass
            (tmp_path / ".hidden").write_text("not this one")
            (tmp_path / "sub" / "second.txt").write_text("came later")
            async with arrived:
                await arrived.wait_for(lambda: len(seen) >= 2)
            while b"second.txt: ready" not in await process.stdout.readline():
                pass
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    # An interrupt while a line is written may have it written twice.
    assert (process.returncode, err.decode(), out.decode().splitlines()[-1]) == (0, "", "1 ready")
    assert seen == [("first.txt", True), ("sub/second.txt", True)]
