"""What a subscriber asks for, and the token that it comes back with."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from pinakes.v1 import event_service_pb2
from server.domain.errors import InvalidField
from server.domain.events import EventType, StreamPosition
from server.transport.event_mapping import position_of, subscription, token_of_position


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
