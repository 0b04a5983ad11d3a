"""Which server a command calls."""

from __future__ import annotations

import fcntl
from pathlib import Path

from pinakes.cli.connection import default_address
from pinakes.options import DEFAULT_ADDRESS


def test_the_address_is_that_of_the_running_stack(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.json"
    assert default_address(file) == DEFAULT_ADDRESS
    file.write_text("{")
    assert default_address(file) == DEFAULT_ADDRESS
    file.write_text('{"server": "127.0.0.1:4321"}')
    assert default_address(file) == "127.0.0.1:4321"


def test_the_address_of_a_stack_that_was_killed_is_none(tmp_path: Path) -> None:
    file, lock = tmp_path / "endpoints.json", tmp_path / "lock"
    file.write_text('{"server": "127.0.0.1:4321"}')
    lock.touch()
    assert default_address(file) == DEFAULT_ADDRESS
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert default_address(file) == "127.0.0.1:4321"
    assert default_address(file) == DEFAULT_ADDRESS
