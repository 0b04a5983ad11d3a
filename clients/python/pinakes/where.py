"""Conditions on passages, to be joined as one likes: what `SearchFilter.condition` takes.

    from pinakes import where

    recent = where.created(not_before=datetime(2026, 1, 1, tzinfo=UTC))
    client.search("per diem", filter=where.tags("travel", "visa") & recent & ~where.languages("ja"))

`&`, `|` and `~` are `all_of`, `any_of` and `not_`. At most 64 conditions in all, and 8 levels deep.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


class Condition:
    """What every condition can do: be joined."""

    __slots__ = ()

    def __and__(self, other: Condition) -> AllOf:
        return AllOf((*_parts(AllOf, self), *_parts(AllOf, other)))

    def __or__(self, other: Condition) -> AnyOf:
        return AnyOf((*_parts(AnyOf, self), *_parts(AnyOf, other)))

    def __invert__(self) -> Not:
        return Not(self)


@dataclass(frozen=True, slots=True)
class Documents(Condition):
    """Passages of one of these documents."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tags(Condition):
    """Passages of documents that carry one of these tags."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Languages(Condition):
    """Passages in one of these languages."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Owners(Condition):
    """Passages of documents that one of these users has uploaded."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Created(Condition):
    """Passages of documents that were created in a range of time. Raises ValueError for a time without a zone."""

    not_before: datetime | None = None
    before: datetime | None = None

    def __post_init__(self) -> None:
        for bound in (self.not_before, self.before):
            if bound is not None and bound.tzinfo is None:
                raise ValueError(f"{bound} has no time zone; say for example datetime(…, tzinfo=UTC)")


@dataclass(frozen=True, slots=True)
class Pages(Condition):
    """Passages with text on one of the pages `first` to `last`, both included, counted from 1; None is no bound."""

    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class AllOf(Condition):
    """Every one of the conditions holds; without any, every passage fits."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf(Condition):
    """At least one of the conditions holds; without any, no passage fits."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not(Condition):
    """The condition does not hold."""

    condition: Condition


def documents(*document_ids: str) -> Documents:
    """Passages of one of these documents; at most 1,000."""
    return Documents(document_ids)


def tags(*names: str) -> Tags:
    """Passages of documents that carry one of these tags; at most 32."""
    return Tags(names)


def languages(*codes: str) -> Languages:
    """Passages in one of these languages (BCP 47: `en`, `ja`); at most 32."""
    return Languages(codes)


def owners(*users: str) -> Owners:
    """Passages of documents that one of these users has uploaded; at most 32."""
    return Owners(users)


def created(*, not_before: datetime | None = None, before: datetime | None = None) -> Created:
    """Passages of documents created at `not_before` or later, and earlier than `before`."""
    return Created(not_before, before)


def pages(first: int | None = None, last: int | None = None) -> Pages:
    """Passages with text on one of the pages `first` to `last`, both included."""
    return Pages(first, last)


def all_of(*conditions: Condition) -> AllOf:
    """Every one of the conditions holds."""
    return AllOf(conditions)


def any_of(*conditions: Condition) -> AnyOf:
    """At least one of the conditions holds."""
    return AnyOf(conditions)


def not_(condition: Condition) -> Not:
    """The condition does not hold."""
    return Not(condition)


def _parts(join: type[AllOf] | type[AnyOf], condition: Condition) -> tuple[Condition, ...]:
    """What a chain of the same operator joins, on one level."""
    return condition.conditions if isinstance(condition, join) else (condition,)
