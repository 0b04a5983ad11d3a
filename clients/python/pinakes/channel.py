"""Connections."""

from __future__ import annotations

import grpc

from pinakes.options import ClientOptions
from pinakes.tls import Tls


def open_channel(
    address: str, options: ClientOptions, credentials: grpc.ChannelCredentials | None, tls: Tls | None
) -> grpc.Channel:
    """A channel that connects at the first call, and again whenever it has to; in the clear without credentials or
    TLS. Raises ValueError for both, OSError for files that cannot be read."""
    arguments = _arguments(options, tls)
    credentials = _secured(credentials, tls)
    if credentials is None:
        return grpc.insecure_channel(address, arguments)
    return grpc.secure_channel(address, credentials, arguments)


def open_async_channel(
    address: str, options: ClientOptions, credentials: grpc.ChannelCredentials | None, tls: Tls | None
) -> grpc.aio.Channel:
    """As `open_channel`, for the running event loop."""
    arguments = _arguments(options, tls)
    credentials = _secured(credentials, tls)
    if credentials is None:
        return grpc.aio.insecure_channel(address, arguments)
    return grpc.aio.secure_channel(address, credentials, arguments)


def _secured(credentials: grpc.ChannelCredentials | None, tls: Tls | None) -> grpc.ChannelCredentials | None:
    if tls is None:
        return credentials
    if credentials is not None:
        raise ValueError("give either credentials or tls")
    return tls.credentials()


def _arguments(options: ClientOptions, tls: Tls | None) -> list[tuple[str, int | str]]:
    return [
        *(tls.arguments() if tls is not None else ()),
        ("grpc.max_receive_message_length", options.max_message_bytes),
        ("grpc.max_send_message_length", options.max_message_bytes),
        ("grpc.keepalive_time_ms", int(options.keepalive_time_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(options.keepalive_timeout_s * 1000)),
        # A restarted server is found again within the back-off of our own retries, not gRPC's two minutes.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", int(options.retry.max_backoff_s * 1000)),
    ]
