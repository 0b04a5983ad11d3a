"""The stack is started as a process, awaited, and always stopped."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.stack import StackFailed, StackOptions, running_stack
from bench.suites.base import PROJECT

SCRIPT = Path(__file__).with_name("scripted_stack.py")


def options(behaviour: str, start_deadline_s: float = 30.0, stop_grace_s: float = 30.0) -> StackOptions:
    return StackOptions((sys.executable, str(SCRIPT), behaviour), start_deadline_s, stop_grace_s)


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]


async def test_a_stack_is_awaited_and_stopped(tmp_path: Path) -> None:
    before = children()
    async with running_stack(PROJECT, tmp_path / "data", options("serves")) as endpoints:
        assert endpoints.triton == "127.0.0.1:1"
        assert len(children()) == len(before) + 1
    assert (tmp_path / "data" / "stopped").exists()
    assert children() == before


async def test_a_stack_is_stopped_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with running_stack(PROJECT, tmp_path, options("serves")):
            raise ZeroDivisionError
    assert (tmp_path / "stopped").exists()


async def test_a_stack_that_ends_is_told_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(StackFailed, match=r"status 3\nno model is installed"):
        async with running_stack(PROJECT, tmp_path, options("ends")):
            pass


async def test_a_stack_that_does_not_get_ready_is_killed(tmp_path: Path) -> None:
    """Endpoints that an earlier stack left behind do not count as ready."""
    (tmp_path / "run").mkdir()
    stale = tmp_path / "run" / "endpoints.json"
    stale.write_text('{"server": "127.0.0.1:1"}')
    os.utime(stale, (time.time() - 60, time.time() - 60))
    before = children()
    with pytest.raises(StackFailed, match="not ready after"):
        async with running_stack(PROJECT, tmp_path, options("stays", start_deadline_s=1.0, stop_grace_s=0.2)):
            pass
    assert children() == before
