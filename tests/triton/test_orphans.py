from __future__ import annotations

import subprocess
import sys

import pytest

CHILD = """
import time
from triton_models.orphans import exit_with_parent
exit_with_parent()
print("up", flush=True)
time.sleep(600)
"""
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


@pytest.mark.stack
def test_a_process_ends_after_its_parent_was_killed() -> None:
    """The pipe ends when the last process that holds it has ended."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        parent.kill()
        assert parent.stdout.read() == b""
