"""The events of one answer, between who makes them and who reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from server.domain.answers import AnswerEvent, Completion, Delta
from server.domain.deadline import Deadline
from server.domain.errors import InvalidField, StageDeadline
from server.domain.stored_answers import NumberedEvent


class AnswerFeed:
    """Keeps all events of an answer, whose length is bounded. An event that was read never changes; text that comes
    while the last piece has not been read is joined to it, and a reader is given such a piece no sooner than `pause_s`
    after the one before; a slow one gets larger pieces. Whoever makes the events waits while a reader is
    `unread_characters` behind.

    Any number may read at a time: a connection that broke may look alive when its caller is already back on another.
    """

    def __init__(self, pause_s: float, unread_characters: int) -> None:
        self._pause_s = pause_s
        self._most_unread = unread_characters
        self._events: list[AnswerEvent] = []
        self._read = 0
        self._unread_characters = 0
        self._readers = 0
        self._ended = False
        self._error: Exception | None = None
        self._change = asyncio.Event()

    @property
    def events(self) -> tuple[AnswerEvent, ...]:
        return tuple(self._events)

    @property
    def readers(self) -> int:
        return self._readers

    @property
    def ended(self) -> bool:
        """Whether the last event is there: a reader who has it may ask for the answer before `end` is called."""
        return self._ended or (bool(self._events) and isinstance(self._events[-1], Completion))

    async def put(self, event: AnswerEvent, deadline: Deadline) -> None:
        """Raises StageDeadline when the readers did not come near until then."""
        if isinstance(event, Delta):
            if not event.text:
                return
            self._unread_characters += len(event.text)
        last = self._events[-1] if self._read < len(self._events) else None
        if isinstance(event, Delta) and isinstance(last, Delta):
            self._events[-1] = Delta(last.text + event.text)
        else:
            self._events.append(event)
        self._changed()
        while self._readers and self._unread_characters > self._most_unread:
            try:
                async with asyncio.timeout(deadline.budget("send")):
                    await self._change.wait()
            except TimeoutError as error:
                raise StageDeadline("send") from error

    def end(self, error: Exception | None = None) -> None:
        """Nothing more comes. Readers get `error` behind the last event."""
        self._ended, self._error = True, error
        self._changed()

    async def read(self, after: int) -> AsyncGenerator[NumberedEvent, None]:
        """The events behind number `after`, until the end. Raises InvalidField for a number that no reader has seen,
        and the error that the answer ended with."""
        if not 0 <= after <= self._read:
            raise InvalidField("after_sequence", f"must lie between 0 and {self._read:,}, the last event that was sent")
        loop = asyncio.get_running_loop()
        next_delta_at = 0.0
        self._readers += 1
        try:
            while True:
                if after < len(self._events):
                    if isinstance(self._events[after], Delta):
                        if after == len(self._events) - 1 and not self._ended:
                            # While this waits, more text may join the event.
                            await asyncio.sleep(next_delta_at - loop.time())
                        next_delta_at = loop.time() + self._pause_s
                    yield self._taken(after)
                    after += 1
                elif not self._ended:
                    await self._change.wait()
                elif self._error is not None:
                    raise self._error
                else:
                    return
        finally:
            self._readers -= 1
            self._changed()

    def _taken(self, index: int) -> NumberedEvent:
        for event in self._events[self._read : index + 1]:
            if isinstance(event, Delta):
                self._unread_characters -= len(event.text)
        if index >= self._read:
            self._read = index + 1
            self._changed()
        return NumberedEvent(index + 1, self._events[index])

    def _changed(self) -> None:
        """Wakes everybody who waits for the next change."""
        self._change.set()
        self._change = asyncio.Event()
