"""Between ModelService's messages and the domain: pure functions, one per message."""

from __future__ import annotations

from collections.abc import Iterable

from pinakes.v1 import model_service_pb2
from server.application.look_after_models import ModelPage
from server.domain.models import Alias, MemorySource, Model, ModelArtifact, ModelState, WarmUp
from server.transport.mapping import duration_to_wire, timestamp_to_wire

_MODEL_STATES = {
    ModelState.UNLOADED: model_service_pb2.MODEL_STATE_UNLOADED,
    ModelState.LOADING: model_service_pb2.MODEL_STATE_LOADING,
    ModelState.READY: model_service_pb2.MODEL_STATE_READY,
    ModelState.UNLOADING: model_service_pb2.MODEL_STATE_UNLOADING,
    ModelState.FAILED: model_service_pb2.MODEL_STATE_FAILED,
}
_MEMORY_SOURCES = {
    MemorySource.MEASURED: model_service_pb2.MEMORY_SOURCE_MEASURED,
    MemorySource.DECLARED: model_service_pb2.MEMORY_SOURCE_DECLARED,
    MemorySource.ESTIMATED: model_service_pb2.MEMORY_SOURCE_ESTIMATED,
}


def models_response(page: ModelPage) -> model_service_pb2.ListModelsResponse:
    return model_service_pb2.ListModelsResponse(
        models=map(model_to_wire, page.models),
        next_page_token=page.next_page_token,
        memory_budget_bytes=page.budget_bytes,
    )


def describe_response(model: Model) -> model_service_pb2.DescribeModelResponse:
    return model_service_pb2.DescribeModelResponse(
        model=model_to_wire(model), artifacts=map(_model_artifact, model.known.artifacts)
    )


def model_to_wire(model: Model) -> model_service_pb2.Model:
    return model_service_pb2.Model(
        name=model.known.name,
        slot=model.known.slot,
        fingerprint=model.known.fingerprint,
        state=_MODEL_STATES[model.state],
        problem=model.problem,
        memory_bytes=model.memory.size_bytes,
        memory_source=_MEMORY_SOURCES[model.memory.source],
        aliases=model.aliases,
        last_use_time=None if model.last_use_time is None else timestamp_to_wire(model.last_use_time),
    )


def _model_artifact(artifact: ModelArtifact) -> model_service_pb2.ModelArtifact:
    return model_service_pb2.ModelArtifact(
        role=artifact.role,
        file=artifact.file,
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        licence=artifact.licence,
        origin=artifact.origin,
    )


def warm_up_response(warm_up: WarmUp) -> model_service_pb2.WarmModelResponse:
    return model_service_pb2.WarmModelResponse(
        rounds=warm_up.rounds, first=duration_to_wire(warm_up.first_s), last=duration_to_wire(warm_up.last_s)
    )


def aliases_response(aliases: Iterable[Alias]) -> model_service_pb2.GetAliasesResponse:
    return model_service_pb2.GetAliasesResponse(aliases=map(alias_to_wire, aliases))


def set_alias_response(alias: Alias, previous: Iterable[str]) -> model_service_pb2.SetAliasResponse:
    return model_service_pb2.SetAliasResponse(alias=alias_to_wire(alias), previous=previous)


def alias_to_wire(alias: Alias) -> model_service_pb2.Alias:
    return model_service_pb2.Alias(
        name=alias.name, slot=alias.slot, models=alias.models, serving=alias.serving, by_default=alias.by_default
    )
