# ruff: noqa: N802 - methods are named by the contract
"""ModelService on the wire."""

from __future__ import annotations

from typing import Any

from grpc.aio import ServicerContext

from pinakes.v1 import model_service_pb2, model_service_pb2_grpc
from server.application.look_after_models import LookAfterModels
from server.transport import model_mapping as mapping
from server.transport.deadlines import deadline_of

LONGEST_LOAD_S = 900.0
LONGEST_WARM_UP_S = 300.0


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models: LookAfterModels) -> None:
        self._models = models

    async def ListModels(
        self, request: model_service_pb2.ListModelsRequest, context: ServicerContext[Any, Any]
    ) -> model_service_pb2.ListModelsResponse:
        page = await self._models.page(request.slot, request.page_size, request.page_token)
        return mapping.models_response(page)

    async def DescribeModel(
        self, request: model_service_pb2.DescribeModelRequest, context: ServicerContext[Any, Any]
    ) -> model_service_pb2.DescribeModelResponse:
        return mapping.describe_response(await self._models.describe(request.name))

    async def LoadModel(
        self, request: model_service_pb2.LoadModelRequest, context: ServicerContext[Any, Any]
    ) -> model_service_pb2.LoadModelResponse:
        model = await self._models.load(request.name, deadline_of(context, LONGEST_LOAD_S))
        return model_service_pb2.LoadModelResponse(model=mapping.model_to_wire(model))

    async def UnloadModel(
        self, request: model_service_pb2.UnloadModelRequest, context: ServicerContext[Any, Any]
    ) -> model_service_pb2.UnloadModelResponse:
        deadline = deadline_of(context, LONGEST_LOAD_S)
        model = await self._models.unload(request.name, deadline, force=request.force)
        return model_service_pb2.UnloadModelResponse(model=mapping.model_to_wire(model))

    async def WarmModel(
        self, request: model_service_pb2.WarmModelRequest, context: ServicerContext[Any, Any]
    ) -> model_service_pb2.WarmModelResponse:
        return mapping.warm_up_response(await self._models.warm(request.name, deadline_of(context, LONGEST_WARM_UP_S)))

    async def GetAliases(
        self, request: model_service_pb2.GetAliasesRequest, context: ServicerContext[Any, Any]
    ) -> model_service_pb2.GetAliasesResponse:
        return mapping.aliases_response(await self._models.aliases())

    async def SetAlias(
        self, request: model_service_pb2.SetAliasRequest, context: ServicerContext[Any, Any]
    ) -> model_service_pb2.SetAliasResponse:
        deadline = deadline_of(context, LONGEST_LOAD_S)
        alias, previous = await self._models.set_alias(request.alias, request.models, deadline)
        return mapping.set_alias_response(alias, previous)
