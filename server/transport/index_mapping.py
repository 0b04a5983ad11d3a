"""IndexService between the wire and the domain: pure functions, one per message."""

from __future__ import annotations

from pinakes.v1 import index_service_pb2
from server.application.consistency import token_of
from server.application.look_after_index import BuildCommand, IndexStatus
from server.domain.generations import Generation, GenerationComparison, GenerationState, IndexCopy, IndexSegment
from server.transport.mapping import timestamp_to_wire

_GENERATION_STATES = {
    GenerationState.BUILDING: index_service_pb2.GENERATION_STATE_BUILDING,
    GenerationState.READY: index_service_pb2.GENERATION_STATE_READY,
    GenerationState.SERVING: index_service_pb2.GENERATION_STATE_SERVING,
    GenerationState.FAILED: index_service_pb2.GENERATION_STATE_FAILED,
}


def build_command(request: index_service_pb2.BuildGenerationRequest) -> BuildCommand:
    options = request.options
    return BuildCommand(
        graph_degree=options.graph_degree if options.HasField("graph_degree") else None,
        build_effort=options.build_effort if options.HasField("build_effort") else None,
    )


def index_response(status: IndexStatus) -> index_service_pb2.GetIndexResponse:
    return index_service_pb2.GetIndexResponse(
        generations=[generation_to_wire(generation) for generation in status.generations],
        log_position=token_of(status.log_position),
    )


def generation_to_wire(generation: Generation) -> index_service_pb2.Generation:
    options = generation.options
    return index_service_pb2.Generation(
        name=generation.name,
        state=_GENERATION_STATES[generation.state],
        position=token_of(generation.position),
        fingerprint=generation.fingerprint,
        create_time=timestamp_to_wire(generation.create_time),
        segments=[_segment(segment) for segment in generation.segments],
        options=index_service_pb2.GenerationOptions(
            graph_degree=options.graph_degree, build_effort=options.build_effort
        ),
        failure=generation.failure,
    )


def _segment(segment: IndexSegment) -> index_service_pb2.IndexSegment:
    return index_service_pb2.IndexSegment(
        name=segment.name, rows=segment.rows, removed=segment.removed, graph=segment.graph
    )


def comparison_response(comparison: GenerationComparison) -> index_service_pb2.CompareGenerationsResponse:
    return index_service_pb2.CompareGenerationsResponse(
        serving_recall=comparison.serving_recall,
        other_recall=comparison.other_recall,
        overlap=comparison.overlap,
        samples=comparison.samples,
    )


def activation_response(generation: Generation, previous: str) -> index_service_pb2.ActivateGenerationResponse:
    return index_service_pb2.ActivateGenerationResponse(generation=generation_to_wire(generation), previous=previous)


def copy_response(copy: IndexCopy) -> index_service_pb2.CreateSnapshotResponse:
    return index_service_pb2.CreateSnapshotResponse(
        path=copy.path, position=token_of(copy.position), size_bytes=copy.size_bytes
    )
