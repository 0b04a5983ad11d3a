"""Models and aliases."""

from __future__ import annotations

from pinakes import results
from pinakes.mapping.wire_values import enum_of, time
from pinakes.v1 import model_service_pb2


def model_state(number: int) -> results.ModelState:
    return enum_of(results.ModelState, model_service_pb2.ModelState.DESCRIPTOR, number)


def memory_source(number: int) -> results.MemorySource:
    return enum_of(results.MemorySource, model_service_pb2.MemorySource.DESCRIPTOR, number)


def model(wire: model_service_pb2.Model) -> results.Model:
    return results.Model(
        name=wire.name,
        slot=wire.slot,
        fingerprint=wire.fingerprint,
        state=model_state(wire.state),
        problem=wire.problem,
        memory_bytes=wire.memory_bytes,
        memory_source=memory_source(wire.memory_source),
        aliases=tuple(wire.aliases),
        last_use_time=time(wire.last_use_time) if wire.HasField("last_use_time") else None,
    )


def model_artifact(wire: model_service_pb2.ModelArtifact) -> results.ModelArtifact:
    return results.ModelArtifact(
        role=wire.role,
        file=wire.file,
        sha256=wire.sha256,
        size_bytes=wire.size_bytes,
        licence=wire.licence,
        origin=wire.origin,
    )


def model_page(wire: model_service_pb2.ListModelsResponse) -> results.ModelPage:
    return results.ModelPage(tuple(model(m) for m in wire.models), wire.next_page_token, wire.memory_budget_bytes)


def model_description(wire: model_service_pb2.DescribeModelResponse) -> results.ModelDescription:
    return results.ModelDescription(model(wire.model), tuple(model_artifact(a) for a in wire.artifacts))


def loaded_model(wire: model_service_pb2.LoadModelResponse) -> results.Model:
    return model(wire.model)


def unloaded_model(wire: model_service_pb2.UnloadModelResponse) -> results.Model:
    return model(wire.model)


def warm_up(wire: model_service_pb2.WarmModelResponse) -> results.WarmUp:
    return results.WarmUp(wire.rounds, wire.first.ToNanoseconds() / 1e9, wire.last.ToNanoseconds() / 1e9)


def alias(wire: model_service_pb2.Alias) -> results.Alias:
    return results.Alias(wire.name, wire.slot, tuple(wire.models), wire.serving, wire.by_default)


def aliases(wire: model_service_pb2.GetAliasesResponse) -> tuple[results.Alias, ...]:
    return tuple(alias(a) for a in wire.aliases)


def alias_change(wire: model_service_pb2.SetAliasResponse) -> results.AliasChange:
    return results.AliasChange(alias(wire.alias), tuple(wire.previous))
