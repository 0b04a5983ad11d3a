"""One caller, who makes the same small calls in turn: without a credential, with an API key, with an access token, and
with a key that is none."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2
from matplotlib.figure import Figure
from pydantic import Field

from bench.metrics import median, paired_median_difference
from bench.record import Findings, Sample, Series, SummaryRow
from bench.suites.base import RunRequest, Strict, Table, Workload, judged_as_run, milliseconds, stack_of
from bench.targets import Endpoints
from pinakes import AsyncClient, ClientOptions, Login, Role
from pinakes.signing import log_in
from pinakes.v1 import auth_service_pb2

OPEN, KEY, TOKEN, STRANGER = "no credential needed", "API key", "access token", "unknown key"
_HEALTH = "/grpc.health.v1.Health/Check"
_WHO_AM_I = "/pinakes.v1.AuthService/WhoAmI"

Call = Callable[[], Awaitable[None]]


class CallsPlan(Strict):
    """Each round makes each kind of call once, in random order."""

    deadline_s: float
    warm_up: int = Field(ge=0)
    rounds: int = Field(gt=0)


class IdentityWorkload(Workload):
    calls: CallsPlan


class IdentitySuite:
    name = "identity"
    parts: tuple[str, ...] = ()
    description = "what authentication and authorization add to a call"

    async def run(self, request: RunRequest) -> Findings:
        """Raises StackFailed, PinakesError, grpc.aio.AioRpcError."""
        plan = IdentityWorkload.model_validate(request.workload).calls
        async with stack_of(request) as endpoints:
            return await _measured(endpoints, plan, np.random.default_rng(request.seed))

    def remarks(self, findings: Findings) -> list[str]:
        """The figures say it all."""
        return []

    def figures(self, findings: Findings) -> Mapping[str, Figure]:
        """Latencies say it all."""
        return {}

    def summarize(self, findings: Findings, workload: Table, seed: int) -> tuple[SummaryRow, ...]:
        """What a credential adds is the median of the paired differences to the call of the same round that needs none.
        It is more than the looking: that call is answered by gRPC's own health service, without a line in the log."""
        taken = {series.name: series.latencies_s() for series in findings.series}
        rng = np.random.default_rng(seed)
        rows = [
            milliseconds(f"{kind} adds, p50", paired_median_difference(taken[OPEN], taken[kind], rng))
            for kind in (KEY, TOKEN)
        ]
        rows += [milliseconds(f"{kind}, p50", median(values)) for kind, values in taken.items()]
        return judged_as_run(tuple(rows), IdentityWorkload.model_validate(workload).targets)


async def _measured(endpoints: Endpoints, plan: CallsPlan, rng: np.random.Generator) -> Findings:
    user, password = f"bench-{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    async with AsyncClient(endpoints.server, api_key=endpoints.api_key) as client:
        key = await client.auth.create_key("bench", ["search"], lifetime=timedelta(hours=1))
        await client.auth.create_user(user, password, Role.VIEWER)
        login = Login(user, password)
        tokens = await asyncio.to_thread(log_in, endpoints.server, login, None, ClientOptions())
        try:
            async with grpc.aio.insecure_channel(endpoints.server) as channel:
                stranger = f"{key.secret.rpartition('.')[0]}.{secrets.token_urlsafe(32)}"
                calls = {
                    OPEN: _health(channel, plan),
                    KEY: _who_am_i(channel, plan, key.secret),
                    TOKEN: _who_am_i(channel, plan, tokens.access_token),
                    STRANGER: _who_am_i(channel, plan, stranger, refused=True),
                }
                return await _rounds(calls, plan, rng)
        finally:
            await client.auth.revoke_key(key.key.key_id)
            await client.auth.update_user(user, disabled=True)


async def _rounds(calls: Mapping[str, Call], plan: CallsPlan, rng: np.random.Generator) -> Findings:
    clock = asyncio.get_running_loop().time
    samples: dict[str, list[Sample]] = {kind: [] for kind in calls}
    kinds = list(calls)
    origin = clock()
    for number in range(-plan.warm_up, plan.rounds):
        for place in rng.permutation(len(kinds)):
            kind = kinds[place]
            sent_s = clock() - origin
            await calls[kind]()
            if number >= 0:
                samples[kind].append(Sample(number, sent_s, sent_s, clock() - origin - sent_s, {}))
    return Findings(
        tuple(Series(kind, "alternating", tuple(taken), warm_up=plan.warm_up) for kind, taken in samples.items())
    )


def _health(channel: grpc.aio.Channel, plan: CallsPlan) -> Call:
    method: Any = channel.unary_unary(_HEALTH)
    request = health_pb2.HealthCheckRequest().SerializeToString()

    async def call() -> None:
        await method(request, timeout=plan.deadline_s)

    return call


def _who_am_i(channel: grpc.aio.Channel, plan: CallsPlan, bearer: str, *, refused: bool = False) -> Call:
    """Raises grpc.aio.AioRpcError, or ValueError for a stranger who was let in."""
    method: Any = channel.unary_unary(_WHO_AM_I)
    request = auth_service_pb2.WhoAmIRequest().SerializeToString()
    carried = grpc.aio.Metadata(("authorization", f"Bearer {bearer}"))

    async def call() -> None:
        try:
            await method(request, timeout=plan.deadline_s, metadata=carried)
        except grpc.aio.AioRpcError as error:
            if not refused or error.code() is not grpc.StatusCode.UNAUTHENTICATED:
                raise
        else:
            if refused:
                raise ValueError("a key that is none was let in")

    return call
