"""Consistency tokens: positions in the change log as callers carry them."""

from __future__ import annotations

from server.domain.errors import InvalidField

_PREFIX = "log-"


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
