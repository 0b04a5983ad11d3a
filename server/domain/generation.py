"""Who wrote a text, where one generator after the other could have."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class PassedOverReason(enum.Enum):
    UNAVAILABLE = "unavailable"
    """It did not answer, broke off, or said what is no text."""
    OVERLOADED = "overloaded"
    TOO_SLOW = "too_slow"
    """Its text did not begin in time."""
    RESTING = "resting"
    """It had failed several times in a row, and is not asked for a while."""
    REFUSED = "refused"
    """It refused this prompt, or wrote nothing."""
    NOT_SET_UP = "not_set_up"
    """It is not installed, or its settings are wrong."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A provider, by its name in the settings, that did not write the text."""

    provider: str
    reason: PassedOverReason


class BreakerState(enum.Enum):
    CLOSED = "closed"
    """Calls are made."""
    OPEN = "open"
    """None is made until its pause is over."""
    HALF_OPEN = "half_open"
    """The pause is over: one call decides."""
