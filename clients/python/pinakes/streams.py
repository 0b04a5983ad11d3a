"""Streams of events from the server. The call starts at the first event; leaving the stream cancels it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import grpc

from pinakes.errors import PinakesError, Unavailable
from pinakes.status import error_of

T = TypeVar("T")

# What generic code needs to know of a call and its messages; the client's methods give the types.
Call = Any
Message = Any


def at_most_one(event: Callable[[Message], T | None]) -> Callable[[Message], Sequence[T]]:
    """The events of messages that hold one, or one that this client is too old to know."""

    def events(message: Message) -> Sequence[T]:
        found = event(message)
        return () if found is None else (found,)

    return events


class AsyncStream(AsyncIterator[T], Generic[T]):
    """Iterate it, best inside `async with`, which cancels the call at its end. Without it the call is cancelled when
    the stream is dropped or `aclose` is called. Raises PinakesError."""

    def __init__(
        self,
        start: Callable[[], Awaitable[tuple[Call, Message]]],
        events: Callable[[Message], Sequence[T]],
        resume: Callable[[Message], Awaitable[tuple[Call, Message]]] | None = None,
    ) -> None:
        """`events`: those of a message, in order. With `resume`, a stream whose connection is lost goes on, once, with
        the call that this starts for the last message that was received."""
        self._start = start
        self._events = events
        self._told: deque[T] = deque()
        self._resume = resume
        self._call: Call = None
        self._last: Message = None
        self._ended = False

    async def __anext__(self) -> T:
        try:
            while not self._ended:
                if self._told:
                    return self._told.popleft()
                message = await self._read()
                if message is grpc.aio.EOF:
                    break
                self._last = message
                self._told.extend(self._events(message))
        except BaseException:
            self._cancel()
            raise
        self._ended = True
        raise StopAsyncIteration

    async def _read(self) -> Message:
        if self._call is None:
            self._call, message = await self._start()
            return message
        try:
            return await self._call.read()
        except grpc.aio.AioRpcError as failed:
            error, resume = error_of(failed), self._resume
            if resume is None or not _is_loss(error):
                raise error from failed
        self._resume = None
        self._call, message = await resume(self._last)
        return message

    async def aclose(self) -> None:
        """Cancels the call if it still runs. The stream ends."""
        self._cancel()

    def _cancel(self) -> None:
        if self._call is not None and not self._ended:
            self._call.cancel()
        self._ended = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        self._cancel()


class Stream(Iterator[T], Generic[T]):
    """As AsyncStream, with `with` and `close`."""

    def __init__(
        self,
        start: Callable[[], tuple[Call, Message]],
        events: Callable[[Message], Sequence[T]],
        resume: Callable[[Message], tuple[Call, Message]] | None = None,
    ) -> None:
        self._start = start
        self._events = events
        self._told: deque[T] = deque()
        self._resume = resume
        self._call: Call = None
        self._last: Message = None
        self._ended = False

    def __next__(self) -> T:
        try:
            while not self._ended:
                if self._told:
                    return self._told.popleft()
                self._last = self._read()
                self._told.extend(self._events(self._last))
        except BaseException:  # StopIteration, too: the call has ended then, and cancelling it does nothing
            self.close()
            raise
        raise StopIteration

    def _read(self) -> Message:
        if self._call is None:
            self._call, message = self._start()
            return message
        try:
            return next(self._call)
        except grpc.RpcError as failed:
            error, resume = error_of(failed), self._resume
            if resume is None or not _is_loss(error):
                raise error from failed
        self._resume = None
        self._call, message = resume(self._last)
        return message

    def close(self) -> None:
        """Cancels the call if it still runs. The stream ends."""
        if self._call is not None and not self._ended:
            self._call.cancel()
        self._ended = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def _is_loss(error: PinakesError) -> bool:
    """Of the connection: what the server itself says has a reason."""
    return isinstance(error, Unavailable) and not error.reason
