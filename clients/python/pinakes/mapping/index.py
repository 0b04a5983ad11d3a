"""The index and its generations."""

from __future__ import annotations

from pinakes import results
from pinakes.mapping.wire_values import enum_of, time
from pinakes.v1 import index_service_pb2


def generation_state(number: int) -> results.GenerationState:
    return enum_of(results.GenerationState, index_service_pb2.GenerationState.DESCRIPTOR, number)


def generation_options(wire: index_service_pb2.GenerationOptions) -> results.GenerationOptions:
    return results.GenerationOptions(
        graph_degree=wire.graph_degree if wire.HasField("graph_degree") else None,
        build_effort=wire.build_effort if wire.HasField("build_effort") else None,
    )


def index_segment(wire: index_service_pb2.IndexSegment) -> results.IndexSegment:
    return results.IndexSegment(wire.name, wire.rows, wire.removed, wire.graph)


def generation(wire: index_service_pb2.Generation) -> results.Generation:
    return results.Generation(
        name=wire.name,
        state=generation_state(wire.state),
        position=wire.position,
        fingerprint=wire.fingerprint,
        create_time=time(wire.create_time),
        segments=tuple(index_segment(s) for s in wire.segments),
        options=generation_options(wire.options),
        failure=wire.failure,
    )


def index_status(wire: index_service_pb2.GetIndexResponse) -> results.IndexStatus:
    return results.IndexStatus(tuple(generation(g) for g in wire.generations), wire.log_position)


def begun_generation(wire: index_service_pb2.BuildGenerationResponse) -> results.Generation:
    return generation(wire.generation)


def comparison(wire: index_service_pb2.CompareGenerationsResponse) -> results.Comparison:
    return results.Comparison(wire.serving_recall, wire.other_recall, wire.overlap, wire.samples)


def activation(wire: index_service_pb2.ActivateGenerationResponse) -> results.Activation:
    return results.Activation(generation(wire.generation), wire.previous)


def deleted_generation(wire: index_service_pb2.DeleteGenerationResponse) -> None:
    return None


def index_snapshot(wire: index_service_pb2.CreateSnapshotResponse) -> results.IndexSnapshot:
    return results.IndexSnapshot(wire.path, wire.position, wire.size_bytes)
