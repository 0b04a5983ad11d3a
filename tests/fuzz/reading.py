"""Reads damaged documents with the real reader, and says how each ended."""

from __future__ import annotations

import hashlib
import re
import resource
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from structlog.testing import capture_logs

from server.adapters.document_reader import DocumentReaderOptions, FileDocumentReader
from server.adapters.reading.reader_process import ReaderProcessOptions
from server.application.page_image_ports import PageWish
from server.domain.documents import Box
from server.domain.errors import NoPageImage, PinakesError
from tests.fuzz.damage import damaged
from tests.fuzz.documents import documents

# Raised in our own code, they are defects: it relies on something that a file need not keep.
_DEFECTS = re.compile(r"^(?:Attribute|Type|Key|Index|Name|UnboundLocal|Assertion|ZeroDivision)Error$")
_OWN_FRAME = re.compile(r'File "[^"]*/server/(?:adapters|application)/')


@dataclass(slots=True)
class Outcome:
    """`endings` counts by format and by how it ended. `lost` are inputs that broke a process (their causes), `slow`
    those that reached the limit of time, `large` that of memory, `defects` those that found a bug; each is named by its
    number."""

    endings: Counter[tuple[str, str]] = field(default_factory=Counter)
    lost: dict[int, str] = field(default_factory=dict)
    slow: list[int] = field(default_factory=list)
    large: list[int] = field(default_factory=list)
    defects: dict[int, str] = field(default_factory=dict)
    longest: tuple[float, int] = (0.0, 0)
    """Seconds that one input took, and its number."""
    memory_bytes: int = 0
    """The most that one process of the reader had in memory."""

    @property
    def inputs(self) -> int:
        return self.endings.total()


def damaged_document(seed: int, number: int) -> tuple[str, bytes]:
    """Format and bytes of one input: the same for the same numbers."""
    random = Random(hashlib.sha256(f"{seed} {number}".encode()).digest())
    whole = documents()
    name = random.choice(sorted(whole))
    return name, damaged(whole[name], tuple(whole.values()), random)


async def fuzz(folder: Path, seed: int, numbers: range, limit_s: float = 60.0, memory_bytes: int = 2**31) -> Outcome:
    """Probes each input, reads all of its pages, and looks at it. `limit_s` bounds a probe, a page and a picture,
    `memory_bytes` a process."""
    outcome = Outcome()
    process = ReaderProcessOptions(memory_bytes=memory_bytes)
    reader = FileDocumentReader(
        DocumentReaderOptions(
            process=process, processes=1, probe_limit_s=limit_s, page_limit_s=limit_s, show_limit_s=limit_s
        )
    )
    path = folder / "input"
    with capture_logs() as logs:
        try:
            for number in numbers:
                name, data = damaged_document(seed, number)
                path.write_bytes(data)
                logs.clear()
                began = time.monotonic()
                ending = await _ending(reader, path)
                outcome.longest = max(outcome.longest, (time.monotonic() - began, number))
                outcome.endings[name, ending] += 1
                if ending == "StageDeadline":
                    outcome.slow.append(number)
                for what, found in _noticed(logs):
                    if what == "large":
                        outcome.large.append(number)
                    elif what == "lost":
                        outcome.lost[number] = found
                    else:
                        outcome.defects[number] = found
        finally:
            await reader.close()
    outcome.memory_bytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return outcome


async def _ending(reader: FileDocumentReader, path: Path) -> str:
    try:
        probe = await reader.probe(path, "upload")
        async for _ in reader.pages(path, probe, 1):
            pass
        await reader.thumbnail(path, probe.media_type)
        with suppress(NoPageImage):
            await reader.show(path, probe.media_type, PageWish(1, 0.5, (Box(1, 1, 9, 9),)))
    except PinakesError as error:
        return type(error).__name__
    except RuntimeError:
        return "defect"
    return "read"


def _noticed(entries: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        trace = str(entry.get("trace", ""))
        match entry["event"]:
            case "document_reader_ended" if entry["why"] == "out of memory":
                yield "large", ""
            case "document_reader_ended" if entry["why"] == "too slow":
                pass  # told by its ending
            case "document_reader_ended":
                yield "lost", f"{entry['why']}, exit code {entry['exit_code']}"
            case "document_reader_defect":
                yield "defect", trace
            case "document_unreadable" if _DEFECTS.match(trace.split("\n", 1)[0]):
                frames = [line for line in trace.splitlines() if line.startswith('  File "')]
                if frames and _OWN_FRAME.search(frames[-1]):
                    yield "defect", trace
