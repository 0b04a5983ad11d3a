"""What each service needs to be able to work."""

from __future__ import annotations

from functools import partial

from server.adapters import triton_embedder, triton_generator, triton_reader, triton_recognizer, triton_reranker
from server.adapters.index_generations import HybridIndexGenerations
from server.application.generation_chain import GenerationChain, Provider
from server.domain.deadline import Deadline
from server.domain.generation import BreakerState
from server.domain.models import EMBEDDING_SLOT, SLOTS, alias_of
from server.parts.models import ModelCare, Models
from server.parts.stores import Stores
from server.transport.grpc_server import SERVICES
from server.transport.health import HealthReport, HealthWatch, Probe


def health_watch(
    report: HealthReport,
    stores: Stores,
    models: Models,
    model_care: ModelCare,
    index: HybridIndexGenerations,
    chain: GenerationChain,
) -> HealthWatch:
    async def index_is_sound(deadline: Deadline) -> bool:
        return index.sound

    async def slots_are_settled(deadline: Deadline) -> bool:
        return await model_care.keeping.settled()

    async def is_asked(provider: Provider, deadline: Deadline) -> bool:
        return provider.breaker.state is BreakerState.CLOSED

    generators: dict[str, Probe] = {f"generator/{each.name}": partial(is_asked, each) for each in chain.providers}
    probes: dict[str, Probe] = {
        **generators,
        "slots": slots_are_settled,
        "database": stores.pool.answers,
        "queue": stores.nats.answers,
        "index": index_is_sound,
        triton_embedder.SLOT: models.embedder.ready,
        triton_recognizer.SLOT: models.recognizer.ready,
        triton_generator.SLOT: models.generator.ready,
        triton_reranker.SLOT: models.reranker.ready,
        triton_reader.SLOT: models.reader.ready,
    }
    (
        encryption,
        tenants,
        documents,
        search,
        answers,
        index_service,
        inference,
        model_service,
        events,
        conversations,
        privacy,
        auth,
        audit,
        quotas,
    ) = SERVICES
    needs = {
        documents: ("database", "queue"),
        search: ("database", "index", "embed"),
        # Without a generator they are extractive.
        answers: ("database", "index", "embed"),
        index_service: ("database",),
        inference: ("embed", "ocr", "generate"),
        model_service: ("database",),
        events: ("database", "queue"),
        conversations: ("database",),
        encryption: ("database",),
        tenants: ("database", "queue"),
        privacy: ("database",),
        auth: ("database",),
        audit: ("database",),
        quotas: ("database",),
        # So that a watcher learns which slot it is.
        **{alias_of(slot): (slot,) for slot in SLOTS},
        **{name: (name,) for name in generators},
    }
    # A slot whose models cannot be loaded keeps nobody from using the others.
    return HealthWatch(report, probes, needs, whole=("database", "queue", EMBEDDING_SLOT, "slots"))
