"""How tests are shared out to the processes of pytest-xdist."""

from __future__ import annotations

from pathlib import PurePath

from xdist.scheduler import LoadFileScheduling

_TOGETHER = {
    "tests/e2e": "the whole stack",
    "tests/faults": "the whole stack",
    "tests/leaks": "the whole stack",
    "tests/triton": "triton",
}
"""Folders of tests, and what they share: it takes longest to start and most of the memory."""


class SharingServers(LoadFileScheduling):  # type: ignore[misc]  # its package has no types
    """Files of tests go to whichever process is free. Those that share a server are one unit of work, so that it is
    started in one process only."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return _TOGETHER.get(str(PurePath(file).parent), file)
