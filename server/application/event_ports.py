"""What telling of events needs from the outside."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from server.domain.events import Event, EventType, InstallationEvent, StreamPosition
from server.domain.principals import Principal


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events with their sequence in the stream, in its order; `position` is after the last of them. An empty batch
    says where the reader is."""

    events: tuple[tuple[int, Event], ...]
    position: StreamPosition


class EventPublisher(Protocol):
    @property
    def session(self) -> int:
        """Grows whenever the connection was lost and found: what was stored last may be gone then."""

    async def answers(self) -> bool:
        """Whether the server does, within a few seconds."""

    async def publish(self, events: Sequence[Event]) -> int:
        """Publishes them in their order. Returns how many of the first ones are stored for good; what stands behind the
        first failure has to be published again, and is stored once all the same. Raises DependencyUnavailable if
        that is none."""


class EventReader(Protocol):
    """What was published, as far as it is still kept."""

    def read(
        self, tenant: str, types: Collection[EventType], start: StreamPosition | datetime | None, idle_s: float
    ) -> AsyncGenerator[EventBatch, None]:
        """The events of the tenant and of the installation that are of these types (empty: of any), after a position,
        or from a time on, or from now on; without an end. The first batch is empty, and so is one whenever nothing has
        come for `idle_s`. Raises InvalidField for a position that this stream never had, DependencyUnavailable."""


class EventOutbox(Protocol):
    """Events that the stream has not confirmed yet. What a transaction changes in the database, it tells of itself."""

    async def append(self, *events: InstallationEvent) -> None:
        """Tells of something that happened outside the database. Raises DependencyUnavailable, Overloaded."""

    async def relay(self, publisher: EventPublisher, limit: int) -> int:
        """Publishes at most so many, the oldest first; returns how many. One relay at a time does, so that their order
        stays. Raises DependencyUnavailable, Overloaded."""

    async def publish_again(self) -> None:
        """Makes due what was published and is not yet forgotten. Raises DependencyUnavailable, Overloaded."""

    async def forget(self, settled_s: float, given_up_s: float) -> int:
        """Forgets what was published `settled_s` ago, and what could not be published for `given_up_s`; returns how
        many of the latter. Raises DependencyUnavailable, Overloaded."""


class EventAccess(Protocol):
    async def readable(self, principal: Principal, document_ids: Collection[str]) -> frozenset[str]:
        """Those of the documents, deleted ones included, that the principal may read, or might until they were deleted.
        Raises DependencyUnavailable, Overloaded."""
