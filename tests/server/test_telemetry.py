"""The log never stands in the way; metrics say what happened."""

from __future__ import annotations

import io
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest
import structlog
from prometheus_client.core import CounterMetricFamily
from tritonclient.utils import InferenceServerException

from server.adapters.circuit_breaker import BreakerOptions, CircuitBreaker
from server.adapters.triton_failures import translated
from server.application.caching import BoundedCache, CacheOptions
from server.application.generation_chain import ChainOptions, GenerationChain, Provider
from server.application.model_ports import GenerationRequest
from server.domain.deadline import Deadline
from server.telemetry import CacheMetrics, GeneratorMetrics, LossyStream, MetricsOptions, metrics_served
from tests.server.application.doubles import OneModel, ScriptedGenerator


def test_a_full_disk_loses_lines_and_fails_nothing() -> None:
    with Path("/dev/full").open("w") as full:
        log = structlog.PrintLogger(LossyStream(full))  # type: ignore[arg-type]
        with pytest.raises(OSError, match="No space left"):
            full.write("x")
            full.flush()
        for _ in range(1_000):
            log.info("a line that is longer than what a buffer holds" * 10)
        # What is buffered is dropped with the file.
        with pytest.raises(OSError, match="No space left"):
            full.close()


def test_what_can_be_written_is_written() -> None:
    stream = io.StringIO()
    structlog.PrintLogger(LossyStream(stream)).info("a line")  # type: ignore[arg-type]
    assert stream.getvalue() == "a line\n"


def test_metrics_tell_how_often_a_cache_was_of_use() -> None:
    cache: BoundedCache[str, str] = BoundedCache(CacheOptions(entries=1, size_bytes=100), lambda key, value: len(value))
    for key in ("a", "b"):
        cache.keep(key, 1, "value")
    assert cache.find("b", 1) == "value"
    assert cache.find("b", 2) is None
    cache.use.shared, cache.use.misses, cache.use.bypassed = 2, 3, 4
    with metrics_served((CacheMetrics({"answers": cache}),), MetricsOptions("127.0.0.1:0")) as port:
        body = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    values = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in body.splitlines() if line[0] != "#"}
    assert {
        name.partition('outcome="')[2].rstrip('"}'): value
        for name, value in values.items()
        if name.startswith("pinakes_cache_calls_total{")
    } == {"hit": 1, "shared": 2, "miss": 3, "bypass": 4}
    assert values['pinakes_cache_entries_dropped_total{cache="answers",reason="stale"}'] == 1
    assert values['pinakes_cache_entries_dropped_total{cache="answers",reason="evicted"}'] == 1
    assert values['pinakes_cache_entries{cache="answers"}'] == 0
    assert "process_cpu_seconds_total" in values
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5)


STATES = ("closed", "open", "half_open")


async def test_metrics_tell_who_writes_and_whom_a_breaker_keeps_from_it() -> None:
    breaker = CircuitBreaker("away", BreakerOptions(failures=1))
    generator = ScriptedGenerator("Some text.", log_probability=-0.25)
    own = Provider("own", OneModel(generator), CircuitBreaker("own", BreakerOptions()))
    chain = GenerationChain([Provider("away", OneModel(), breaker), own], ChainOptions())
    for _ in range(2):
        async with chain.writing(GenerationRequest("?", log_probabilities=True), Deadline.after(30)) as writing:
            assert [piece.text async for piece in writing.pieces] == ["Some ", "text. ", ""]
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in GeneratorMetrics(chain).collect()
        for sample in family.samples
    }
    expected: dict[tuple[str, ...], float] = {
        ("pinakes_generator_texts_total", "away", "not_set_up"): 1,
        ("pinakes_generator_texts_total", "away", "resting"): 1,
        ("pinakes_generator_texts_total", "own", "began"): 2,
        **{("pinakes_generator_breaker", "away", state): float(state == "open") for state in STATES},
        **{("pinakes_generator_breaker", "own", state): float(state == "closed") for state in STATES},
        ("pinakes_generator_scored_tokens_total", "away"): 0,
        ("pinakes_generator_scored_tokens_total", "own"): 4,
        ("pinakes_generator_surprise_nats_total", "away"): 0,
        ("pinakes_generator_surprise_nats_total", "own"): 1,
    }
    assert values == expected


def test_texts_are_counted_while_metrics_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = GenerationChain([], ChainOptions())
    chain.outcomes["own", "began"] = 1
    add = CounterMetricFamily.add_metric

    def adding(family: CounterMetricFamily, labels: Sequence[str], value: float) -> None:
        chain.outcomes["own", "broken"] += 1  # as the event loop may at any time
        add(family, labels, value)

    monkeypatch.setattr(CounterMetricFamily, "add_metric", adding)
    texts, *_ = GeneratorMetrics(chain).collect()
    assert [sample.value for sample in texts.samples] == [1.0]


def test_without_an_address_nothing_is_served() -> None:
    with metrics_served((), MetricsOptions()) as port:
        assert port == 0


CANARY = "canary 7f3a"

PROGRAM = f"""
import asyncio, logging, sys
from server.domain.errors import Overloaded
from server.telemetry import configure_logging

configure_logging("info")

def parse():
    raise ValueError("{CANARY}".replace(" ", "-"))

try:
    parse()
except ValueError:
    logging.getLogger("library").exception("it broke")

async def forgotten():
    parse()

async def forget():
    task = asyncio.create_task(forgotten())
    await asyncio.wait([task])

asyncio.run(forget())
raise ExceptionGroup("ends", [Overloaded("calls", 1.0), KeyError("{CANARY}".replace(" ", "-"))])
"""


def test_no_message_of_a_foreign_error_is_logged() -> None:
    """Of libraries, of tasks whose failure nobody asked for, and of the error that ends the process."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    told = ended.stderr
    assert ended.returncode == 1
    assert "canary-7f3a" not in told
    assert "ERROR library it broke" in told and "ValueError" in told and "in parse" in told
    assert "Task exception was never retrieved" in told
    assert "too much work is waiting for calls" in told and "KeyError" in told


def test_a_model_that_breaks_does_not_quote_what_it_was_given() -> None:
    said = (
        f"Failed to process the request(s) for model 'embed_0_0', message: ValueError: {CANARY}\n\nAt:\n  model.py(7)"
    )
    told = str(translated(InferenceServerException(said, status="StatusCode.INTERNAL"), "embed"))
    assert CANARY not in told and "ValueError" in told
    refusal = "overloaded: 3 requests are waiting"
    assert refusal in str(translated(InferenceServerException(refusal, status="StatusCode.UNAVAILABLE"), "embed"))
