"""`client.events`."""

from __future__ import annotations

from datetime import datetime

import grpc

from pinakes import events
from pinakes.calls import AsyncCalls, SyncCalls
from pinakes.events import Checkpoint, Event, EventType
from pinakes.options import Deadlines
from pinakes.streams import AsyncStream, Stream
from pinakes.v1.event_service_pb2_grpc import EventServiceStub


class AsyncEvents:
    """`client.events`: tells what happens."""

    def __init__(self, channel: grpc.aio.Channel, calls: AsyncCalls, deadlines: Deadlines) -> None:
        self._stub = EventServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def subscribe(
        self,
        *types: EventType,
        resume_token: str = "",
        since: datetime | None = None,
        timeout_s: float | None = None,
    ) -> AsyncStream[Event | Checkpoint]:
        """Events of these types (none given: of all), as they happen: each with a token from which another subscription
        goes on, and a Checkpoint at the beginning and now and then. Begins after `resume_token`, or with what was
        published since a time, or with what comes from now on. A stream that breaks raises Unavailable; subscribe again
        with the last token then. Raises InvalidField for a token of events that are lost."""
        return self._calls.gathered(
            self._stub.Subscribe,
            events.subscribe_request(types, resume_token, since),
            timeout_s or self._deadlines.subscribe_s,
            events.told,
        )


class Events:
    """`client.events`: tells what happens."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = EventServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def subscribe(
        self,
        *types: EventType,
        resume_token: str = "",
        since: datetime | None = None,
        timeout_s: float | None = None,
    ) -> Stream[Event | Checkpoint]:
        """Events of these types (none given: of all), as they happen: each with a token from which another subscription
        goes on, and a Checkpoint at the beginning and now and then. Begins after `resume_token`, or with what was
        published since a time, or with what comes from now on. A stream that breaks raises Unavailable; subscribe again
        with the last token then. Raises InvalidField for a token of events that are lost."""
        return self._calls.gathered(
            self._stub.Subscribe,
            events.subscribe_request(types, resume_token, since),
            timeout_s or self._deadlines.subscribe_s,
            events.told,
        )
