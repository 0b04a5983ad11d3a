"""Keeps every generation of the index up to date with the change log."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from server.application.announcing import Announcer
from server.application.follow_log import FollowLog, FollowOptions
from server.application.index_ports import ChangeLog, FollowedGenerations
from server.application.job_ports import Bell
from server.application.local_bell import LocalBell
from server.domain.events import IndexCommitted


class FollowGenerations:
    """One FollowLog for each generation, from where it is: one that was begun reads the log from its start. The
    generation that serves comes first: the others take small batches, between which they give way to searches."""

    def __init__(
        self,
        log: ChangeLog,
        generations: FollowedGenerations,
        bell: Bell,
        announcer: Announcer,
        fingerprint: str,
        options: FollowOptions,
    ) -> None:
        self._log = log
        self._generations = generations
        self._bell = bell
        self._announcer = announcer
        self._fingerprint = fingerprint
        self._options = options
        self._group: asyncio.TaskGroup | None = None
        self._followers: dict[str, tuple[asyncio.Task[None], LocalBell]] = {}

    async def run(self) -> None:
        """Until cancelled; ends as FollowLog.run does, in a group."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for name in self._generations.views():
                    self.follow(name)
                await self._echo()
            finally:
                self._group = None

    def follow(self, name: str) -> None:
        """Also follows this generation, which was just begun. (What was begun before `run` is followed by then.)"""
        if self._group is None or name in self._followers:
            return
        echo = LocalBell()

        async def caught_up() -> None:
            await self._generations.caught_up(name)

        def serves() -> bool:
            return name == self._generations.serving

        async def committed(position: int) -> None:
            await self._announcer.tell(IndexCommitted(name, position))

        view = self._generations.views()[name]
        follower = FollowLog(self._log, view, echo, self._fingerprint, self._options, caught_up, serves, committed)
        self._followers[name] = self._group.create_task(follower.run(), name=f"follow-{name}"), echo

    async def let_go(self, name: str) -> None:
        """Returns when nothing follows this generation any more."""
        task, _ = self._followers.pop(name, (None, None))
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait((task,))

    async def _echo(self) -> None:
        """A bell has one waiter at a time: it is this, and passes each ring on."""
        while True:
            await self._bell.wait(self._options.poll_s)
            for _, echo in self._followers.values():
                await echo.ring()
