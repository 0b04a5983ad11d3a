"""Connections."""

from __future__ import annotations

import grpc

from pinakes.options import ClientOptions


def open_channel(address: str, options: ClientOptions, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    """A channel that connects at the first call, and again whenever it has to; in the clear without credentials."""
    arguments = _arguments(options)
    if credentials is None:
        return grpc.insecure_channel(address, arguments)
    return grpc.secure_channel(address, credentials, arguments)


def open_async_channel(
    address: str, options: ClientOptions, credentials: grpc.ChannelCredentials | None
) -> grpc.aio.Channel:
    """As `open_channel`, for the running event loop."""
    arguments = _arguments(options)
    if credentials is None:
        return grpc.aio.insecure_channel(address, arguments)
    return grpc.aio.secure_channel(address, credentials, arguments)


def _arguments(options: ClientOptions) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", options.max_message_bytes),
        ("grpc.max_send_message_length", options.max_message_bytes),
        ("grpc.keepalive_time_ms", int(options.keepalive_time_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(options.keepalive_timeout_s * 1000)),
        # A restarted server is found again within the back-off of our own retries, not gRPC's two minutes.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", int(options.retry.max_backoff_s * 1000)),
    ]
