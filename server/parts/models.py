"""The models that are called, who writes answers, and what keeps models loaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from server.adapters import triton_embedder, triton_generator, triton_reader, triton_recognizer, triton_reranker
from server.adapters.circuit_breaker import CircuitBreaker
from server.adapters.endpoint_slot import EndpointSlot
from server.adapters.model_catalogue import CatalogueFiles
from server.adapters.model_memory import StubMemory
from server.adapters.openai_embedder import OpenAiEmbedder
from server.adapters.openai_endpoint import OpenAiEndpoint
from server.adapters.openai_generator import OpenAiGenerator
from server.adapters.postgres.model_aliases import PostgresModelAliases
from server.adapters.postgres.pool import PostgresPool
from server.adapters.served_slot import ServedSlot
from server.adapters.triton_client import TritonConnection
from server.adapters.triton_control import TritonModelControl
from server.adapters.triton_embedder import TritonEmbedder
from server.adapters.triton_generator import TritonGenerator
from server.adapters.triton_reader import TritonReader
from server.adapters.triton_recognizer import TritonTextRecognizer
from server.adapters.triton_reranker import TritonReranker
from server.application.announcing import OutboxAnnouncer
from server.application.answer_ports import PassageReader
from server.application.follow_aliases import FollowAliases
from server.application.generation_chain import GenerationChain, Provider
from server.application.keep_models import KeepModels
from server.application.load_models import LoadModels
from server.application.model_control_ports import FilledSlot
from server.application.model_ports import Embedder, Generator, Reranker, TextRecognizer
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, Overloaded, StageDeadline
from server.domain.models import SLOTS
from server.settings import OWN_GENERATOR, GenerationEndpointSettings, Settings

_ENDPOINT_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Models:
    triton: TritonConnection
    catalogue: CatalogueFiles
    store: PostgresModelAliases
    aliases: FollowAliases
    embedder: ServedSlot[Embedder] | EndpointSlot[Embedder]
    reranker: ServedSlot[Reranker]
    reader: ServedSlot[PassageReader]
    recognizer: ServedSlot[TextRecognizer]
    generator: ServedSlot[Generator] | EndpointSlot[Generator]


@dataclass(frozen=True, slots=True)
class ModelCare:
    """What only the server has: it alone loads and unloads models."""

    control: TritonModelControl
    loads: LoadModels
    keeping: KeepModels


@asynccontextmanager
async def served_models(settings: Settings, pool: PostgresPool) -> AsyncIterator[Models]:
    """The slots, each served by what its alias or the settings name, while the context lasts."""
    async with AsyncExitStack() as opened:
        tls = settings.triton.tls if settings.triton.secured else None
        triton = await opened.enter_async_context(TritonConnection(settings.triton.address, tls))

        def embedder(model: str, deadline: Deadline) -> Awaitable[Embedder]:
            return TritonEmbedder.connect(triton, model, deadline)

        def reranker(model: str, deadline: Deadline) -> Awaitable[Reranker]:
            return TritonReranker.connect(triton, model, deadline)

        def reader(model: str, deadline: Deadline) -> Awaitable[PassageReader]:
            return TritonReader.connect(triton, model, deadline)

        def recognizer(model: str, deadline: Deadline) -> Awaitable[TextRecognizer]:
            return TritonTextRecognizer.connect(triton, model, deadline, settings.triton.recognizer)

        def generator(model: str, deadline: Deadline) -> Awaitable[Generator]:
            return TritonGenerator.connect(triton, model, deadline, settings.triton.generator)

        embed = await _embedding_endpoint(settings, opened) or ServedSlot(triton_embedder.SLOT, triton, embedder)
        rerank = ServedSlot(triton_reranker.SLOT, triton, reranker)
        read = ServedSlot(triton_reader.SLOT, triton, reader)
        ocr = ServedSlot(triton_recognizer.SLOT, triton, recognizer)
        generate = await _generation_endpoint(settings, opened) or ServedSlot(triton_generator.SLOT, triton, generator)
        catalogue, store = CatalogueFiles(settings.model_catalogue), PostgresModelAliases(pool)
        filled = dict(zip(SLOTS, (embed, generate, ocr, read, rerank), strict=True))
        slots: dict[str, FilledSlot] = {name: slot for name, slot in filled.items() if isinstance(slot, ServedSlot)}
        fixed = {name: slot.serving for name, slot in filled.items() if isinstance(slot, EndpointSlot)}
        aliases = FollowAliases(store, catalogue, triton, slots, settings.models.aliases, fixed)
        # A mistake in it is told at the start rather than waited for.
        await catalogue.read()
        await opened.enter_async_context(_in_background(aliases.run()))
        yield Models(triton, catalogue, store, aliases, embed, rerank, read, ocr, generate)


@asynccontextmanager
async def loading(settings: Settings, models: Models, announcer: OutboxAnnouncer) -> AsyncIterator[ModelCare]:
    """Has what the aliases name loaded while the context lasts."""
    token = settings.triton.control_token.get_secret_value()
    control = TritonModelControl(models.triton, {settings.triton.control_header: token} if token else {})
    # Where `up` has it. If Triton runs elsewhere, nothing is there to be measured.
    memory = StubMemory(settings.data_dir / "triton" / "repository")
    loads = LoadModels(models.catalogue, control, memory, models.aliases, announcer, settings.models.loads)
    keeping = KeepModels(loads, models.aliases, models.triton, announcer, settings.models.keep)
    try:
        async with _in_background(keeping.run()):
            yield ModelCare(control, loads, keeping)
    finally:
        # When nobody begins one any more.
        await loads.close()


async def generators(settings: Settings, models: Models, opened: AsyncExitStack) -> GenerationChain:
    """Who writes answers, in the order of the priorities. Raises as `_generation_endpoint` does."""
    own = settings.generators

    def provider(name: str, slot: ServedSlot[Generator] | EndpointSlot[Generator]) -> Provider:
        return Provider(name, slot, CircuitBreaker(name, own.breaker))

    providers = [(0, provider(OWN_GENERATOR, models.generator))]
    for other in own.others:
        slot = await _endpoint_of(other, other.name, opened)
        providers.append((other.priority, provider(other.name, slot)))
    return GenerationChain([each for _, each in sorted(providers, key=lambda ranked: ranked[0])], own.chain)


async def _embedding_endpoint(settings: Settings, opened: AsyncExitStack) -> EndpointSlot[Embedder] | None:
    """None if the settings name none. Raises SlotMisconfigured, DependencyUnavailable."""
    own = settings.embedding
    if not own.endpoint.url:
        return None
    endpoint = await opened.enter_async_context(OpenAiEndpoint(own.endpoint, own.key(), triton_embedder.SLOT))
    model = await OpenAiEmbedder.connect(endpoint, Deadline.after(_ENDPOINT_LIMIT_S), own.embedder)
    return EndpointSlot[Embedder](endpoint, model)


async def _generation_endpoint(settings: Settings, opened: AsyncExitStack) -> EndpointSlot[Generator] | None:
    """None if the settings name none. Raises SlotMisconfigured, so that a wrong key is noticed at the start."""
    own = settings.generation
    return await _endpoint_of(own, triton_generator.SLOT, opened) if own.endpoint.url else None


async def _endpoint_of(own: GenerationEndpointSettings, name: str, opened: AsyncExitStack) -> EndpointSlot[Generator]:
    """Raises SlotMisconfigured."""
    endpoint = await opened.enter_async_context(OpenAiEndpoint(own.endpoint, own.key(), name))
    with suppress(DependencyUnavailable, StageDeadline, Overloaded):  # it may come later: health tells
        await endpoint.check(Deadline.after(_ENDPOINT_LIMIT_S))
    return EndpointSlot[Generator](endpoint, OpenAiGenerator(endpoint, own.generator))


@asynccontextmanager
async def _in_background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Runs what goes on until it is cancelled."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))
