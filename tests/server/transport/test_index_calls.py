"""IndexService through a real gRPC server, over generations in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from pinakes import AsyncClient, ClientOptions, GenerationOptions, GenerationState, RetryPolicy, errors
from pinakes.v1 import index_service_pb2_grpc
from server.domain import generations as domain
from server.transport.index_servicer import IndexServicer
from server.transport.interceptors import CallInterceptor
from tests.server.application.audit_doubles import UnrecordedCalls
from tests.server.application.test_look_after_index import Keeping
from tests.server.transport.callers import OPEN


class Served:
    def __init__(self, keeping: Keeping, client: AsyncClient) -> None:
        self.keeping = keeping
        self.index = client.index


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    keeping = Keeping()
    server = grpc.aio.server(interceptors=[CallInterceptor(OPEN, UnrecordedCalls(), concurrent_calls=8)])
    index_service_pb2_grpc.add_IndexServiceServicer_to_server(IndexServicer(keeping.index), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    options = ClientOptions(retry=RetryPolicy(attempts=1))
    async with keeping.running(), AsyncClient(f"127.0.0.1:{port}", options=options) as client:
        yield Served(keeping, client)
    await server.stop(None)


async def test_a_generation_is_built_compared_activated_and_the_old_one_deleted(served: Served) -> None:
    begun = await served.index.build(GenerationOptions(graph_degree=16))
    assert (begun.name, begun.options.graph_degree, begun.options.build_effort) == ("generation-2", 16, 200)
    await served.keeping.until(domain.GenerationState.READY, begun.name)
    assert (await served.index.compare(begun.name, samples=7)).samples == 7
    done = await served.index.activate(begun.name)
    assert (done.generation.state, done.previous) == (GenerationState.SERVING, "generation-1")
    await served.index.delete("generation-1")
    status = await served.index.get()
    assert [each.name for each in status.generations] == ["generation-2"]
    assert status.log_position == "log-7"
    copy = await served.index.snapshot("monday")
    assert (copy.path, copy.position, copy.size_bytes) == ("/copies/monday", "log-3", 100)


async def test_refusals_say_why(served: Served) -> None:
    async def refused(call: Any) -> errors.PinakesError:
        with pytest.raises(errors.PinakesError) as caught:
            await call
        return caught.value

    invalid = await refused(served.index.build(GenerationOptions(graph_degree=4)))
    assert isinstance(invalid, errors.InvalidField) and invalid.code == "INVALID_ARGUMENT"
    assert invalid.field_violations[0].field == "options.graph_degree"
    await served.index.build()
    exists = await refused(served.index.build())
    assert isinstance(exists, errors.GenerationExists)
    assert (exists.code, exists.generation) == ("ALREADY_EXISTS", "generation-2")
    state = await refused(served.index.delete("generation-1"))
    assert isinstance(state, errors.WrongGenerationState)
    assert (state.code, state.generation) == ("FAILED_PRECONDITION", "generation-1")
    missing = await refused(served.index.activate("generation-9"))
    assert isinstance(missing, errors.GenerationNotFound) and missing.code == "NOT_FOUND"
    taken = await refused(served.index.snapshot("taken"))
    assert isinstance(taken, errors.SnapshotExists) and (taken.code, taken.snapshot) == ("ALREADY_EXISTS", "taken")
    name = await refused(served.index.snapshot("../elsewhere"))
    assert isinstance(name, errors.InvalidField) and name.field_violations[0].field == "name"
