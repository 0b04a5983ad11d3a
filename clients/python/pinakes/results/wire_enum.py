"""Enums of the wire."""

from __future__ import annotations

import enum


class WireEnum(enum.StrEnum):
    """Members carry the names of the wire's enum; UNSPECIFIED also stands for a value newer than this client."""
