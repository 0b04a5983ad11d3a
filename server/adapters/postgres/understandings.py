"""What was read in a question, as JSON: proposed filters by their kind, since two kinds look alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from server.domain.conditions import Created, OfDocuments, Tagged
from server.domain.passages import TextSpan
from server.domain.understanding import Intent, ProposedFilter, Understanding


def encode_understanding(understanding: Understanding | None, *, narrowed: bool) -> str | None:
    if understanding is None:
        return None
    read = {
        "query": understanding.query,
        "language": understanding.language,
        "intent": understanding.intent.value,
        "proposed": [[each.span.start, each.span.end, *_said(each)] for each in understanding.proposed],
        "narrowed": narrowed,
    }
    return json.dumps(read, ensure_ascii=False)


def decode_understanding(read: Mapping[str, Any] | None) -> tuple[Understanding | None, bool]:
    """The understanding, and whether its filters were applied."""
    if read is None:
        return None, False
    proposed = tuple(
        ProposedFilter(TextSpan(start, end), _condition(kind, values)) for start, end, kind, values in read["proposed"]
    )
    understanding = Understanding(read["query"], read["language"], Intent(read["intent"]), proposed)
    return understanding, read["narrowed"]


def _said(proposed: ProposedFilter) -> tuple[str, list[str] | list[int | None]]:
    match proposed.condition:
        case Tagged(values):
            return "tags", list(values)
        case OfDocuments(values):
            return "documents", list(values)
        case Created(not_before, before):
            return "created", [not_before, before]


def _condition(kind: str, values: list[Any]) -> Tagged | OfDocuments | Created:
    match kind:
        case "tags":
            return Tagged(tuple(values))
        case "documents":
            return OfDocuments(tuple(values))
        case _:
            return Created(*values)
