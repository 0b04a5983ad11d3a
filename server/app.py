"""The composition root: what the two programs are made of, and in which order it is opened and closed.

`serve` answers calls and keeps the index; `work` ingests documents. Both run until cancelled, and close what they
opened. Which adapter stands behind which port is said in `server/parts/`, a module for each concern.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import kernels
from server.adapters.postgres.answer_store import PostgresAnswerStore
from server.adapters.postgres.blob_references import PostgresBlobReferences
from server.adapters.postgres.conversations import PostgresConversations
from server.adapters.postgres.events import PostgresEventAccess
from server.adapters.postgres.outbox import PostgresOutbox
from server.adapters.postgres.replaced_revisions import PostgresReplacedRevisions
from server.application.announcing import OutboxAnnouncer
from server.application.direct_inference import DirectInference
from server.application.forget_answers import ForgetAnswers
from server.application.forget_revisions import ForgetRevisions
from server.application.local_bell import LocalBell
from server.application.look_after_conversations import LookAfterConversations
from server.application.look_after_models import LookAfterModels
from server.application.relay_events import RelayEvents
from server.application.relay_outbox import RelayOutbox
from server.application.subscribe_events import SubscribeEvents
from server.application.sweep_blobs import SweepBlobs
from server.application.watch_certificate import WatchCertificate
from server.domain.deadline import Deadline
from server.domain.models import EMBEDDING_SLOT
from server.parts.answers import Answering, answering_parts
from server.parts.audit import AuditParts, audit_parts
from server.parts.documents import document_servicer
from server.parts.encryption import OperatorParts, operator_parts
from server.parts.health import health_watch
from server.parts.identity import IdentityParts, identity_parts
from server.parts.index import Searching, opened_index
from server.parts.ingestion import ingestion
from server.parts.models import ModelCare, Models, generators, loading, served_models
from server.parts.privacy import privacy_servicer
from server.parts.quotas import QuotaParts, quota_parts
from server.parts.stores import Stores, opened_stores
from server.settings import Settings
from server.telemetry import GeneratorMetrics, metrics_served
from server.transport.answer_servicer import AnswerServicer
from server.transport.conversation_servicer import ConversationServicer
from server.transport.event_servicer import EventServicer
from server.transport.grpc_server import Servicers, grpc_server
from server.transport.health import HealthReport
from server.transport.identity import CallerIdentity
from server.transport.index_servicer import IndexServicer
from server.transport.inference_servicer import InferenceServicer
from server.transport.model_servicer import ModelServicer
from server.transport.search_servicer import SearchServicer
from server.transport.tls import ServerCertificate

_START_LIMIT_S = 300.0


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
        stores = await opened.enter_async_context(opened_stores(settings))
        known = await opened.enter_async_context(identity_parts(settings, stores.pool, stores.database_id))
        audit = await opened.enter_async_context(audit_parts(settings, stores.pool))
        announcer = OutboxAnnouncer(stores.event_outbox)
        models = await opened.enter_async_context(served_models(settings, stores.pool))
        model_care = await opened.enter_async_context(loading(settings, models, announcer))
        await models.aliases.until_serving((EMBEDDING_SLOT,), Deadline.after(_START_LIMIT_S))
        await warming
        embedder = models.embedder.model()
        searching = await opened.enter_async_context(opened_index(settings, stores, embedder, announcer))
        chain = await generators(settings, models, opened)
        quotas = quota_parts(CallerIdentity(), stores.pool, settings.quotas)
        answering = await opened.enter_async_context(
            answering_parts(settings, stores, models, searching, chain, quotas.meter)
        )
        opened.enter_context(metrics_served((answering.metrics, GeneratorMetrics(chain)), settings.metrics))
        operator = operator_parts(settings, stores.pool, stores.storage, stores.events, stores.log_bell)
        outbox_bell = LocalBell()
        report = HealthReport()
        servicers = _servicers(
            settings,
            stores,
            known,
            audit,
            models,
            model_care,
            searching,
            answering,
            outbox_bell,
            operator,
            quotas,
        )
        background = (
            searching.following,
            searching.verifying,
            RelayOutbox(PostgresOutbox(stores.pool), stores.queue, outbox_bell, settings.relay),
            RelayEvents(stores.event_outbox, stores.events, settings.event_relay),
            ForgetRevisions(PostgresReplacedRevisions(stores.pool), settings.revisions),
            ForgetAnswers(PostgresAnswerStore(stores.pool), settings.kept_answers),
            stores.storage.sealing,
            operator.deletions,
            audit.pruning,
            SweepBlobs(stores.blobs, PostgresBlobReferences(stores.pool, stores.database_id), settings.sweep),
            health_watch(report, stores, models, model_care, searching.index, chain),
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
    async with opened_stores(settings) as stores, served_models(settings, stores.pool) as models:
        await models.aliases.until_serving((EMBEDDING_SLOT,), Deadline.after(_START_LIMIT_S))
        background = (
            # Retries become due while no server may be there to relay them.
            RelayOutbox(PostgresOutbox(stores.pool), stores.queue, LocalBell(), settings.relay),
            RelayEvents(stores.event_outbox, stores.events, settings.event_relay),
            ingestion(settings, stores, models),
        )
        async with asyncio.TaskGroup() as group:
            for loop in background:
                group.create_task(loop.run())


def _servicers(
    settings: Settings,
    stores: Stores,
    known: IdentityParts,
    audit: AuditParts,
    models: Models,
    model_care: ModelCare,
    searching: Searching,
    answering: Answering,
    outbox_bell: LocalBell,
    operator: OperatorParts,
    quotas: QuotaParts,
) -> Servicers:
    identity = CallerIdentity()
    return Servicers(
        documents=document_servicer(identity, settings, stores, searching, answering.policies, outbox_bell),
        search=SearchServicer(identity, answering.search, answering.profiles),
        answers=AnswerServicer(identity, answering.answers),
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
            identity, LookAfterConversations(PostgresConversations(stores.pool), answering.answers, answering.policies)
        ),
        privacy=privacy_servicer(identity, stores.pool, answering.policies),
        auth=known.servicer,
        audit=audit.servicer,
        quotas=quotas.servicer,
    )
