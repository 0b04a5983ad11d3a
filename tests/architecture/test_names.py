"""Files say what they hold."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAYS_NOTHING = re.compile(r"(^|_)(utils?|helpers?|managers?|handlers?|misc|common)(\.py)?$")


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [Path(line) for line in listed.stdout.splitlines()]


def test_no_name_says_nothing() -> None:
    assert [str(path) for path in tracked() if any(SAYS_NOTHING.search(part) for part in path.parts)] == []


def test_generated_and_written_code_do_not_share_a_folder() -> None:
    stubs = [path for path in tracked() if path.parent.as_posix() == "clients/python/pinakes/v1"]
    written = [path.name for path in stubs if not re.search(r"_pb2(_grpc)?\.pyi?$", path.name)]
    assert written == ["__init__.py"]
    elsewhere = [str(path) for path in tracked() if "_pb2" in path.name and path not in stubs]
    assert elsewhere == []
