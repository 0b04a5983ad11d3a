# ruff: noqa: N802 - methods are named by the contract
"""EventService on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from grpc.aio import ServicerContext

from pinakes.v1 import event_service_pb2, event_service_pb2_grpc
from server.application.subscribe_events import SubscribeEvents
from server.transport.deadlines import deadline_of
from server.transport.event_mapping import subscription, told_to_wire
from server.transport.identity import Identity

LONGEST_SUBSCRIPTION_S = 86_400.0
_MOST_IN_MESSAGE = 256
"""Events: some 80 KB. Each message costs as much as four events or more, at both ends."""


class EventServicer(event_service_pb2_grpc.EventServiceServicer):
    def __init__(self, identity: Identity, subscribe: SubscribeEvents) -> None:
        self._identity = identity
        self._subscribe = subscribe

    async def Subscribe(
        self, request: event_service_pb2.SubscribeRequest, context: ServicerContext[Any, Any]
    ) -> AsyncIterator[event_service_pb2.SubscribeResponse]:
        principal = self._identity.principal(context)
        deadline = deadline_of(context, LONGEST_SUBSCRIPTION_S)
        told = self._subscribe.run(principal, subscription(request), deadline)
        most = _MOST_IN_MESSAGE if request.several else 1
        async with aclosing(told):
            async for events in told:
                for first in range(0, len(events), most):
                    yield told_to_wire(events[first : first + most])
