"""What a search can ask of a chunk's attributes: conditions, and AND, OR and NOT of them.

An empty list of names fits no chunk; `AllOf()` fits every one, `AnyOf()` none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OfDocuments:
    """Chunks of one of the documents."""

    document_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tagged:
    """Chunks that carry one of the tags."""

    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InLanguages:
    """Chunks in one of the languages."""

    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OwnedBy:
    """Chunks of one of the users."""

    owners: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SharedWith:
    """Chunks shared with one of the groups by name."""

    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Created:
    """not_before_unix_s <= creation time < before_unix_s; None is no bound."""

    not_before_unix_s: int | None = None
    before_unix_s: int | None = None


@dataclass(frozen=True, slots=True)
class OnPages:
    """Chunks with text on one of the pages first..last, both included; None is no bound. A chunk without pages (whose
    first page is 0) stands on none."""

    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every condition holds."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one condition holds."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The condition does not hold."""

    condition: Condition


Condition = OfDocuments | Tagged | InLanguages | OwnedBy | SharedWith | Created | OnPages | AllOf | AnyOf | Not
