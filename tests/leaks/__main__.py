"""`python -m tests.leaks`: 50,000 requests to a stack of its own, and the report as JSON. Exits with 1 if anybody was
told of a document that was not for them, or was not told of one that was."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from tests.leaks.campaign import Plan, run
from tests.whole_stack import IMPATIENT, WholeStack


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.leaks", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--documents", type=int, default=16)
    parser.add_argument("--readers", type=int, default=12)
    parser.add_argument("--parallel", type=int, default=12)
    parser.add_argument("--out", type=Path, help="where the report goes; else, to standard output")
    chosen = parser.parse_args()
    plan = Plan(chosen.seed, chosen.requests, chosen.documents, chosen.readers, chosen.parallel)
    folder = Path(tempfile.mkdtemp(prefix="pinakes-leaks-"))
    stack = WholeStack(folder / "data", IMPATIENT)
    stack.start()
    try:
        report = asyncio.run(run(stack, plan, (stack.data / "admin.key").read_text().strip()))
    finally:
        stack.stop()
    text = json.dumps(report.as_json(), indent=2)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")
    return 0 if report.sound else 1


if __name__ == "__main__":
    sys.exit(main())
