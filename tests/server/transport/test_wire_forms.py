"""What is put together once is the same message as long as what it was made of lives."""

from __future__ import annotations

import gc
from dataclasses import dataclass

from pinakes.v1.passage_pb2 import TextRange
from server.transport.wire_forms import made_once


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Span:
    start: int


def test_a_message_is_made_once_of_each_object_and_goes_with_it() -> None:
    made: list[int] = []

    @made_once
    def to_wire(span: Span) -> TextRange:
        made.append(span.start)
        return TextRange(start=span.start)

    first, equal, other = Span(1), Span(1), Span(2)
    assert [to_wire(each).start for each in (first, first, equal, other, first)] == [1, 1, 1, 2, 1]
    assert made == [1, 1, 2]
    for start in range(3, 100):
        # Another one may get the place in memory, and so the number, of one that has gone.
        span = Span(start)
        assert to_wire(span).start == start
        del span
        gc.collect(0)
    assert made[3:] == list(range(3, 100))
