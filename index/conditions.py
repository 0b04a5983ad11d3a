"""What a search can ask of a chunk's attributes: conditions, and AND, OR and NOT of them.

An empty list of names fits no chunk; `AllOf()` fits every one, `AnyOf()` none.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, islice


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

MAX_DEPTH = 32
MAX_CONDITIONS = 4_096


def size(condition: Condition) -> int:
    """How many conditions and names there are. Raises ValueError for a tree deeper than MAX_DEPTH or of more than
    MAX_CONDITIONS: within these, a tree may be walked recursively."""
    conditions, names = 0, 0
    level: list[Condition] = [condition]
    for _ in range(MAX_DEPTH):
        conditions += len(level)
        if conditions > MAX_CONDITIONS:
            raise ValueError(f"more than {MAX_CONDITIONS} conditions")
        names += sum(map(_names, level))
        level = list(islice(chain.from_iterable(map(_parts, level)), MAX_CONDITIONS + 1))
        if not level:
            return conditions + names
    raise ValueError(f"conditions within one another more than {MAX_DEPTH} deep")


def _parts(condition: Condition) -> tuple[Condition, ...]:
    match condition:
        case AllOf(conditions) | AnyOf(conditions):
            return conditions
        case Not(inner):
            return (inner,)
        case _:
            return ()


def _names(condition: Condition) -> int:
    match condition:
        case OfDocuments(names) | Tagged(names) | InLanguages(names) | OwnedBy(names) | SharedWith(names):
            return len(names)
        case _:
            return 0
