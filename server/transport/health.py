"""Tells, per service, whether it can work now (`grpc.health.v1`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from grpc_health.v1 import health, health_pb2

from server.domain.deadline import Deadline
from server.domain.errors import PinakesError

_log = structlog.get_logger()

Probe = Callable[[Deadline], Awaitable[bool]]

_EVERY_S = 1.0
_PROBE_LIMIT_S = 2.0


class HealthReport:
    """The state that the health service answers from."""

    def __init__(self) -> None:
        self.servicer = health.aio.HealthServicer()

    async def set(self, services: Sequence[str], *, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in services:
            await self.servicer.set(service, status)


class HealthWatch:
    """Keeps the report true. A service serves while every part that it needs answers its probe; the server as a whole
    (the empty name) while those parts do without which nobody should take this process for one that has started."""

    def __init__(
        self,
        report: HealthReport,
        probes: Mapping[str, Probe],
        needs: Mapping[str, Sequence[str]],
        whole: Sequence[str],
    ) -> None:
        """`needs` maps a service's full name to the names of the probes that must succeed; `whole` names those of the
        server as a whole. (What mends itself, or can be empty, is no part of that.)"""
        self._report = report
        self._probes = probes
        self._needs = {**needs, "": tuple(whole)}
        self._serving: dict[str, bool] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(_EVERY_S)

    async def check(self) -> None:
        """Probes every part once, all at the same time, and updates the report where something changed."""
        results = await asyncio.gather(*(self._answers(probe) for probe in self._probes.values()))
        healthy = dict(zip(self._probes, results, strict=True))
        states = {service: all(healthy[part] for part in parts) for service, parts in self._needs.items()}
        for service, serving in states.items():
            if self._serving.get(service) != serving:
                await self._report.set((service,), serving=serving)
                self._serving[service] = serving
                failing = [part for part, ok in healthy.items() if not ok]
                _log.info("health_changed", service=service or "server", serving=serving, failing=failing)

    async def _answers(self, probe: Probe) -> bool:
        try:
            async with asyncio.timeout(_PROBE_LIMIT_S):
                return await probe(Deadline.after(_PROBE_LIMIT_S))
        except (PinakesError, TimeoutError):
            return False
