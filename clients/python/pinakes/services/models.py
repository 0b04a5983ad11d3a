"""`client.models`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import grpc

from pinakes import mapping, requests
from pinakes.calls import AsyncCalls, SyncCalls
from pinakes.options import Deadlines
from pinakes.results import Alias, AliasChange, Model, ModelDescription, WarmUp
from pinakes.v1.model_service_pb2_grpc import ModelServiceStub


class AsyncModels:
    """`client.models`: tells which models there are, loads, unloads and warms them, and says which of them serve."""

    def __init__(self, channel: grpc.aio.Channel, calls: AsyncCalls, deadlines: Deadlines) -> None:
        self._stub = ModelServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def list(self, *, slot: str = "", page_size: int = 0, timeout_s: float | None = None) -> AsyncIterator[Model]:
        """The models of the catalogue, by name, fetched page by page; the timeout is for one page. `slot`: only those
        that can serve it. Raises InvalidField."""
        return self._calls.pages(
            self._stub.ListModels,
            lambda token: requests.list_models(slot, page_size, token),
            timeout_s or self._deadlines.unary_s,
            mapping.model_page,
            lambda page: page.models,
        )

    async def describe(self, name: str, *, timeout_s: float | None = None) -> ModelDescription:
        """One model, and what it is made from. Raises ModelNotFound."""
        return await self._calls.unary(
            self._stub.DescribeModel,
            requests.describe_model(name),
            timeout_s or self._deadlines.unary_s,
            mapping.model_description,
        )

    async def load(self, name: str, *, timeout_s: float | None = None) -> Model:
        """Loads a model beside those that are loaded; returns when it is ready. A caller that gives up leaves nothing
        half loaded. Raises ModelNotFound, ModelLoadFailed, ModelMemoryExhausted."""
        return await self._calls.unary(
            self._stub.LoadModel,
            requests.load_model(name),
            timeout_s or self._deadlines.models_s,
            mapping.loaded_model,
        )

    async def unload(self, name: str, *, force: bool = False, timeout_s: float | None = None) -> Model:
        """Unloads a model; returns when it has answered what it had been asked. `force`: also if an alias names it.
        Raises ModelNotFound, ModelInUse."""
        return await self._calls.unary(
            self._stub.UnloadModel,
            requests.unload_model(name, force),
            timeout_s or self._deadlines.models_s,
            mapping.unloaded_model,
        )

    async def warm(self, name: str, *, timeout_s: float | None = None) -> WarmUp:
        """Calls a loaded model with inputs of its usual sizes. Raises ModelNotFound."""
        return await self._calls.unary(
            self._stub.WarmModel,
            requests.warm_model(name),
            timeout_s or self._deadlines.models_s,
            mapping.warm_up,
        )

    async def aliases(self, *, timeout_s: float | None = None) -> tuple[Alias, ...]:
        """Which models serve: one alias for each slot."""
        return await self._calls.unary(
            self._stub.GetAliases, requests.get_aliases(), timeout_s or self._deadlines.unary_s, mapping.aliases
        )

    async def set_alias(self, alias: str, *models: str, timeout_s: float | None = None) -> AliasChange:
        """Has the first of `models` serve the alias's slot, and the others while it cannot be loaded; without models,
        what the catalogue says. The first one is loaded and warm before. Raises InvalidField, ModelNotFound,
        ModelLoadFailed, ModelMemoryExhausted, EmbeddingMismatch."""
        return await self._calls.unary(
            self._stub.SetAlias,
            requests.set_alias(alias, models),
            timeout_s or self._deadlines.models_s,
            mapping.alias_change,
        )


class Models:
    """`client.models`: tells which models there are, loads, unloads and warms them, and says which of them serve."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = ModelServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def list(self, *, slot: str = "", page_size: int = 0, timeout_s: float | None = None) -> Iterator[Model]:
        """The models of the catalogue, by name, fetched page by page; the timeout is for one page. `slot`: only those
        that can serve it. Raises InvalidField."""
        return self._calls.pages(
            self._stub.ListModels,
            lambda token: requests.list_models(slot, page_size, token),
            timeout_s or self._deadlines.unary_s,
            mapping.model_page,
            lambda page: page.models,
        )

    def describe(self, name: str, *, timeout_s: float | None = None) -> ModelDescription:
        """One model, and what it is made from. Raises ModelNotFound."""
        return self._calls.unary(
            self._stub.DescribeModel,
            requests.describe_model(name),
            timeout_s or self._deadlines.unary_s,
            mapping.model_description,
        )

    def load(self, name: str, *, timeout_s: float | None = None) -> Model:
        """Loads a model beside those that are loaded; returns when it is ready. A caller that gives up leaves nothing
        half loaded. Raises ModelNotFound, ModelLoadFailed, ModelMemoryExhausted."""
        return self._calls.unary(
            self._stub.LoadModel,
            requests.load_model(name),
            timeout_s or self._deadlines.models_s,
            mapping.loaded_model,
        )

    def unload(self, name: str, *, force: bool = False, timeout_s: float | None = None) -> Model:
        """Unloads a model; returns when it has answered what it had been asked. `force`: also if an alias names it.
        Raises ModelNotFound, ModelInUse."""
        return self._calls.unary(
            self._stub.UnloadModel,
            requests.unload_model(name, force),
            timeout_s or self._deadlines.models_s,
            mapping.unloaded_model,
        )

    def warm(self, name: str, *, timeout_s: float | None = None) -> WarmUp:
        """Calls a loaded model with inputs of its usual sizes. Raises ModelNotFound."""
        return self._calls.unary(
            self._stub.WarmModel,
            requests.warm_model(name),
            timeout_s or self._deadlines.models_s,
            mapping.warm_up,
        )

    def aliases(self, *, timeout_s: float | None = None) -> tuple[Alias, ...]:
        """Which models serve: one alias for each slot."""
        return self._calls.unary(
            self._stub.GetAliases, requests.get_aliases(), timeout_s or self._deadlines.unary_s, mapping.aliases
        )

    def set_alias(self, alias: str, *models: str, timeout_s: float | None = None) -> AliasChange:
        """Has the first of `models` serve the alias's slot, and the others while it cannot be loaded; without models,
        what the catalogue says. The first one is loaded and warm before. Raises InvalidField, ModelNotFound,
        ModelLoadFailed, ModelMemoryExhausted, EmbeddingMismatch."""
        return self._calls.unary(
            self._stub.SetAlias,
            requests.set_alias(alias, models),
            timeout_s or self._deadlines.models_s,
            mapping.alias_change,
        )
