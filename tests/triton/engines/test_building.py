"""Engines are built once, accepted only when they are right, and there whole or not at all."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.triton.engines.doubling import Doubling, planned
from tests.triton.engines.onnx_runtime import OnnxRuntimeToolkit
from triton_models.engines.building import build_engine
from triton_models.engines.cache import EngineCache
from triton_models.engines.errors import EngineBuildFailed, EngineRefused
from triton_models.engines.toolkit import BuiltEngine, InputShapes
from triton_models.errors import NotEnoughSpace
from triton_models.progress import Progress

ROOT = Path(__file__).resolve().parents[3]


def left(cache: Path) -> list[str]:
    """What is among the engines, but for locks."""
    return sorted(path.name for path in (cache / "engines").iterdir() if path.suffix != ".lock")


def test_an_engine_is_built_once(tmp_path: Path) -> None:
    toolkit, engine, cache = OnnxRuntimeToolkit(), planned(tmp_path), tmp_path / "cache"
    first = build_engine(engine, toolkit, cache)
    assert first.agreement > 0.99
    assert first.samples == 4
    assert build_engine(engine, toolkit, cache) == first
    assert len(toolkit.built) == 1
    (profile,) = toolkit.built[0]
    assert (profile["x"].least, profile["x"].best, profile["x"].most) == ((1, 2), (4, 16), (8, 32))
    assert sorted(path.name for path in EngineCache(cache).plan(first.key).parent.iterdir()) == [
        "engine.json",
        "model.plan",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "fp32"},
        {"profiles": ({"n": (1, 4, 8), "width": (2, 16, 64)},)},
        {"profiles": ({"n": (1, 4, 8), "width": (2, 16, 32)}, {"n": (1, 1, 1), "width": (2, 2, 2)})},
    ],
)
def test_other_shapes_and_precisions_are_other_engines(tmp_path: Path, change: dict[str, object]) -> None:
    toolkit, cache = OnnxRuntimeToolkit(), tmp_path / "cache"
    first = build_engine(planned(tmp_path), toolkit, cache)
    second = build_engine(planned(tmp_path, None, **change), toolkit, cache)
    assert first.key.digest != second.key.digest
    assert len(toolkit.built) == 2


def test_what_does_not_change_the_engine_does_not_change_its_key(tmp_path: Path) -> None:
    toolkit = OnnxRuntimeToolkit()
    ours, theirs = planned(tmp_path), planned(tmp_path, instances=4, queue_delay_us=100)
    assert ours.key(toolkit).digest == theirs.key(toolkit).digest


@pytest.mark.parametrize("toolkit", [OnnxRuntimeToolkit(version="2"), OnnxRuntimeToolkit(gpu="another, sm_90")])
def test_another_version_or_gpu_has_its_own_engines_and_timings(tmp_path: Path, toolkit: OnnxRuntimeToolkit) -> None:
    cache, first = tmp_path / "cache", OnnxRuntimeToolkit()
    build_engine(planned(tmp_path), first, cache)
    build_engine(planned(tmp_path), toolkit, cache)
    build_engine(planned(tmp_path, precision="fp32"), toolkit, cache)
    assert first.timings_seen == [b""]
    assert toolkit.timings_seen == [b"", b"measured"]


def test_other_weights_and_another_conversion_are_other_engines(tmp_path: Path) -> None:
    toolkit = OnnxRuntimeToolkit()
    ours = planned(tmp_path)
    (tmp_path / "other").mkdir()
    theirs = planned(tmp_path / "other")
    name, artifact = theirs.artifacts["weights"]
    changed = {"weights": (name, artifact.model_copy(update={"sha256": "0" * 64}))}
    keys = {
        ours.key(toolkit).digest,
        planned(tmp_path, Doubling(version=2)).key(toolkit).digest,
        replace(theirs, artifacts=changed).key(toolkit).digest,
    }
    assert len(keys) == 3


def test_an_engine_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(EngineRefused, match=r"n 1, width 2 it agrees with ONNX Runtime to 0\.8") as refused:
        build_engine(planned(tmp_path, Doubling(half_error=0.2)), OnnxRuntimeToolkit(), cache)
    assert refused.value.agreement < 0.99
    assert left(cache) == []


def test_an_engine_is_built_again_when_more_is_asked_of_it(tmp_path: Path) -> None:
    toolkit, cache = OnnxRuntimeToolkit(), tmp_path / "cache"
    worse = Doubling(half_error=0.004)
    assert 0.99 < build_engine(planned(tmp_path, worse), toolkit, cache).agreement < 0.999
    with pytest.raises(EngineRefused):
        build_engine(planned(tmp_path, replace(worse, least_agreement=0.999)), toolkit, cache)
    assert len(toolkit.built) == 2


def test_an_engine_without_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineRefused, match="nan"):
        build_engine(planned(tmp_path, Doubling(half_error=float("nan"))), OnnxRuntimeToolkit(), tmp_path / "cache")


class Failing(OnnxRuntimeToolkit):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def build(self, network: Path, profiles: Sequence[InputShapes], timings: bytes) -> BuiltEngine:
        network.with_name("half.plan").write_bytes(b"half")
        raise self._error


def test_a_failed_build_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(EngineBuildFailed):
        build_engine(planned(tmp_path), Failing(EngineBuildFailed("double.network", "no")), cache)
    assert left(cache) == []
    assert build_engine(planned(tmp_path), OnnxRuntimeToolkit(), cache).agreement > 0.99


def test_a_disk_that_fills_up_is_told(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(NotEnoughSpace, match="MB free"):
        build_engine(planned(tmp_path), Failing(OSError(errno.ENOSPC, "No space left on device")), cache)
    assert left(cache) == []
    with pytest.raises(PermissionError):
        build_engine(planned(tmp_path), Failing(PermissionError(errno.EACCES, "Permission denied")), cache)


def test_too_little_space_is_told_before_the_build(tmp_path: Path) -> None:
    engine, toolkit = planned(tmp_path), OnnxRuntimeToolkit()
    name, artifact = engine.artifacts["weights"]
    huge = {"weights": (name, artifact.model_copy(update={"size_bytes": 1 << 60}))}
    with pytest.raises(NotEnoughSpace):
        build_engine(replace(engine, artifacts=huge), toolkit, tmp_path / "cache")
    assert toolkit.built == []


def test_a_damaged_engine_is_built_again_or_found_out(tmp_path: Path) -> None:
    toolkit, engine, cache = OnnxRuntimeToolkit(), planned(tmp_path), tmp_path / "cache"
    done, engines = build_engine(engine, toolkit, cache), EngineCache(cache)
    plan = engines.plan(done.key)
    whole = plan.read_bytes()
    plan.write_bytes(whole[:-1] + b"\x00")
    assert engines.damaged(done.key)
    plan.write_bytes(whole[:-1])
    build_engine(engine, toolkit, cache)
    assert plan.read_bytes() == whole
    assert not engines.damaged(done.key)
    assert len(toolkit.built) == 2


def test_of_two_builders_the_second_takes_what_the_first_built(tmp_path: Path) -> None:
    """Threads have open files of their own, so they lock each other out as processes do."""
    toolkit, engine, cache = OnnxRuntimeToolkit(), planned(tmp_path), tmp_path / "cache"
    seen: list[Progress] = []
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: build_engine(engine, toolkit, cache, seen.append), range(4)))
    assert len(toolkit.built) == 1
    assert all(result == results[0] for result in results)


_KILLED = """
import sys, time
from pathlib import Path
from tests.triton.engines.doubling import planned
from tests.triton.engines.onnx_runtime import OnnxRuntimeToolkit
from triton_models.engines.building import build_engine

class Slow(OnnxRuntimeToolkit):
    def build(self, network, profiles, timings):
        network.with_name("half.plan").write_bytes(b"half")
        print("building", flush=True)
        time.sleep(600)

folder = Path(sys.argv[1])
build_engine(planned(folder), Slow(), folder / "cache")
"""


def test_a_killed_build_leaves_nothing_that_counts(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    builder = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert builder.stdout is not None
    with builder:
        assert builder.stdout.readline() == "building\n"
        builder.send_signal(signal.SIGKILL)
    assert any((cache / "engines").glob(".building-*/half.plan"))
    engine, toolkit = planned(tmp_path), OnnxRuntimeToolkit()
    assert EngineCache(cache).find(engine.key(toolkit)) is None
    build_engine(engine, toolkit, cache)
    assert list((cache / "engines").glob(".building-*")) == []
