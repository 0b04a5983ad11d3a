"""The connection to Triton that all model adapters share."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.grpc.model_config_pb2 import ModelConfig
from tritonclient.utils import InferenceServerException

from server.adapters.triton_failures import translated
from server.application.tls_files import TlsFiles
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, StageDeadline

_MAX_MESSAGE_BYTES = 64 * 2**20
_QUESTION_LIMIT_S = 5.0


class TritonConnection:
    """One HTTP/2 connection for all models. Reconnects by itself; calls fail as UNAVAILABLE meanwhile."""

    def __init__(self, address: str, tls: TlsFiles | None = None) -> None:
        """`address`: host:port of Triton's gRPC service; in the clear without `tls`."""
        self._address = address
        self._tls = tls
        self._client: InferenceServerClient | None = None
        self._channel: grpc.aio.Channel | None = None
        self._infer: grpc.aio.UnaryUnaryMultiCallable[Any, Any] | None = None

    async def __aenter__(self) -> Self:
        options = [
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
            # A Triton that is restarted is there again in seconds, not after gRPC's two minutes.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1_000),
        ]
        credentials = None if self._tls is None else _credentials(self._tls)
        self._client = InferenceServerClient(self._address, creds=credentials, channel_args=options)
        # To the same address, with the same options and credentials, gRPC has one connection for all channels.
        self._channel = (
            grpc.aio.insecure_channel(self._address, options)
            if credentials is None
            else grpc.aio.secure_channel(self._address, credentials, options)
        )
        self._infer = service_pb2_grpc.GRPCInferenceServiceStub(self._channel).ModelInfer
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._channel is not None:
            await self._channel.close()
        await self.client.close()

    async def infer(self, request: service_pb2.ModelInferRequest, limit_s: float) -> service_pb2.ModelInferResponse:
        """One call of a model, as it stands on the wire. `client.infer` would make it of arrays of objects, which took
        an eighth of the server's processor time for a query. Raises AioRpcError."""
        if self._infer is None:
            raise RuntimeError("the connection to Triton is not open")
        return await self._infer(request, timeout=limit_s)

    @property
    def client(self) -> InferenceServerClient:
        if self._client is None:
            raise RuntimeError("the connection to Triton is not open")
        return self._client

    async def ready(self, model: str, deadline: Deadline) -> bool:
        """Whether the model can be called now. False also when Triton does not answer."""
        try:
            limit = deadline.capped(_QUESTION_LIMIT_S).budget(model)
            return bool(await self.client.is_model_ready(model, client_timeout=limit))
        except (InferenceServerException, grpc.RpcError, StageDeadline):
            return False

    async def fingerprint(self, model: str, deadline: Deadline) -> str:
        """From the parameter `fingerprint` of the model's configuration. Raises DependencyUnavailable, also when the
        configuration has none: embeddings of an unknown model must not be stored."""
        fingerprint: str = (await self.config(model, deadline)).parameters["fingerprint"].string_value
        if not fingerprint:
            raise DependencyUnavailable(f"the model {model}", "its configuration has no fingerprint")
        return fingerprint

    async def config(self, model: str, deadline: Deadline) -> ModelConfig:
        """Raises DependencyUnavailable."""
        try:
            limit = deadline.capped(_QUESTION_LIMIT_S).budget(model)
            response = await self.client.get_model_config(model, client_timeout=limit)
        except (InferenceServerException, grpc.RpcError) as error:
            raise translated(error, model) from error
        return response.config


def instances_of(config: ModelConfig) -> int:
    """How many processes serve the model."""
    return max(1, sum(int(group.count) for group in config.instance_group))


def _credentials(files: TlsFiles) -> grpc.ChannelCredentials:
    """Raises OSError."""
    return grpc.ssl_channel_credentials(
        _content(files.root_file), _content(files.key_file), _content(files.certificate_file)
    )


def _content(file: Path | None) -> bytes | None:
    return None if file is None else file.read_bytes()
