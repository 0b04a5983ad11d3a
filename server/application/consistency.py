"""Consistency tokens: positions in the change log as callers carry them."""

from __future__ import annotations

from server.application.search_ports import PassageIndex
from server.application.timing import StageClock
from server.domain.deadline import Deadline
from server.domain.errors import InvalidField

_PREFIX = "log-"
_REPLY_RESERVE_S = 0.2
"""What waiting for the index leaves of the deadline, so that the caller hears why it waited in vain."""


def token_of(position: int) -> str:
    return f"{_PREFIX}{position}"


def position_of(token: str) -> int:
    """0 for the empty token. Raises InvalidField for anything that `token_of` did not make."""
    if not token:
        return 0
    digits = token.removeprefix(_PREFIX)
    if digits == token or not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        raise InvalidField("consistency_token", "must be a token from an earlier response")
    return int(digits)


async def catch_up(index: PassageIndex, token: str, deadline: Deadline, clock: StageClock) -> None:
    """Returns when the index has come to where the token stands. Raises InvalidField, IndexBehind."""
    position = position_of(token)
    if position > index.position:
        with clock.stage("queue"):
            await index.wait_for(position, deadline.less(_REPLY_RESERVE_S))
