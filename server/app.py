"""The composition root: the only place that knows which adapter stands behind which port.

`serve` answers calls and keeps the index; `work` ingests documents. Both run until cancelled, and close what
they opened.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import kernels
from server.adapters import triton_embedder, triton_generator, triton_reader, triton_recognizer, triton_reranker
from server.adapters.circuit_breaker import CircuitBreaker
from server.adapters.database_binding import bind
from server.adapters.document_reader import FileDocumentReader
from server.adapters.encrypted_storage import EncryptedStorage, encrypted_storage
from server.adapters.endpoint_slot import EndpointSlot
from server.adapters.file_blobs import FileBlobStore
from server.adapters.index_generations import FollowedLog, HybridIndexGenerations
from server.adapters.index_highlighter import IndexHighlighter
from server.adapters.jetstream import JetStreamWorkQueue
from server.adapters.jetstream_events import JetStreamEvents
from server.adapters.local_bell import LocalBell
from server.adapters.model_catalogue import CatalogueFiles
from server.adapters.model_memory import StubMemory
from server.adapters.nats_bell import NatsBell
from server.adapters.nats_connection import NatsConnection
from server.adapters.openai_embedder import OpenAiEmbedder
from server.adapters.openai_endpoint import OpenAiEndpoint
from server.adapters.openai_generator import OpenAiGenerator
from server.adapters.postgres.answer_store import PostgresAnswerStore
from server.adapters.postgres.blob_references import PostgresBlobReferences
from server.adapters.postgres.change_log import PostgresChangeLog
from server.adapters.postgres.chunk_writer import PostgresChunkWriter
from server.adapters.postgres.conversation_history import PostgresConversationHistory
from server.adapters.postgres.conversation_turns import PostgresConversationTurns
from server.adapters.postgres.conversations import PostgresConversations
from server.adapters.postgres.database_identity import database_id
from server.adapters.postgres.document_access import PostgresDocumentSharing
from server.adapters.postgres.document_catalog import PostgresDocumentCatalog
from server.adapters.postgres.document_names import PostgresDocumentNames
from server.adapters.postgres.document_originals import PostgresDocumentOriginals
from server.adapters.postgres.events import PostgresEventAccess, PostgresEventOutbox
from server.adapters.postgres.job_control import PostgresJobControl
from server.adapters.postgres.job_ledger import PostgresJobLedger
from server.adapters.postgres.migrating import migrate
from server.adapters.postgres.model_aliases import PostgresModelAliases
from server.adapters.postgres.outbox import PostgresOutbox
from server.adapters.postgres.passage_store import PostgresPassageStore
from server.adapters.postgres.pool import PostgresPool
from server.adapters.postgres.replaced_revisions import PostgresReplacedRevisions
from server.adapters.postgres.sensitive_pages import PostgresSensitivePages
from server.adapters.postgres.stage_results import PostgresStageResults
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
from server.application.answer_question import AnswerQuestion
from server.application.caching import CacheView
from server.application.delete_document import DeleteDocument
from server.application.direct_inference import DirectInference
from server.application.follow_aliases import FollowAliases
from server.application.follow_generations import FollowGenerations
from server.application.follow_ups import WordsOfTheLastQuestion
from server.application.forget_answers import ForgetAnswers
from server.application.forget_revisions import ForgetRevisions
from server.application.generation_chain import GenerationChain, Provider
from server.application.give_answers import GiveAnswers
from server.application.ingest_document import IngestDocument
from server.application.ingestion_stages import IngestionStages
from server.application.keep_models import KeepModels
from server.application.limit_tenants import MeterAnswers, MeterTokens
from server.application.list_documents import ListDocuments
from server.application.load_models import LoadModels
from server.application.look_after_conversations import LookAfterConversations
from server.application.look_after_index import LookAfterIndex
from server.application.look_after_jobs import LookAfterJobs
from server.application.look_after_models import LookAfterModels
from server.application.model_control_ports import FilledSlot
from server.application.model_ports import Embedder, Generator, Reranker, TextRecognizer
from server.application.privacy.follow_policies import FollowPolicies
from server.application.privacy.masked_answers import MaskAnswers
from server.application.privacy.masked_passages import MaskedPassages
from server.application.privacy.screening import ScreenDocuments
from server.application.readable_together import ReadableTogether
from server.application.relay_events import RelayEvents
from server.application.relay_outbox import RelayOutbox
from server.application.retrieval_profiles import RetrievalProfiles
from server.application.reuse_answers import ReuseAnswers
from server.application.reuse_searches import ReuseSearches
from server.application.rewrite_follow_ups import RewriteFollowUps
from server.application.search_passages import SearchPassages
from server.application.share_document import ShareDocument
from server.application.show_pages import ShowPages
from server.application.subscribe_events import SubscribeEvents
from server.application.sweep_blobs import SweepBlobs
from server.application.take_turns import TakeTurns
from server.application.upload_document import UploadDocument
from server.application.verify_index import VerifyIndex
from server.application.watch_certificate import WatchCertificate
from server.application.watch_job import WatchJob
from server.application.work_off_queue import WorkOffQueue
from server.audit import AuditParts, audit_parts
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, Overloaded, StageDeadline
from server.domain.generation import BreakerState
from server.domain.generations import GenerationOptions
from server.domain.models import EMBEDDING_SLOT, SLOTS, alias_of
from server.encryption import OperatorParts, operator_parts
from server.identity import IdentityParts, identity_parts
from server.privacy import followed_policies, privacy_servicer
from server.quotas import QuotaParts, quota_parts
from server.settings import OWN_GENERATOR, GenerationEndpointSettings, Settings
from server.telemetry import CacheMetrics, GeneratorMetrics, metrics_served
from server.transport.answer_servicer import AnswerServicer
from server.transport.conversation_servicer import ConversationServicer
from server.transport.document_servicer import DocumentServicer
from server.transport.event_servicer import EventServicer
from server.transport.grpc_server import SERVICES, Servicers, grpc_server
from server.transport.health import HealthReport, HealthWatch, Probe
from server.transport.identity import CallerIdentity
from server.transport.index_servicer import IndexServicer
from server.transport.inference_servicer import InferenceServicer
from server.transport.model_servicer import ModelServicer
from server.transport.search_servicer import SearchServicer
from server.transport.tls import ServerCertificate

_LOG_SUBJECT = "pinakes.log"
_START_LIMIT_S = 300.0
_ENDPOINT_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class _Stores:
    """What server and worker share: the database, the queue, the blobs."""

    pool: PostgresPool
    database_id: str
    nats: NatsConnection
    queue: JetStreamWorkQueue
    log_bell: NatsBell
    events: JetStreamEvents
    event_outbox: PostgresEventOutbox
    storage: EncryptedStorage
    reader: FileDocumentReader

    @property
    def blobs(self) -> FileBlobStore:
        return self.storage.blobs


@dataclass(frozen=True, slots=True)
class _Models:
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
class _ModelCare:
    """What only the server has: it alone loads and unloads models."""

    control: TritonModelControl
    loads: LoadModels
    keeping: KeepModels


@dataclass(frozen=True, slots=True)
class _Searching:
    index: HybridIndexGenerations
    highlighter: IndexHighlighter
    care: LookAfterIndex


@dataclass(frozen=True, slots=True)
class _Answering:
    search: ReuseSearches
    profiles: RetrievalProfiles
    answers: ReuseAnswers
    policies: FollowPolicies
    metrics: CacheMetrics


async def serve(settings: Settings) -> None:
    """Answers calls until cancelled.

    Raises CertificateUnusable, KeyUnusable, WrongDatabase, DependencyUnavailable if PostgreSQL does not answer in ten
    seconds or no embedding model in five minutes (the other slots can be filled later: health tells), OSError if the
    address is taken. IndexAhead comes in a group.
    """
    certificate = ServerCertificate(settings.server.tls) if settings.server.tls.enabled else None
    async with AsyncExitStack() as opened:
        # While Triton starts: seconds, the first time on a machine more.
        warming = asyncio.ensure_future(asyncio.to_thread(kernels.warm_up))
        opened.callback(warming.cancel)
        stores = await opened.enter_async_context(_stores(settings))
        known = await opened.enter_async_context(identity_parts(settings, stores.pool, stores.database_id))
        audit = await opened.enter_async_context(audit_parts(settings, stores.pool))
        announcer = OutboxAnnouncer(stores.event_outbox)
        models = await opened.enter_async_context(_models(settings, stores.pool))
        model_care = await opened.enter_async_context(_loading(settings, models, announcer))
        await models.aliases.until_serving((EMBEDDING_SLOT,), Deadline.after(_START_LIMIT_S))
        await warming
        log = PostgresChangeLog(stores.pool)
        embedder = models.embedder.model()
        index = await _index(settings, embedder, FollowedLog(stores.database_id, await log.head()))
        opened.push_async_callback(index.close)
        highlighter = await asyncio.to_thread(IndexHighlighter, index.rarities, settings.highlighter)
        opened.push_async_callback(highlighter.close)
        outbox_bell = LocalBell()
        operator = operator_parts(settings, stores.pool, stores.storage, stores.events, stores.log_bell)
        report = HealthReport()
        following = FollowGenerations(log, index, stores.log_bell, announcer, embedder.fingerprint, settings.follow)
        kept = GenerationOptions(settings.index.index.graph.degree, settings.index.index.graph.effort)
        care = LookAfterIndex(index, index, following, log, kept)
        searching = _Searching(index, highlighter, care)
        chain = await _generators(settings, models, opened)
        quotas = quota_parts(CallerIdentity(), stores.pool, settings.quotas)
        answering = _answering(settings, stores, models, searching, chain, quotas.meter)
        metrics = answering.metrics, GeneratorMetrics(chain)
        opened.enter_context(metrics_served(metrics, settings.metrics))
        turns = TakeTurns(
            PostgresConversationTurns(stores.pool),
            PostgresConversationHistory(stores.pool),
            WordsOfTheLastQuestion(),
            RewriteFollowUps(chain, settings.turns.rewriting),
            answering.profiles,
            settings.turns,
        )
        answers = GiveAnswers(
            answering.answers, PostgresAnswerStore(stores.pool), turns, answering.policies, settings.given_answers
        )
        opened.push_async_callback(answers.close)
        servicers = _servicers(
            settings,
            stores,
            known,
            audit,
            models,
            model_care,
            searching,
            answering,
            answers,
            outbox_bell,
            operator,
            quotas,
        )
        background = (
            following,
            VerifyIndex(care, index, announcer, settings.verify),
            RelayOutbox(PostgresOutbox(stores.pool), stores.queue, outbox_bell, settings.relay),
            RelayEvents(stores.event_outbox, stores.events, settings.event_relay),
            ForgetRevisions(PostgresReplacedRevisions(stores.pool), settings.revisions),
            ForgetAnswers(PostgresAnswerStore(stores.pool), settings.kept_answers),
            stores.storage.sealing,
            operator.deletions,
            audit.pruning,
            SweepBlobs(stores.blobs, PostgresBlobReferences(stores.pool, stores.database_id), settings.sweep),
            _health_watch(report, stores, models, model_care, index, chain),
        )
        await opened.enter_async_context(
            grpc_server(servicers, known.gate, audit.calls, report, settings.server, certificate, quotas.requests)
        )
        # Whatever ends this, calls get their time to end before the index and the stores are closed.
        async with asyncio.TaskGroup() as group:
            if certificate is not None:
                group.create_task(WatchCertificate(certificate, announcer, settings.certificate).run())
            for loop in background:
                group.create_task(loop.run())


async def work(settings: Settings) -> None:
    """Ingests documents until cancelled; jobs in hand are handed back then. Raises as `serve` does."""
    async with _stores(settings) as stores, _models(settings, stores.pool) as models:
        await models.aliases.until_serving((EMBEDDING_SLOT,), Deadline.after(_START_LIMIT_S))
        ledger = PostgresJobLedger(stores.pool)
        stages = IngestionStages(
            blobs=stores.blobs,
            reader=stores.reader,
            recognizer=models.recognizer,
            embedder=models.embedder,
            ledger=ledger,
            results=PostgresStageResults(stores.pool),
            writer=PostgresChunkWriter(stores.pool),
            screening=ScreenDocuments(followed_policies(stores.pool, settings.policies)),
            options=settings.ingestion.stages,
        )
        worker = f"{socket.gethostname()}:{os.getpid()}"
        ingest = IngestDocument(ledger, stages, stores.log_bell, worker, settings.ingestion)
        # Retries become due while no server may be there to relay them.
        relay = RelayOutbox(PostgresOutbox(stores.pool), stores.queue, LocalBell(), settings.relay)
        relay_events = RelayEvents(stores.event_outbox, stores.events, settings.event_relay)
        async with asyncio.TaskGroup() as group:
            group.create_task(relay.run())
            group.create_task(relay_events.run())
            group.create_task(WorkOffQueue(stores.queue, ingest, settings.worker).run())


@asynccontextmanager
async def _stores(settings: Settings) -> AsyncIterator[_Stores]:
    async with AsyncExitStack() as opened:
        pool = PostgresPool(settings.postgres.dsn.get_secret_value(), settings.postgres.pool)
        nats = NatsConnection(settings.nats.url.get_secret_value(), settings.nats.connection)
        # The role that the pool works as is there from the first migration on.
        await _migrate(settings)
        await opened.enter_async_context(pool)
        own_database = await _own_database(settings, pool)
        await opened.enter_async_context(nats)
        queue = await opened.enter_async_context(JetStreamWorkQueue(nats, settings.nats.queue))
        log_bell = await opened.enter_async_context(NatsBell(nats, _LOG_SUBJECT))
        storage = await opened.enter_async_context(encrypted_storage(settings.data_dir, pool, settings.encryption))
        reader = FileDocumentReader(settings.reader)
        opened.push_async_callback(reader.close)
        events, event_outbox = JetStreamEvents(nats, settings.nats.events), PostgresEventOutbox(pool)
        yield _Stores(pool, own_database, nats, queue, log_bell, events, event_outbox, storage, reader)


@asynccontextmanager
async def _models(settings: Settings, pool: PostgresPool) -> AsyncIterator[_Models]:
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
        yield _Models(triton, catalogue, store, aliases, embed, rerank, read, ocr, generate)


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
async def _loading(settings: Settings, models: _Models, announcer: OutboxAnnouncer) -> AsyncIterator[_ModelCare]:
    """Has what the aliases name loaded while the context lasts."""
    token = settings.triton.control_token.get_secret_value()
    control = TritonModelControl(models.triton, {settings.triton.control_header: token} if token else {})
    # Where `up` has it. If Triton runs elsewhere, nothing is there to be measured.
    memory = StubMemory(settings.data_dir / "triton" / "repository")
    loads = LoadModels(models.catalogue, control, memory, models.aliases, announcer, settings.models.loads)
    keeping = KeepModels(loads, models.aliases, models.triton, announcer, settings.models.keep)
    try:
        async with _in_background(keeping.run()):
            yield _ModelCare(control, loads, keeping)
    finally:
        # When nobody begins one any more.
        await loads.close()


@asynccontextmanager
async def _in_background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Runs what goes on until it is cancelled."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def _index(settings: Settings, embedder: Embedder, log: FollowedLog) -> HybridIndexGenerations:
    return await HybridIndexGenerations.open(
        settings.data_dir / "index",
        settings.data_dir / "snapshots",
        embedder.dimension,
        embedder.fingerprint,
        settings.index,
        log,
    )


async def _migrate(settings: Settings) -> None:
    own = settings.postgres
    dsn = own.owner_dsn.get_secret_value() or own.dsn.get_secret_value()
    async with PostgresPool(dsn, own.pool) as pool:
        await migrate(pool)


async def _own_database(settings: Settings, pool: PostgresPool) -> str:
    """The id of the database. Raises WrongDatabase if the data directory belongs to another one, whose blobs the sweep
    would take for garbage."""
    found = await database_id(pool)
    await asyncio.to_thread(bind, settings.data_dir, found)
    return found


async def _generators(settings: Settings, models: _Models, opened: AsyncExitStack) -> GenerationChain:
    """Who writes answers, in the order of the priorities. Raises as `_generation_endpoint` does."""
    own = settings.generators

    def provider(name: str, slot: ServedSlot[Generator] | EndpointSlot[Generator]) -> Provider:
        return Provider(name, slot, CircuitBreaker(name, own.breaker))

    providers = [(0, provider(OWN_GENERATOR, models.generator))]
    for other in own.others:
        slot = await _endpoint_of(other, other.name, opened)
        providers.append((other.priority, provider(other.name, slot)))
    return GenerationChain([each for _, each in sorted(providers, key=lambda ranked: ranked[0])], own.chain)


def _answering(
    settings: Settings,
    stores: _Stores,
    models: _Models,
    searching: _Searching,
    chain: GenerationChain,
    meter: MeterTokens,
) -> _Answering:
    index, policies = searching.index, followed_policies(stores.pool, settings.policies)
    passages = MaskedPassages(ReadableTogether(PostgresPassageStore(stores.pool)), policies)
    names = PostgresDocumentNames(stores.pool)
    anew = SearchPassages(
        models.embedder, models.reranker, index, passages, names, searching.highlighter, settings.search
    )
    search = ReuseSearches(anew, models.reranker, index, passages, policies, settings.caches.searches)
    answer = AnswerQuestion(search, chain, models.reader, settings.answers)
    # What another generator wrote is not kept.
    first = chain.providers[0].slot
    masked = MaskAnswers(MeterAnswers(answer, meter, settings.answers), policies)
    answers = ReuseAnswers(
        masked, first, models.reranker, models.reader, index, passages, policies, settings.caches.answers
    )
    caches: dict[str, CacheView] = {
        "query_vectors": anew.vectors.kept,
        "searches": search.kept,
        "answers": answers.kept,
    }
    return _Answering(search, anew.profiles, answers, policies, CacheMetrics(caches))


def _servicers(
    settings: Settings,
    stores: _Stores,
    known: IdentityParts,
    audit: AuditParts,
    models: _Models,
    model_care: _ModelCare,
    searching: _Searching,
    answering: _Answering,
    answers: GiveAnswers,
    outbox_bell: LocalBell,
    operator: OperatorParts,
    quotas: QuotaParts,
) -> Servicers:
    identity = CallerIdentity()
    catalog = PostgresDocumentCatalog(stores.pool, settings.quotas.default)
    return Servicers(
        documents=DocumentServicer(
            identity,
            UploadDocument(stores.blobs, stores.reader, catalog, outbox_bell, settings.upload),
            ListDocuments(catalog),
            DeleteDocument(catalog, stores.blobs, stores.log_bell),
            WatchJob(catalog, settings.watch),
            LookAfterJobs(PostgresJobControl(stores.pool), outbox_bell),
            ShowPages(
                PostgresDocumentOriginals(stores.pool),
                stores.blobs,
                stores.blobs,
                stores.reader,
                PostgresSensitivePages(stores.pool),
                answering.policies,
                settings.pages,
            ),
            ShareDocument(PostgresDocumentSharing(stores.pool), searching.index, stores.log_bell, settings.share),
        ),
        search=SearchServicer(identity, answering.search, answering.profiles),
        answers=AnswerServicer(identity, answers),
        index=IndexServicer(searching.care),
        inference=InferenceServicer(
            DirectInference(models.embedder, models.reranker, models.recognizer, models.generator),
            identity,
            quotas.meter,
        ),
        models=ModelServicer(
            LookAfterModels(
                model_care.loads,
                models.aliases,
                models.store,
                models.catalogue,
                model_care.control,
                searching.index,
            )
        ),
        events=EventServicer(
            identity, SubscribeEvents(stores.events, PostgresEventAccess(stores.pool), settings.subscribe)
        ),
        encryption=operator.encryption,
        tenants=operator.tenants,
        conversations=ConversationServicer(
            identity, LookAfterConversations(PostgresConversations(stores.pool), answers, answering.policies)
        ),
        privacy=privacy_servicer(identity, stores.pool, answering.policies),
        auth=known.servicer,
        audit=audit.servicer,
        quotas=quotas.servicer,
    )


def _health_watch(
    report: HealthReport,
    stores: _Stores,
    models: _Models,
    model_care: _ModelCare,
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
