"""Keeps a model's process from outliving its Triton."""

from __future__ import annotations

import os
import threading
import time

_POLL_S = 1.0


def exit_with_parent() -> None:
    """Ends this process within two seconds of its parent's death, whatever it is doing.

    Call it once, in the model's `initialize`. Triton's stub watches its parent too, but does not come to its end while
    it asks a server that is gone whether a request was cancelled: it stayed for good, with all its memory.
    """
    parent = os.getppid()
    threading.Thread(target=_watch, args=(parent,), name="orphan-watch", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os._exit(1)
