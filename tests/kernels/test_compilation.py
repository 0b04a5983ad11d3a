"""The two ways of running kernels: as plain Python, and compiled before the first request."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kernels

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not kernels.JITTED, reason="this run is the plain Python one")
def test_the_suite_passes_as_plain_python() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, "tests/kernels/test_kernels.py"],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},  # noqa: TID251 - the child's environment
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:]


@pytest.mark.skipif(not kernels.JITTED, reason="nothing is compiled in this run")
def test_warm_up_compiles_everything_once() -> None:
    progress: list[tuple[str, int, int]] = []
    kernels.warm_up(lambda name, done, total: progress.append((name, done, total)))
    once = kernels.compiled_signatures()
    kernels.warm_up()
    assert kernels.compiled_signatures() == once
    assert [done for _, done, _ in progress] == list(range(len(progress)))
    versions = {"dot_codes_portable", "dot_codes_vnni", "dot_digits_portable", "dot_digits_vnni"}
    assert {name for name, _, _ in progress if name} == set(kernels.KERNELS) - versions - set(kernels.ENCODER_KERNELS)
