# ruff: noqa: N802 - methods are named by the contract
"""IndexService on the wire."""

from __future__ import annotations

from typing import Any

from grpc.aio import ServicerContext

from pinakes.v1 import index_service_pb2, index_service_pb2_grpc
from server.application.look_after_index import LookAfterIndex
from server.transport.deadlines import deadline_of
from server.transport.index_mapping import (
    activation_response,
    build_command,
    comparison_response,
    copy_response,
    generation_to_wire,
    index_response,
)

LONGEST_COMPARISON_S = 600.0
LONGEST_COPY_S = 3_600.0


class IndexServicer(index_service_pb2_grpc.IndexServiceServicer):
    def __init__(self, index: LookAfterIndex) -> None:
        self._index = index

    async def GetIndex(
        self, request: index_service_pb2.GetIndexRequest, context: ServicerContext[Any, Any]
    ) -> index_service_pb2.GetIndexResponse:
        return index_response(await self._index.status())

    async def BuildGeneration(
        self, request: index_service_pb2.BuildGenerationRequest, context: ServicerContext[Any, Any]
    ) -> index_service_pb2.BuildGenerationResponse:
        generation = await self._index.build(build_command(request))
        return index_service_pb2.BuildGenerationResponse(generation=generation_to_wire(generation))

    async def CompareGenerations(
        self, request: index_service_pb2.CompareGenerationsRequest, context: ServicerContext[Any, Any]
    ) -> index_service_pb2.CompareGenerationsResponse:
        deadline = deadline_of(context, LONGEST_COMPARISON_S)
        return comparison_response(await self._index.compare(request.name, request.samples, deadline))

    async def ActivateGeneration(
        self, request: index_service_pb2.ActivateGenerationRequest, context: ServicerContext[Any, Any]
    ) -> index_service_pb2.ActivateGenerationResponse:
        generation, previous = await self._index.activate(request.name)
        return activation_response(generation, previous)

    async def DeleteGeneration(
        self, request: index_service_pb2.DeleteGenerationRequest, context: ServicerContext[Any, Any]
    ) -> index_service_pb2.DeleteGenerationResponse:
        await self._index.delete(request.name)
        return index_service_pb2.DeleteGenerationResponse()

    async def CreateSnapshot(
        self, request: index_service_pb2.CreateSnapshotRequest, context: ServicerContext[Any, Any]
    ) -> index_service_pb2.CreateSnapshotResponse:
        return copy_response(await self._index.copy(request.name, deadline_of(context, LONGEST_COPY_S)))
