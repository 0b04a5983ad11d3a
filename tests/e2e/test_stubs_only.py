"""A client written from the README and the stubs alone works against the real server."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from pinakes import AsyncClient
from pinakes.v1 import (
    answer_service_pb2,
    document_service_pb2,
    index_service_pb2,
    inference_service_pb2,
    search_service_pb2,
)
from tests.whole_stack import ROOT, SAMPLES, WholeStack

pytestmark = [pytest.mark.stack, pytest.mark.models]

EXAMPLE = ROOT / "clients" / "python" / "examples" / "stubs_only.py"
SERVICES = {
    service.full_name
    for module in (
        document_service_pb2,
        search_service_pb2,
        answer_service_pb2,
        index_service_pb2,
        inference_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
}


async def test_the_example_runs_to_its_end(stack: WholeStack) -> None:
    """Upload, watch, search, answer, cancel half-way, and the details of an error."""
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client:
        held = [found async for found in client.documents.list() if found.name == "staff-handbook.pdf"]
        for found in held:
            await client.documents.delete(found.document_id)
    document = str(SAMPLES / "staff-handbook.pdf")
    arguments = (stack.endpoints.server, document, "Who is the safety officer?", str(stack.api_key_file))
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 200)
    told = output.decode()
    assert process.returncode == 0, told
    assert "Karoly" in told
    assert "staff-handbook.pdf" in told
    assert "INVALID_FIELD" in told


async def test_health_tells_of_every_service(stack: WholeStack) -> None:
    async with grpc.aio.insecure_channel(stack.endpoints.server) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)  # its types know no methods
        for service in SERVICES | {""}:
            state = await health.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
            assert state.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await health.Check(health_pb2.HealthCheckRequest(service="pinakes.v1.NoService"), timeout=5)
        assert refusal.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_lists_every_service(stack: WholeStack) -> None:
    open_stub: Any = reflection_pb2_grpc.ServerReflectionStub  # its types know no methods
    async with grpc.aio.insecure_channel(stack.endpoints.server) as channel:
        reflection = open_stub(channel)
        requests = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        carried = (("authorization", f"Bearer {stack.api_key}"),)
        async for response in reflection.ServerReflectionInfo(requests, timeout=5, metadata=carried):
            assert {service.name for service in response.list_services_response.service} >= SERVICES
            break
