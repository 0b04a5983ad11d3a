"""`python -m tests.fuzz [--inputs N] [--seed S] [--first N]`: reads damaged documents of every format.

Ends with status 1 if an input found a defect, broke the process that read it, or was not done within a minute.
`--keep FOLDER` writes such inputs there.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.reading import Outcome, damaged_document, fuzz


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        numbers = range(options.first, options.first + options.inputs)
        outcome = asyncio.run(fuzz(Path(folder), options.seed, numbers))
    _report(outcome, time.monotonic() - began)
    failing = sorted({*outcome.lost, *outcome.slow, *outcome.defects})
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
        for number in failing:
            name, data = damaged_document(options.seed, number)
            (options.keep / f"{options.seed}-{number}-{name.replace(' ', '-')}").write_bytes(data)
    return 1 if failing else 0


def _report(outcome: Outcome, seconds: float) -> None:
    out = sys.stdout.write
    endings = Counter[str]()
    for (_, ending), count in outcome.endings.items():
        endings[ending] += count
    for name in sorted({name for name, _ in outcome.endings}):
        counts = ", ".join(f"{e} {n}" for (f, e), n in sorted(outcome.endings.items()) if f == name)
        out(f"{name:16} {counts}\n")
    out(f"{outcome.inputs} inputs in {seconds:.0f} s: {', '.join(f'{e} {n}' for e, n in endings.most_common())}\n")
    seconds, number = outcome.longest
    out(f"longest {seconds:.2f} s (input {number}); most memory {outcome.memory_bytes / 2**20:.0f} MiB\n")
    for number, cause in outcome.lost.items():
        out(f"input {number} ended the process: {cause}\n")
    for number in outcome.large:
        out(f"input {number} took more memory than it may, and was refused\n")
    for number in outcome.slow:
        out(f"input {number} reached the limit of time\n")
    for number, trace in outcome.defects.items():
        out(f"input {number} found a defect: {trace}\n")


if __name__ == "__main__":
    sys.exit(main())
