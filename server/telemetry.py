"""Logs: one JSON object per line on standard error. They name ids, counts and times, never document text or secrets."""

from __future__ import annotations

import io
import logging
import sys
from contextlib import suppress
from typing import TextIO

import structlog


class LossyStream(io.TextIOBase):
    """Writes what can be written: a full disk must not fail the work that is told of."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def configure_logging(level: str) -> None:
    """For the whole process. `level` is `debug`, `info`, `warning` or `error`."""
    stream: TextIO = LossyStream(sys.stderr)  # type: ignore[assignment]
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    # What libraries say goes the same way, at warning and above.
    logging.basicConfig(stream=stream, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
