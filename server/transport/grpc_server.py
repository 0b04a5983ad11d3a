"""The gRPC server: services, health, reflection, limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import structlog
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from pinakes.v1 import (
    answer_service_pb2,
    answer_service_pb2_grpc,
    audit_service_pb2,
    audit_service_pb2_grpc,
    auth_service_pb2,
    auth_service_pb2_grpc,
    conversation_service_pb2,
    conversation_service_pb2_grpc,
    document_service_pb2,
    document_service_pb2_grpc,
    encryption_service_pb2,
    encryption_service_pb2_grpc,
    event_service_pb2,
    event_service_pb2_grpc,
    index_service_pb2,
    index_service_pb2_grpc,
    inference_service_pb2,
    inference_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    privacy_service_pb2,
    privacy_service_pb2_grpc,
    quota_service_pb2,
    quota_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
    tenant_service_pb2,
    tenant_service_pb2_grpc,
)
from server.transport.answer_servicer import AnswerServicer
from server.transport.audit_servicer import AuditServicer
from server.transport.auditing import CallAudit
from server.transport.auth_servicer import AuthServicer
from server.transport.authentication import Gate
from server.transport.conversation_servicer import ConversationServicer
from server.transport.document_servicer import DocumentServicer
from server.transport.encryption_servicer import EncryptionServicer, TenantServicer
from server.transport.event_servicer import EventServicer
from server.transport.health import HealthReport
from server.transport.index_servicer import IndexServicer
from server.transport.inference_servicer import InferenceServicer
from server.transport.interceptors import CallInterceptor, RequestLimits
from server.transport.model_servicer import ModelServicer
from server.transport.privacy_servicer import PrivacyServicer
from server.transport.quota_servicer import QuotaServicer
from server.transport.search_servicer import SearchServicer
from server.transport.tls import ServerCertificate, TlsOptions

_log = structlog.get_logger()

_FAREWELL_S = 1.0
"""What calls that were ended have to say so."""

SERVICES = tuple(
    service.full_name
    for module in (
        encryption_service_pb2,
        tenant_service_pb2,
        document_service_pb2,
        search_service_pb2,
        answer_service_pb2,
        index_service_pb2,
        inference_service_pb2,
        model_service_pb2,
        event_service_pb2,
        conversation_service_pb2,
        privacy_service_pb2,
        auth_service_pb2,
        audit_service_pb2,
        quota_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The limits are stated in the README."""

    address: str = "127.0.0.1:7700"
    tls: TlsOptions = field(default_factory=TlsOptions)
    health_address: str = ""
    """Where health alone is served, in the clear, for probes that know no TLS: a loopback address; empty: nowhere."""
    max_message_bytes: int = 16 * 2**20
    concurrent_calls: int = 128
    answers: int = 256
    """Answer and ResumeAnswer calls, which are not among the concurrent calls either."""
    watches: int = 1_024
    """WatchJob, Subscribe and reflection calls, which are not among the concurrent calls."""
    streams_per_connection: int = 512
    """More than a gateway has at a time: on a new connection a client does not know the limit yet, and what it begins
    beyond it is refused as if the server were not there."""
    drain_s: float = 5.0
    """How long running calls may go on after a stop was asked for. Watches end at once."""
    minimum_ping_interval_s: float = 10.0
    """Clients may send keepalive pings this often, also without a call."""


@dataclass(frozen=True, slots=True)
class Servicers:
    documents: DocumentServicer
    search: SearchServicer
    answers: AnswerServicer
    index: IndexServicer
    inference: InferenceServicer
    models: ModelServicer
    events: EventServicer
    conversations: ConversationServicer
    privacy: PrivacyServicer
    encryption: EncryptionServicer
    tenants: TenantServicer
    auth: AuthServicer
    audit: AuditServicer
    quotas: QuotaServicer


@asynccontextmanager
async def grpc_server(
    servicers: Servicers,
    gate: Gate,
    audit: CallAudit,
    report: HealthReport,
    options: ServerOptions,
    certificate: ServerCertificate | None = None,
    limits: RequestLimits | None = None,
) -> AsyncIterator[int]:
    """Serves while the context lasts, over TLS with a `certificate`; yields the port. Everything is NOT_SERVING until
    `report` says otherwise.

    On leaving, running calls get `drain_s` to end, and end with UNAVAILABLE then. Raises OSError if the address cannot
    be bound.
    """
    calls = CallInterceptor(gate, audit, options.concurrent_calls, options.watches, options.answers, limits)
    server = grpc.aio.server(
        interceptors=[calls],
        options=[
            ("grpc.max_receive_message_length", options.max_message_bytes),
            ("grpc.max_send_message_length", options.max_message_bytes),
            ("grpc.max_concurrent_streams", options.streams_per_connection),
            ("grpc.so_reuseport", 0),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", int(options.minimum_ping_interval_s * 1e3)),
            ("grpc.keepalive_permit_without_calls", 1),
        ],
    )
    document_service_pb2_grpc.add_DocumentServiceServicer_to_server(servicers.documents, server)
    search_service_pb2_grpc.add_SearchServiceServicer_to_server(servicers.search, server)
    answer_service_pb2_grpc.add_AnswerServiceServicer_to_server(servicers.answers, server)
    index_service_pb2_grpc.add_IndexServiceServicer_to_server(servicers.index, server)
    inference_service_pb2_grpc.add_InferenceServiceServicer_to_server(servicers.inference, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(servicers.models, server)
    event_service_pb2_grpc.add_EventServiceServicer_to_server(servicers.events, server)
    conversation_service_pb2_grpc.add_ConversationServiceServicer_to_server(servicers.conversations, server)
    privacy_service_pb2_grpc.add_PrivacyServiceServicer_to_server(servicers.privacy, server)
    encryption_service_pb2_grpc.add_EncryptionServiceServicer_to_server(servicers.encryption, server)
    tenant_service_pb2_grpc.add_TenantServiceServicer_to_server(servicers.tenants, server)
    auth_service_pb2_grpc.add_AuthServiceServicer_to_server(servicers.auth, server)
    audit_service_pb2_grpc.add_AuditServiceServicer_to_server(servicers.audit, server)
    quota_service_pb2_grpc.add_QuotaServiceServicer_to_server(servicers.quotas, server)
    health_pb2_grpc.add_HealthServicer_to_server(report.servicer, server)
    reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    await report.set(("", *SERVICES), serving=False)
    port = _listen(server, options.address, None if certificate is None else certificate.credentials())
    probed = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    health_pb2_grpc.add_HealthServicer_to_server(report.servicer, probed)
    if options.health_address:
        _listen(probed, options.health_address, None)
    await probed.start()
    await server.start()
    _log.info("listening", address=options.address, port=port, tls=certificate is not None)
    try:
        yield port
    finally:
        await probed.stop(None)
        await report.servicer.enter_graceful_shutdown()
        await asyncio.shield(drained(server, calls, options.drain_s))


def _listen(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    try:
        return (
            server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
        )
    except RuntimeError as exc:
        raise OSError(f"cannot listen on {address}; is another server running there?") from exc


async def drained(server: grpc.aio.Server, calls: CallInterceptor, drain_s: float) -> None:
    """Stops the server, which takes no further calls, and ends those that are left in a way that callers understand."""
    stopped = asyncio.ensure_future(server.stop(drain_s + _FAREWELL_S))
    calls.end_watches()
    await asyncio.wait([stopped], timeout=drain_s)
    calls.end_calls()
    await stopped
