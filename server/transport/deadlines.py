"""The caller's deadline as a budget."""

from __future__ import annotations

from typing import Any, cast

from grpc.aio import ServicerContext

from server.domain.deadline import Deadline


def deadline_of(context: ServicerContext[Any, Any], at_most_s: float) -> Deadline:
    """The caller's deadline, but at most `at_most_s` from now (which also stands in for a missing one)."""
    # None without a deadline, which the stubs do not know.
    remaining = cast("float | None", context.time_remaining())
    return Deadline.after(at_most_s if remaining is None else min(remaining, at_most_s))
