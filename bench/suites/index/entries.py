"""What stores are given, and what they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EVERYONE = "*"
"""Among a document's readers: its whole tenant."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A passage as stores take it; its vector is row `number`. readers: groups, or EVERYONE of the tenant."""

    number: int
    text: str
    document_id: str
    language: str
    tenant: str
    readers: tuple[str, ...]
    tag: str
    created_unix_s: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Question `number` (its vector's row) by someone of `tenant` who is in `groups`. gains: the judged documents that
    the asker may see."""

    number: int
    text: str
    tenant: str
    groups: tuple[str, ...]
    gains: Mapping[str, float]
    ignored: frozenset[str]
