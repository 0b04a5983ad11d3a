"""`make faults`: a campaign on a stack of its own, and its report as JSON. Exits with 1 if anything was lost, doubled,
stuck or wrong."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.campaign import DISK, PARTS, UP, Plan, run
from tests.whole_stack import IMPATIENT, WholeStack


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--documents", type=int, default=100, help="at least so many; more while there are kills left")
    parser.add_argument("--parts", nargs="+", choices=(*PARTS, UP), default=(*PARTS, UP))
    parser.add_argument(
        "--disk-mb", type=int, help="a disk in memory of this size, which is filled now and then; as root"
    )
    parser.add_argument("--longest-pause-s", type=float, default=8.0)
    parser.add_argument("--out", type=Path, help="where the report goes; else, to standard output")
    chosen = parser.parse_args()
    parts = (*chosen.parts, DISK) if chosen.disk_mb else tuple(chosen.parts)
    plan = Plan(chosen.seed, chosen.kills, chosen.documents, parts, chosen.longest_pause_s)
    folder = Path(tempfile.mkdtemp(prefix="pinakes-faults-"))
    data = folder / "data"
    with _disk(data, chosen.disk_mb):
        stack = WholeStack(data, IMPATIENT)
        stack.start()
        try:
            report = run(stack, plan)
        finally:
            stack.stop()
    text = json.dumps(report.as_json(), indent=2)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")
    if not report.sound:
        sys.stderr.write(f"The stack's data and logs are kept in {folder}.\n")
    return 0 if report.sound else 1


@contextmanager
def _disk(data: Path, megabytes: int | None) -> Iterator[None]:
    if megabytes is None:
        yield
        return
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "pinakes-faults", data], check=True)
    # To be read afterwards, and to hold what was said while the disk was full.
    (data.parent / "log").mkdir()
    (data / "log").symlink_to(data.parent / "log")
    try:
        yield
    finally:
        subprocess.run(["umount", data], check=True)


if __name__ == "__main__":
    sys.exit(main())
