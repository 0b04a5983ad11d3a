"""What models take in the memory of this machine."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import psutil

_STUB = "triton_python_backend_stub"
_MODEL_ARGUMENT = 1
_VERSION_FOLDER, _REPOSITORY_FOLDER = 1, 2


class StubMemory:
    """Of the processes that serve a Triton's models in Python: one for each instance of a model, whose first argument
    is `<repository>/<model>/<version>/model.py`."""

    def __init__(self, repository: Path) -> None:
        """`repository` is what the Triton serves; if it runs elsewhere, nothing is ever measured."""
        self._repository = repository.absolute()

    @property
    def total_bytes(self) -> int:
        """The machine's memory."""
        return int(psutil.virtual_memory().total)

    async def measured(self) -> Mapping[str, int]:
        """Resident bytes by model; pages that two of its processes share count twice. Some 10 ms."""
        return await asyncio.to_thread(self._scan)

    def _scan(self) -> Mapping[str, int]:
        found: Counter[str] = Counter()
        # Names are cut after 15 characters.
        for process in psutil.process_iter(["name"]):
            if not _STUB.startswith(process.info["name"] or "?"):
                continue
            try:
                file = Path(process.cmdline()[_MODEL_ARGUMENT])
                if file.parents[_REPOSITORY_FOLDER] == self._repository:
                    found[file.parents[_VERSION_FOLDER].name] += process.memory_info().rss
            except (psutil.Error, IndexError):
                continue
        return dict(found)
