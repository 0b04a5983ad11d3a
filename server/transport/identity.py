"""Who is calling, for whatever answers the call.

The interceptor finds it out once (`authentication.py`); nothing else looks at metadata.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Protocol

from grpc.aio import ServicerContext

from server.domain.callers import Caller
from server.domain.errors import Unauthenticated
from server.domain.principals import Principal

_CALLER: ContextVar[Caller] = ContextVar("caller")


class Identity(Protocol):
    def principal(self, context: ServicerContext[Any, Any]) -> Principal:
        """The caller of this call."""


def enter(caller: Caller) -> None:
    """For the rest of this call, which has a task, and so a context, of its own."""
    _CALLER.set(caller)


def current_caller() -> Caller:
    """Of the call that is being answered, also in tasks that it started. Raises Unauthenticated outside of calls."""
    try:
        return _CALLER.get()
    except LookupError:
        raise Unauthenticated("no caller is known here") from None


class CallerIdentity:
    """What the interceptor found out."""

    def principal(self, context: ServicerContext[Any, Any]) -> Principal:
        """Raises Unauthenticated for a call that came past the interceptor."""
        return current_caller().principal
