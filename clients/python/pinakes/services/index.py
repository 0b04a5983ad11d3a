"""`client.index`."""

from __future__ import annotations

import grpc

from pinakes import mapping, requests
from pinakes.calls import AsyncCalls, SyncCalls
from pinakes.options import Deadlines
from pinakes.results import Activation, Comparison, Generation, GenerationOptions, IndexSnapshot, IndexStatus
from pinakes.v1.index_service_pb2_grpc import IndexServiceStub


class AsyncIndex:
    """`client.index`: tells what the index consists of, and builds, compares, swaps and copies its generations."""

    def __init__(self, channel: grpc.aio.Channel, calls: AsyncCalls, deadlines: Deadlines) -> None:
        self._stub = IndexServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    async def get(self, *, timeout_s: float | None = None) -> IndexStatus:
        """All generations, the oldest first, and the end of the change log."""
        return await self._calls.unary(
            self._stub.GetIndex, requests.get_index(), timeout_s or self._deadlines.unary_s, mapping.index_status
        )

    async def build(self, options: GenerationOptions | None = None, *, timeout_s: float | None = None) -> Generation:
        """Begins to build a generation from the change log, in the background on the server. Raises GenerationExists if
        one is there beside the serving one, also when a first attempt had begun it and its response was lost."""
        return await self._calls.unary(
            self._stub.BuildGeneration,
            requests.build_generation(options),
            timeout_s or self._deadlines.unary_s,
            mapping.begun_generation,
        )

    async def compare(self, name: str, *, samples: int = 0, timeout_s: float | None = None) -> Comparison:
        """Asks the serving generation and the named one the same questions, 1 to 1,000 (0: 100). Raises
        GenerationNotFound, WrongGenerationState."""
        return await self._calls.unary(
            self._stub.CompareGenerations,
            requests.compare_generations(name, samples),
            timeout_s or self._deadlines.index_s,
            mapping.comparison,
        )

    async def activate(self, name: str, *, timeout_s: float | None = None) -> Activation:
        """Lets a complete generation serve; activating the previous one again is the way back. Raises
        GenerationNotFound, WrongGenerationState."""
        return await self._calls.unary(
            self._stub.ActivateGeneration,
            requests.activate_generation(name),
            timeout_s or self._deadlines.unary_s,
            mapping.activation,
        )

    async def delete(self, name: str, *, timeout_s: float | None = None) -> None:
        """Deletes a generation that does not serve. Raises GenerationNotFound, WrongGenerationState."""
        await self._calls.unary(
            self._stub.DeleteGeneration,
            requests.delete_generation(name),
            timeout_s or self._deadlines.unary_s,
            mapping.deleted_generation,
        )

    async def snapshot(self, name: str, *, timeout_s: float | None = None) -> IndexSnapshot:
        """Copies the serving generation into a folder of this name on the server, while it serves. Raises
        SnapshotExists, InvalidField for a name that is none."""
        return await self._calls.unary(
            self._stub.CreateSnapshot,
            requests.create_snapshot(name),
            timeout_s or self._deadlines.index_s,
            mapping.index_snapshot,
        )


class Index:
    """`client.index`: tells what the index consists of, and builds, compares, swaps and copies its generations."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = IndexServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def get(self, *, timeout_s: float | None = None) -> IndexStatus:
        """All generations, the oldest first, and the end of the change log."""
        return self._calls.unary(
            self._stub.GetIndex, requests.get_index(), timeout_s or self._deadlines.unary_s, mapping.index_status
        )

    def build(self, options: GenerationOptions | None = None, *, timeout_s: float | None = None) -> Generation:
        """Begins to build a generation from the change log, in the background on the server. Raises GenerationExists if
        one is there beside the serving one, also when a first attempt had begun it and its response was lost."""
        return self._calls.unary(
            self._stub.BuildGeneration,
            requests.build_generation(options),
            timeout_s or self._deadlines.unary_s,
            mapping.begun_generation,
        )

    def compare(self, name: str, *, samples: int = 0, timeout_s: float | None = None) -> Comparison:
        """Asks the serving generation and the named one the same questions, 1 to 1,000 (0: 100). Raises
        GenerationNotFound, WrongGenerationState."""
        return self._calls.unary(
            self._stub.CompareGenerations,
            requests.compare_generations(name, samples),
            timeout_s or self._deadlines.index_s,
            mapping.comparison,
        )

    def activate(self, name: str, *, timeout_s: float | None = None) -> Activation:
        """Lets a complete generation serve; activating the previous one again is the way back. Raises
        GenerationNotFound, WrongGenerationState."""
        return self._calls.unary(
            self._stub.ActivateGeneration,
            requests.activate_generation(name),
            timeout_s or self._deadlines.unary_s,
            mapping.activation,
        )

    def delete(self, name: str, *, timeout_s: float | None = None) -> None:
        """Deletes a generation that does not serve. Raises GenerationNotFound, WrongGenerationState."""
        self._calls.unary(
            self._stub.DeleteGeneration,
            requests.delete_generation(name),
            timeout_s or self._deadlines.unary_s,
            mapping.deleted_generation,
        )

    def snapshot(self, name: str, *, timeout_s: float | None = None) -> IndexSnapshot:
        """Copies the serving generation into a folder of this name on the server, while it serves. Raises
        SnapshotExists, InvalidField for a name that is none."""
        return self._calls.unary(
            self._stub.CreateSnapshot,
            requests.create_snapshot(name),
            timeout_s or self._deadlines.index_s,
            mapping.index_snapshot,
        )
