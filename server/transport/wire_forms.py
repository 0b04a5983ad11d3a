"""What is sent more than once is put together once."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from google.protobuf.message import Message

_T = TypeVar("_T")
_M = TypeVar("_M", bound=Message)


def made_once(make: Callable[[_T], _M]) -> Callable[[_T], _M]:
    """A function that makes a message of an immutable object, and gives the same one as long as that object lives; by
    its identity, since to compare it costs as much as the message. Whoever gets it copies it and changes nothing in it.
    For objects that can be referred to weakly; the event loop owns it."""
    made: dict[int, tuple[weakref.ref[_T], _M]] = {}

    @wraps(make)
    def remembered(value: _T) -> _M:
        key = id(value)
        known = made.get(key)
        if known is not None:
            return known[1]
        message = make(value)
        made[key] = weakref.ref(value, lambda _: made.pop(key, None)), message
        return message

    return remembered
