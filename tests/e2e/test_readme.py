"""The README's first client program runs as it is written."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pinakes import Client
from tests.whole_stack import ROOT, SAMPLES, WholeStack

pytestmark = [pytest.mark.stack, pytest.mark.models]


def programs(stack: WholeStack) -> list[str]:
    """Those of the README, with the stack's address."""
    found = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert all("127.0.0.1:7700" in program for program in found)
    return [program.replace("127.0.0.1:7700", stack.endpoints.server) for program in found]


def with_key(stack: WholeStack) -> tuple[str, str]:
    """The environment that the README asks for."""
    return "env", f"PINAKES_API_KEY_FILE={stack.api_key_file}"


def test_the_search_program_marks_what_it_finds(stack: WholeStack) -> None:
    _, program, _ = programs(stack)
    with Client(stack.endpoints.server, api_key=stack.api_key) as client:
        upload = client.documents.upload(
            b"# Abroad\n\nThe per diem is 40 euros.", name="abroad.md", tags=["travel"], allowed_groups=["everyone"]
        )
        job = client.documents.wait(upload.job)
        assert job.success is not None
        client.search("seen", consistency_token=job.success.consistency_token)
        done = subprocess.run(
            [*with_key(stack), sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False
        )
        client.documents.delete(upload.document.document_id)
    assert done.returncode == 0, done.stderr
    assert "abroad.md BranchScore(rank=1" in done.stdout
    assert "[per] [diem]" in done.stdout or "[per diem]" in done.stdout


def test_the_first_client_program_prints_an_answer_and_its_source(stack: WholeStack, tmp_path: Path) -> None:
    program, _, _ = programs(stack)
    with Client(stack.endpoints.server, api_key=stack.api_key) as client:
        for held in [found for found in client.documents.list() if found.name == "staff-handbook.pdf"]:
            client.documents.delete(held.document_id)
    shutil.copy(SAMPLES / "staff-handbook.pdf", tmp_path / "handbook.pdf")
    asked = program.replace("Who approves travel?", "Who is the safety officer?")
    try:
        done = subprocess.run(
            [*with_key(stack), sys.executable, "-c", asked],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    finally:
        # The samples' own tests want these bytes under their own name.
        with Client(stack.endpoints.server, api_key=stack.api_key) as client:
            for held in [found for found in client.documents.list() if found.name == "handbook.pdf"]:
                client.documents.delete(held.document_id)
    assert done.returncode == 0, done.stderr
    assert "Karoly" in done.stdout
    assert "handbook.pdf [3]" in done.stdout.replace("'", "")


def test_the_program_of_events_tells_what_was_processed(stack: WholeStack) -> None:
    *_, program = programs(stack)
    with Client(stack.endpoints.server, api_key=stack.api_key) as client:
        upload = client.documents.upload(b"The ferry leaves at nine.", name="ferry.txt")
        client.documents.wait(upload.job)
        client.documents.delete(upload.document.document_id)
    process = subprocess.Popen(
        [*with_key(stack), sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        told = next((line for line in process.stdout if upload.document.document_id in line), "")
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()
    assert told.endswith(f"{upload.document.document_id} 1\n")
