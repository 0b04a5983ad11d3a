"""Ctrl-C reaches the server."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

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
