"""The log never stands in the way."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import structlog

from server.telemetry import LossyStream


def test_a_full_disk_loses_lines_and_fails_nothing() -> None:
    with Path("/dev/full").open("w") as full:
        log = structlog.PrintLogger(LossyStream(full))  # type: ignore[arg-type]
        with pytest.raises(OSError, match="No space left"):
            full.write("x")
            full.flush()
        for _ in range(1_000):
            log.info("a line that is longer than what a buffer holds" * 10)
        # What is buffered is dropped with the file.
        with pytest.raises(OSError, match="No space left"):
            full.close()


def test_what_can_be_written_is_written() -> None:
    stream = io.StringIO()
    structlog.PrintLogger(LossyStream(stream)).info("a line")  # type: ignore[arg-type]
    assert stream.getvalue() == "a line\n"
