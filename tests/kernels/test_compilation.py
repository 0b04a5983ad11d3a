"""The two ways of running kernels: as plain Python, and compiled before the first request."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numba
import pytest

import kernels

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not kernels.JITTED, reason="this run is the plain Python one")
def test_the_suite_passes_as_plain_python() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, "tests/kernels/test_kernels.py", "tests/kernels/test_encoder_kernels.py"],
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


@pytest.mark.skipif(not kernels.JITTED, reason="nothing is compiled in this run")
def test_of_processes_that_start_together_one_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "kernels"))
    entered, compiled = Event(), Event()
    order: list[str] = []

    def first() -> None:
        with kernels.compiled_once("some"):
            entered.set()
            assert compiled.wait(60)
            order.append("first")

    def second() -> None:
        with kernels.compiled_once("some"):
            order.append("second")

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(first)]
        assert entered.wait(60)
        running.append(pool.submit(second))
        with kernels.compiled_once("other"):
            order.append("other")
        compiled.set()
        for each in running:
            each.result(60)
    assert order == ["other", "first", "second"]


@pytest.mark.skipif(not kernels.JITTED, reason="nothing is compiled in this run")
def test_what_could_not_be_compiled_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "kernels"))
    with pytest.raises(ArithmeticError), kernels.compiled_once("some"):
        raise ArithmeticError
    assert not (tmp_path / "kernels" / "some.compiled").exists()
    with kernels.compiled_once("some"):
        pass
    assert (tmp_path / "kernels" / "some.compiled").exists()
