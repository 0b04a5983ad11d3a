"""How a call is made: its deadline, its attempts, and its failure as an error. Twice, for `grpc.aio` and for `grpc`;
what both rest on (requests, mapping, retry, status, uploads) knows no difference."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import grpc
from tenacity import AsyncRetrying, Retrying

from pinakes.credentials import AsyncSigned, Signed
from pinakes.options import ClientOptions
from pinakes.requests import upload_data
from pinakes.status import error_of
from pinakes.streams import AsyncStream, Call, Message, Stream, at_most_one
from pinakes.uploads import Parts, UploadSource
from pinakes.v1.document_service_pb2 import UploadDocumentRequest

Q = TypeVar("Q")
R = TypeVar("R")
T = TypeVar("T")


class Page(Protocol):
    """A part of a list. `next_page_token` is empty on the last one."""

    @property
    def next_page_token(self) -> str: ...


P = TypeVar("P", bound=Page)

Resume = tuple[Any, Callable[[Message], Message]]
"""The method that goes on with a stream, and its request behind the last message that was received."""


class AsyncCalls:
    """Calls over `grpc.aio`. Timeouts cover all attempts of a call."""

    def __init__(self, options: ClientOptions, signed: AsyncSigned) -> None:
        self._retry = options.retry
        self._signed = signed

    async def unary(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Q, R],
        request: Q,
        timeout_s: float,
        result: Callable[[R], T],
    ) -> T:
        """One request, one response."""

        async def attempt(left_s: float) -> R:
            return await method(request, timeout=left_s, metadata=await self._sent())

        return result(await self.retried(attempt, timeout_s))

    async def pages(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Q, R],
        request: Callable[[str], Q],
        timeout_s: float,
        result: Callable[[R], P],
        items: Callable[[P], Iterable[T]],
    ) -> AsyncIterator[T]:
        """All items of a list, page by page: `request` is told the page's token. The timeout is for one page."""
        token = ""
        while True:
            page = await self.unary(method, request(token), timeout_s, result)
            for item in items(page):
                yield item
            token = page.next_page_token
            if not token:
                return

    async def upload(
        self,
        method: grpc.aio.StreamUnaryMultiCallable[UploadDocumentRequest, R],
        header: UploadDocumentRequest,
        source: UploadSource,
        timeout_s: float,
        result: Callable[[R], T],
    ) -> T:
        """The header, then the source's parts. Raises OSError, too."""

        async def attempt(left_s: float) -> R:
            with source.open() as parts:
                try:
                    return await method(_async_upload(header, parts), timeout=left_s, metadata=await self._sent())
                except (grpc.aio.AioRpcError, asyncio.CancelledError):
                    if parts.failure:
                        raise parts.failure from None
                    raise

        return result(await self.retried(attempt, timeout_s, None if source.repeatable else 1))

    def stream(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[Q, R],
        request: Q,
        timeout_s: float,
        event: Callable[[R], T | None],
    ) -> AsyncStream[T]:
        """One request, many responses; tried again only until the first of them."""
        return self.gathered(method, request, timeout_s, at_most_one(event))

    def gathered(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[Q, R],
        request: Q,
        timeout_s: float,
        events: Callable[[R], Sequence[T]],
    ) -> AsyncStream[T]:
        """As `stream`, with any number of events in a response."""
        return AsyncStream(lambda: self.retried(lambda left_s: self._first(method, request, left_s), timeout_s), events)

    def resumable(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[Q, R],
        request: Q,
        resume: Resume,
        timeout_s: float,
        event: Callable[[Message], T | None],
    ) -> AsyncStream[T]:
        """As `stream`; when the connection is lost behind an event, another call goes on behind it, within the same
        time."""
        again, request_after = resume
        deadline = math.inf

        async def begin() -> tuple[Call, Message]:
            nonlocal deadline
            deadline = time.monotonic() + timeout_s
            return await self.retried(lambda left_s: self._first(method, request, left_s), timeout_s)

        async def go_on(last: Message) -> tuple[Call, Message]:
            rest = request_after(last)
            return await self.retried(
                lambda left_s: self._first(again, rest, left_s), max(deadline - time.monotonic(), 0.001)
            )

        return AsyncStream(begin, at_most_one(event), go_on)

    async def _first(
        self, method: grpc.aio.UnaryStreamMultiCallable[Q, R], request: Q, timeout_s: float
    ) -> tuple[Call, Message]:
        """A call and its first message."""
        call = method(request, timeout=timeout_s, metadata=await self._sent())
        try:
            return call, await call.read()
        except BaseException:
            call.cancel()
            raise

    async def _sent(self) -> grpc.aio.Metadata:
        return grpc.aio.Metadata(*await self._signed.metadata())

    async def retried(
        self, attempt: Callable[[float], Awaitable[R]], timeout_s: float, attempts: float | None = None
    ) -> R:
        """Calls `attempt` with the seconds that are left, again where the retry policy says so; `attempts` overrides
        the policy's."""
        deadline = time.monotonic() + timeout_s

        async def once() -> R:
            try:
                return await attempt(deadline - time.monotonic())
            except grpc.aio.AioRpcError as failed:
                raise error_of(failed) from failed

        return await AsyncRetrying(**self._retry.controls(timeout_s, attempts))(once)


class SyncCalls:
    """As AsyncCalls, over `grpc`. Safe to share between threads."""

    def __init__(self, options: ClientOptions, signed: Signed) -> None:
        self._retry = options.retry
        self._signed = signed

    def unary(
        self, method: grpc.UnaryUnaryMultiCallable[Q, R], request: Q, timeout_s: float, result: Callable[[R], T]
    ) -> T:
        """One request, one response."""
        return result(
            self.retried(lambda left_s: method(request, timeout=left_s, metadata=self._signed.metadata()), timeout_s)
        )

    def pages(
        self,
        method: grpc.UnaryUnaryMultiCallable[Q, R],
        request: Callable[[str], Q],
        timeout_s: float,
        result: Callable[[R], P],
        items: Callable[[P], Iterable[T]],
    ) -> Iterator[T]:
        """All items of a list, page by page: `request` is told the page's token. The timeout is for one page."""
        token = ""
        while True:
            page = self.unary(method, request(token), timeout_s, result)
            yield from items(page)
            token = page.next_page_token
            if not token:
                return

    def upload(
        self,
        method: grpc.StreamUnaryMultiCallable[UploadDocumentRequest, R],
        header: UploadDocumentRequest,
        source: UploadSource,
        timeout_s: float,
        result: Callable[[R], T],
    ) -> T:
        """The header, then the source's parts. Raises OSError, too."""

        def attempt(left_s: float) -> R:
            with source.open() as parts:
                try:
                    return method(_upload(header, parts), timeout=left_s, metadata=self._signed.metadata())
                except grpc.RpcError:
                    if parts.failure:
                        raise parts.failure from None
                    raise

        return result(self.retried(attempt, timeout_s, None if source.repeatable else 1))

    def stream(
        self,
        method: grpc.UnaryStreamMultiCallable[Q, R],
        request: Q,
        timeout_s: float,
        event: Callable[[R], T | None],
    ) -> Stream[T]:
        """One request, many responses; tried again only until the first of them."""
        return self.gathered(method, request, timeout_s, at_most_one(event))

    def gathered(
        self,
        method: grpc.UnaryStreamMultiCallable[Q, R],
        request: Q,
        timeout_s: float,
        events: Callable[[R], Sequence[T]],
    ) -> Stream[T]:
        """As `stream`, with any number of events in a response."""
        return Stream(lambda: self.retried(lambda left_s: self._first(method, request, left_s), timeout_s), events)

    def resumable(
        self,
        method: grpc.UnaryStreamMultiCallable[Q, R],
        request: Q,
        resume: Resume,
        timeout_s: float,
        event: Callable[[Message], T | None],
    ) -> Stream[T]:
        """As `stream`; when the connection is lost behind an event, another call goes on behind it, within the same
        time."""
        again, request_after = resume
        deadline = math.inf

        def begin() -> tuple[Call, Message]:
            nonlocal deadline
            deadline = time.monotonic() + timeout_s
            return self.retried(lambda left_s: self._first(method, request, left_s), timeout_s)

        def go_on(last: Message) -> tuple[Call, Message]:
            rest = request_after(last)
            return self.retried(
                lambda left_s: self._first(again, rest, left_s), max(deadline - time.monotonic(), 0.001)
            )

        return Stream(begin, at_most_one(event), go_on)

    def _first(self, method: grpc.UnaryStreamMultiCallable[Q, R], request: Q, timeout_s: float) -> tuple[Call, Message]:
        """A call and its first message."""
        call = method(request, timeout=timeout_s, metadata=self._signed.metadata())
        try:
            return call, next(call)
        except BaseException:
            call.cancel()
            raise

    def retried(self, attempt: Callable[[float], R], timeout_s: float, attempts: float | None = None) -> R:
        """Calls `attempt` with the seconds that are left, again where the retry policy says so; `attempts` overrides
        the policy's."""
        deadline = time.monotonic() + timeout_s

        def once() -> R:
            try:
                return attempt(deadline - time.monotonic())
            except grpc.RpcError as failed:
                raise error_of(failed) from failed

        return Retrying(**self._retry.controls(timeout_s, attempts))(once)


async def _async_upload(header: UploadDocumentRequest, parts: Parts) -> AsyncIterator[UploadDocumentRequest]:
    yield header
    while part := await asyncio.to_thread(parts.read):
        yield upload_data(part)


def _upload(header: UploadDocumentRequest, parts: Parts) -> Iterator[UploadDocumentRequest]:
    yield header
    while part := parts.read():
        yield upload_data(part)
