"""Argon2id (RFC 9106) for passwords and the secrets of keys, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from server.domain.deadline import Deadline
from server.domain.errors import Overloaded, StageDeadline

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Argon2Options:
    """RFC 9106, section 4, second choice: three passes over 64 MiB; with one lane, since there are few cores. So many
    `threads` hash at a time, and take so much memory each; while `waiting` more wait, the next is refused."""

    passes: int = 3
    memory_kib: int = 65_536
    threads: int = 1
    waiting: int = 16


class Argon2Hashes:
    """The event loop owns it. `close` it."""

    def __init__(self, options: Argon2Options | None = None) -> None:
        """Takes as long as one hash."""
        self._options = options or Argon2Options()
        own = self._options
        self._hasher = argon2.PasswordHasher(time_cost=own.passes, memory_cost=own.memory_kib, parallelism=1)
        # argon2-cffi leaves the interpreter lock while it hashes.
        self._threads = ThreadPoolExecutor(own.threads, thread_name_prefix="argon2")
        self._waiting = 0
        self._places = 0
        self._nobodys = self._hasher.hash("nobody has this password")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def place(self) -> Iterator[None]:
        if self._places >= self._most:
            raise Overloaded("password hashing", retry_after_s=1.0)
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1

    async def hash(self, secret: str, deadline: Deadline) -> str:
        return await self._off_the_loop(lambda: self._hasher.hash(secret), deadline)

    async def matches(self, hashed: str, secret: str, deadline: Deadline) -> bool:
        def verify() -> bool:
            try:
                return self._hasher.verify(hashed, secret)
            except (VerificationError, InvalidHashError):
                return False

        return await self._off_the_loop(verify, deadline)

    async def matches_nothing(self, secret: str, deadline: Deadline) -> None:
        await self.matches(self._nobodys, secret, deadline)

    def outdated(self, hashed: str) -> bool:
        return self._hasher.check_needs_rehash(hashed)

    @property
    def _most(self) -> int:
        return self._options.threads + self._options.waiting

    async def _off_the_loop(self, work: Callable[[], _T], deadline: Deadline) -> _T:
        if self._waiting >= self._most:
            raise Overloaded("password hashing", retry_after_s=1.0)
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        # It counts until it has ended, also when nobody waits for it any more.
        future.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(deadline.remaining()):
                return await asyncio.shield(future)
        except TimeoutError:
            future.cancel()
            raise StageDeadline("password hashing") from None

    def _ended(self, future: asyncio.Future[_T]) -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()
