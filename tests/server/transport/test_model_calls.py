"""ModelService through a real gRPC server, over models in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from pinakes import AsyncClient, ClientOptions, MemorySource, ModelState, RetryPolicy, errors
from pinakes.v1 import model_service_pb2_grpc
from server.transport.interceptors import CallInterceptor
from server.transport.model_servicer import ModelServicer
from tests.server.application.audit_doubles import UnrecordedCalls
from tests.server.application.model_doubles import Models, known
from tests.server.application.test_load_models import until_loading, until_unloaded
from tests.server.transport.callers import OPEN


class Served:
    def __init__(self, inner: Models, client: AsyncClient) -> None:
        self.inner = inner
        self.models = client.models


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    inner = Models(known("qwen@2"), known("big@1", size=500), known("e5@2", "embed"))
    server = grpc.aio.server(interceptors=[CallInterceptor(OPEN, UnrecordedCalls(), concurrent_calls=8)])
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(inner.care), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    options = ClientOptions(retry=RetryPolicy(attempts=1))
    async with inner.kept(), AsyncClient(f"127.0.0.1:{port}", options=options) as client:
        yield Served(inner, client)
    await server.stop(None)


async def test_a_version_is_replaced_by_another(served: Served) -> None:
    loaded = await served.models.load("qwen@2")
    assert (loaded.state, loaded.aliases, loaded.last_use_time) == (ModelState.READY, (), None)
    assert (await served.models.warm("qwen@2")).last_s == 0.25
    change = await served.models.set_alias("generate.default", "qwen@2")
    assert (change.alias.serving, change.previous) == ("qwen@2", ("qwen@1",))
    served.inner.triton.uses["qwen@2"] = 1_000.0
    states = {model.name: model async for model in served.models.list(slot="generate", page_size=1)}
    assert list(states) == ["big@1", "qwen@1", "qwen@2"]
    assert states["qwen@2"].aliases == ("generate.default",)
    assert states["qwen@2"].last_use_time == datetime.fromtimestamp(1_000, UTC)
    assert (states["big@1"].memory_bytes, states["big@1"].memory_source) == (500, MemorySource.DECLARED)
    described = await served.models.describe("qwen@2")
    assert [artifact.role for artifact in described.artifacts] == ["weights"]
    aliases = {alias.name: alias for alias in await served.models.aliases()}
    assert set(aliases) == {"embed.default", "generate.default", "ocr.default", "read.default", "rerank.default"}
    assert aliases["rerank.default"].models == () and aliases["embed.default"].by_default


async def test_a_forced_model_goes(served: Served) -> None:
    assert (await served.models.unload("qwen@1", force=True)).state is ModelState.UNLOADED


async def test_refusals_say_why(served: Served) -> None:
    async def refused(call: Any) -> errors.PinakesError:
        with pytest.raises(errors.PinakesError) as caught:
            await call
        return caught.value

    for call in (served.models.load, served.models.unload, served.models.warm, served.models.describe):
        missing = await refused(call("none@1"))
        assert isinstance(missing, errors.ModelNotFound) and (missing.code, missing.model) == ("NOT_FOUND", "none@1")
    used = await refused(served.models.unload("qwen@1"))
    assert isinstance(used, errors.ModelInUse)
    assert (used.code, used.alias) == ("FAILED_PRECONDITION", "generate.default")
    large = await refused(served.models.load("big@1"))
    assert isinstance(large, errors.ModelMemoryExhausted)
    assert (large.code, large.model) == ("RESOURCE_EXHAUSTED", "big@1")
    served.inner.triton.failing["qwen@2"] = "no such weights"
    broken = await refused(served.models.set_alias("generate.default", "qwen@2"))
    assert isinstance(broken, errors.ModelLoadFailed) and broken.code == "FAILED_PRECONDITION"
    assert "no such weights" in str(broken)
    other = await refused(served.models.set_alias("embed.default", "e5@2"))
    assert isinstance(other, errors.EmbeddingMismatch)
    assert (other.code, other.held) == ("FAILED_PRECONDITION", "e5@1+weights")
    for alias, model, field in (("chat.default", "qwen@1", "alias"), ("ocr.default", "qwen@1", "models[0]")):
        invalid = await refused(served.models.set_alias(alias, model))
        assert isinstance(invalid, errors.InvalidField) and invalid.field_violations[0].field == field
    with pytest.raises(errors.InvalidField):
        _ = [model async for model in served.models.list(slot="chat")]
    cold = await refused(served.models.warm("qwen@2"))
    assert isinstance(cold, errors.DependencyUnavailable)


async def test_a_cancelled_load_leaves_nothing(served: Served) -> None:
    gate = served.inner.triton.gates["qwen@2"] = asyncio.Event()
    with pytest.raises(errors.DeadlineExceeded):
        await served.models.load("qwen@2", timeout_s=0.2)
    await until_loading(served.inner, "qwen@2")
    gate.set()
    await until_unloaded(served.inner, "qwen@2")
