"""Logs: one JSON object per line on standard error. They name ids, counts and times, never document text or secrets.
Metrics: counts for Prometheus, over HTTP."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TextIO

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.application.background import trace_of
from server.application.caching import CacheView
from server.application.generation_chain import GenerationChain
from server.domain.errors import PinakesError
from server.domain.generation import BreakerState


class LossyStream(io.TextIOBase):
    """Writes what can be written: a full disk must not fail the work that is told of."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def configure_logging(level: str) -> None:
    """For the whole process. `level` is `debug`, `info`, `warning` or `error`."""
    stream: TextIO = LossyStream(sys.stderr)  # type: ignore[assignment]
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    # What libraries say goes the same way, at warning and above.
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_WithoutValues("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    sys.excepthook = _tell_the_end


class _WithoutValues(logging.Formatter):
    """Of errors their class and where they happened, and of what libraries say the first line: messages of errors, and
    what asyncio prints of a task below it, may quote documents, questions and keys."""

    def format(self, record: logging.LogRecord) -> str:
        first = logging.makeLogRecord(vars(record) | {"msg": record.getMessage().partition("\n")[0], "args": ()})
        return super().format(first)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - named by logging
        return _told(ei[1])


def _tell_the_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Of a process that ends by an error that nobody caught."""
    sys.stderr.write(_told(error) + "\n")


def _told(error: BaseException | None) -> str:
    """Our own errors are sentences that a caller may read."""
    if error is None:
        return ""
    if isinstance(error, BaseExceptionGroup):
        return "\n".join(_told(each) for each in error.exceptions)
    message = f": {error}" if isinstance(error, PinakesError) else ""
    return f"{trace_of(error)}{type(error).__name__}{message}"


@dataclass(frozen=True, slots=True)
class MetricsOptions:
    """`address` is that of `/metrics`, on this machine; empty: there is none."""

    address: str = ""


class CacheMetrics(Collector):
    """How often each cache was of use, and what it holds. Hit rate: (hit + shared) / (hit + shared + miss)."""

    def __init__(self, caches: Mapping[str, CacheView]) -> None:
        self._caches = caches

    def collect(self) -> Iterator[Metric]:
        calls = CounterMetricFamily(
            "pinakes_cache_calls", "Calls by how they were answered.", labels=("cache", "outcome")
        )
        unused = CounterMetricFamily(
            "pinakes_cache_entries_dropped", "Entries dropped, and why.", labels=("cache", "reason")
        )
        entries = GaugeMetricFamily("pinakes_cache_entries", "Entries held.", labels=("cache",))
        size = GaugeMetricFamily("pinakes_cache_bytes", "Bytes held, as estimated.", labels=("cache",))
        for name, cache in self._caches.items():
            use = cache.use
            for outcome, count in (
                ("hit", use.hits),
                ("shared", use.shared),
                ("miss", use.misses),
                ("bypass", use.bypassed),
            ):
                calls.add_metric((name, outcome), count)
            unused.add_metric((name, "stale"), use.stale)
            unused.add_metric((name, "evicted"), use.evicted)
            entries.add_metric((name,), cache.entries)
            size.add_metric((name,), cache.size_bytes)
        yield from (calls, unused, entries, size)


class GeneratorMetrics(Collector):
    """Who wrote answers, who was passed over and why, and from whom calls are kept away."""

    def __init__(self, chain: GenerationChain) -> None:
        self._chain = chain

    def collect(self) -> Iterator[Metric]:
        texts = CounterMetricFamily(
            "pinakes_generator_texts",
            "Texts that a generator began, broke off after that, or was passed over for, by reason.",
            labels=("generator", "outcome"),
        )
        state = GaugeMetricFamily(
            "pinakes_generator_breaker", "1 for the state of the circuit breaker.", labels=("generator", "state")
        )
        scored = CounterMetricFamily(
            "pinakes_generator_scored_tokens", "Tokens of answers whose probability was told.", labels=("generator",)
        )
        surprise = CounterMetricFamily(
            "pinakes_generator_surprise_nats",
            "Negative natural logarithms of their probabilities: by token, how unsure a generator is.",
            labels=("generator",),
        )
        for name, likelihood in self._chain.likelihoods.items():
            scored.add_metric((name,), likelihood.tokens)
            surprise.add_metric((name,), -likelihood.sum)
        # A copy: the event loop counts on meanwhile.
        for (name, outcome), count in dict(self._chain.outcomes).items():
            texts.add_metric((name, outcome), count)
        for provider in self._chain.providers:
            for each in BreakerState:
                state.add_metric((provider.name, each.value), float(provider.breaker.state is each))
        yield from (texts, state, scored, surprise)


@contextmanager
def metrics_served(collectors: tuple[Collector, ...], options: MetricsOptions) -> Iterator[int]:
    """While the context lasts; yields the port, 0 without an address. Raises OSError if it cannot be bound."""
    if not options.address:
        yield 0
        return
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    for collector in collectors:
        registry.register(collector)
    host, _, port = options.address.rpartition(":")
    server, thread = start_http_server(int(port), host.strip("[]"), registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
