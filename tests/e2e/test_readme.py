"""The README's first client program runs as it is written."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pinakes import Client
from tests.whole_stack import ROOT, SAMPLES, WholeStack

pytestmark = [pytest.mark.stack, pytest.mark.models]


def test_the_first_client_program_prints_an_answer_and_its_source(stack: WholeStack, tmp_path: Path) -> None:
    [program] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert "127.0.0.1:7700" in program
    with Client(stack.endpoints.server) as client:
        for held in [found for found in client.documents.list() if found.name == "staff-handbook.pdf"]:
            client.documents.delete(held.document_id)
    shutil.copy(SAMPLES / "staff-handbook.pdf", tmp_path / "handbook.pdf")
    written = program.replace("127.0.0.1:7700", stack.endpoints.server)
    asked = written.replace("Who approves travel?", "Who is the safety officer?")
    try:
        done = subprocess.run(
            [sys.executable, "-c", asked], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
        )
    finally:
        # The samples' own tests want these bytes under their own name.
        with Client(stack.endpoints.server) as client:
            for held in [found for found in client.documents.list() if found.name == "handbook.pdf"]:
                client.documents.delete(held.document_id)
    assert done.returncode == 0, done.stderr
    assert "Karoly" in done.stdout
    assert "handbook.pdf [3]" in done.stdout.replace("'", "")
