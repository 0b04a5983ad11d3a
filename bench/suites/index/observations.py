"""What the suite's parts bring back, as the record's facts hold it. Figures are derived from it in `summary`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import JsonValue, TypeAdapter

Calling = Literal["one", "batch"]
Texts = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A contender at one effort: `seconds` per round for all `queries`; `hits` of the `wanted` true neighbours found.
    calling: `one` query a call, or all in one `batch`."""

    contender: str
    calling: Calling
    effort: int
    rows: int
    queries: int
    hits: int
    wanted: int
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Build:
    """Seconds per build of `rows` vectors by one thread."""

    contender: str
    rows: int
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FilterPoint:
    """A contender under one kind of filter, each query with a filter of its own. `filter` is the name of the kind;
    `allowed`: rows that a filter leaves, in the median. The filter `none` is the contender without any."""

    contender: str
    filter: str
    allowed: int
    effort: int
    queries: int
    hits: int
    wanted: int
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Residence:
    """Pss of a fresh process before an index was opened, and after it served queries."""

    contender: str
    rows: int
    before_bytes: int
    after_bytes: int


@dataclass(frozen=True, slots=True)
class Opening:
    """Seconds, each of a fresh process, from opening to the first answer. how: `read` or `mapped`."""

    contender: str
    how: str
    rows: int
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class HybridRun:
    """A store under concurrent callers; its latencies are in the series `series`. `gains`: nDCG@10 per question that
    has judged documents which the asker may see, and `questions` their places among those asked. `open_s`: from
    opening to the first answer. failure: why there is nothing."""

    store: str
    rows: int
    series: str
    load_s: float
    open_s: float
    wall_s: float
    questions: tuple[int, ...]
    gains: tuple[float, ...]
    configuration: Texts
    failure: str = ""


@dataclass(frozen=True, slots=True)
class UpsertRun:
    """Searches while a writer is to upsert `rate_per_s` (0: idle); `written` in `seconds`, and as many as `behind`
    were late at the end."""

    rate_per_s: float
    series: str
    rows: int
    written: int
    behind: int
    seconds: float
    rebuilds: int


@dataclass(frozen=True, slots=True)
class DeletionPoint:
    """when: `before deleting`, `after deleting and adding`, `after compaction`."""

    when: str
    rows: int
    queries: int
    hits: int
    wanted: int


@dataclass(frozen=True, slots=True)
class RankingScores:
    """One retrieval set ranked in one way; values per question."""

    data_set: str
    ranking: str
    ndcg: tuple[float, ...]
    reciprocal_rank: tuple[float, ...]
    recall: tuple[float, ...]


Observation = TypeVar("Observation")


def as_facts(observed: Sequence[object], kind: type[Observation]) -> JsonValue:
    facts: JsonValue = TypeAdapter(list[kind]).dump_python(list(observed), mode="json")  # type: ignore[valid-type]
    return facts


def from_facts(facts: JsonValue, kind: type[Observation]) -> list[Observation]:
    """Back from a record; none if the part was not run."""
    observed: list[Observation] = TypeAdapter(list[kind]).validate_python(facts or [])  # type: ignore[valid-type]
    return observed
