"""`python -m bench.suites.index.worker FD`: holds a contender and measures it; see `processes`."""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection

from bench.suites.index.processes import serve

if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
