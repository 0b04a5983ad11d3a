"""What a subscriber asks for, and the token that it comes back with."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from pinakes.v1 import event_service_pb2
from server.application.subscribe_events import SubscribeCommand, SubscribeEvents, Told
from server.domain.deadline import Deadline
from server.domain.errors import InvalidField
from server.domain.events import EventType, StreamPosition
from server.domain.principals import Principal
from server.transport.event_mapping import position_of, subscription, token_of_position
from server.transport.event_servicer import EventServicer
from tests.server.transport.callers import OneIdentity


@given(st.text(), st.integers(0, 2**63 - 1))
def test_a_token_leads_back_to_its_position(stream: str, sequence: int) -> None:
    position = StreamPosition(stream, sequence)
    assert position_of(token_of_position(position)) == position


@given(st.text())
def test_other_tokens_are_refused(token: str) -> None:
    try:
        position = position_of(token)
    except InvalidField as refused:
        assert refused.field == "resume_token"
    else:
        assert token_of_position(position) == token


@pytest.mark.parametrize("position", [StreamPosition("s", -1), StreamPosition("s", 2**63)])
def test_sequences_that_no_stream_has_are_refused(position: StreamPosition) -> None:
    with pytest.raises(InvalidField):
        position_of(token_of_position(position))


class _Batches:
    """In the place of SubscribeEvents."""

    def __init__(self, *batches: list[Told]) -> None:
        self._batches = batches

    async def run(
        self, principal: Principal, command: SubscribeCommand, deadline: Deadline
    ) -> AsyncGenerator[list[Told], None]:
        for batch in self._batches:
            yield batch


class _Context:
    def time_remaining(self) -> float:
        return 10.0


@pytest.mark.parametrize(("several", "messages"), [(True, [1, 256, 44]), (False, [1] * 301)])
async def test_events_that_come_together_share_messages_for_who_takes_several(
    *, several: bool, messages: list[int]
) -> None:
    told = [Told(None, StreamPosition("s", sequence)) for sequence in range(301)]
    subscribe = cast("SubscribeEvents", _Batches(told[:1], told[1:]))
    servicer = EventServicer(OneIdentity(Principal("acme", "ana", frozenset())), subscribe)
    request = event_service_pb2.SubscribeRequest(several=several)
    sent = [response async for response in servicer.Subscribe(request, cast("Any", _Context()))]
    assert [1 + len(response.further) for response in sent] == messages
    tokens = [[response.resume_token, *(each.resume_token for each in response.further)] for response in sent]
    assert [position_of(token).sequence for each in tokens for token in each] == list(range(301))


def test_every_type_can_be_asked_for() -> None:
    numbers = [number for number in event_service_pb2.EventType.values() if number]
    command = subscription(event_service_pb2.SubscribeRequest(types=numbers))
    assert command.types == frozenset(EventType) and command.start is None


def test_a_subscription_begins_where_it_says() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    start = Timestamp()
    start.FromDatetime(moment)
    assert subscription(event_service_pb2.SubscribeRequest(start_time=start)).start == moment
    token = token_of_position(StreamPosition("s", 7))
    assert subscription(event_service_pb2.SubscribeRequest(resume_token=token)).start == StreamPosition("s", 7)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (event_service_pb2.SubscribeRequest(types=[event_service_pb2.EVENT_TYPE_UNSPECIFIED]), "types"),
        (event_service_pb2.SubscribeRequest(types=[99]), "types"),  # type: ignore[list-item]
        (event_service_pb2.SubscribeRequest(resume_token=""), "resume_token"),
        (event_service_pb2.SubscribeRequest(start_time=Timestamp(seconds=2**50)), "start_time"),
    ],
)
def test_what_is_nothing_of_ours_is_refused(request_: event_service_pb2.SubscribeRequest, field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        subscription(request_)
    assert refused.value.field == field
