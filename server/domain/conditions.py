"""What a search can ask of a passage's attributes: conditions, and AND, OR and NOT of them.

An empty list of values fits no passage; `AllOf()` fits every one, `AnyOf()` none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OfDocuments:
    """Passages of one of the documents."""

    document_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tagged:
    """Passages of documents that carry one of the tags."""

    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InLanguages:
    """Passages in one of the languages."""

    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OwnedBy:
    """Passages of one of the users' documents."""

    owners: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Created:
    """not_before_unix_s <= creation of the document, rounded down to the second, < before_unix_s; None is no bound."""

    not_before_unix_s: int | None = None
    before_unix_s: int | None = None


@dataclass(frozen=True, slots=True)
class OnPages:
    """Passages with text on one of the pages first..last, both included; 0 is no bound."""

    first: int = 0
    last: int = 0


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


Condition = OfDocuments | Tagged | InLanguages | OwnedBy | Created | OnPages | AllOf | AnyOf | Not
