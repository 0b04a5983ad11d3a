"""Between the wire and the domain: pure functions, one per message. Protobuf ends in these modules, one for each
service (`*_mapping`); here is what several of them share.

`tests/server/transport/test_mapping.py` walks every message's DESCRIPTOR and fails when a field has no meaning here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from pinakes.v1 import passage_pb2, stage_timing_pb2
from server.application.query import ConditionBudget
from server.domain import errors
from server.domain.answers import StageTiming
from server.domain.conditions import (
    AllOf,
    AnyOf,
    Condition,
    Created,
    InLanguages,
    Not,
    OfDocuments,
    OnPages,
    OwnedBy,
    Tagged,
)
from server.domain.documents import Box, LineSpan
from server.domain.passages import BranchScore, Passage, RankedPassage, SearchFilter, Snippet, TextSpan
from server.transport.privacy_mapping import masked_to_wire


def timings_to_wire(timings: Iterable[StageTiming]) -> list[stage_timing_pb2.StageTiming]:
    return [stage_timing_pb2.StageTiming(stage=t.stage, duration=duration_to_wire(t.seconds)) for t in timings]


def box_to_wire(box: Box) -> passage_pb2.BoundingBox:
    return passage_pb2.BoundingBox(x0=box.x0, y0=box.y0, x1=box.x1, y1=box.y1)


def regions_to_wire(passage: Passage, spans: Iterable[LineSpan]) -> list[passage_pb2.PageRegion]:
    """One region per page that the spans touch, in page order."""
    sizes = {size.number: size for size in passage.pages}
    regions: dict[int, passage_pb2.PageRegion] = {}
    for span in spans:
        region = regions.get(span.page)
        if region is None:
            size = sizes.get(span.page)
            region = regions[span.page] = passage_pb2.PageRegion(
                page=span.page, page_width=size.width if size else 0.0, page_height=size.height if size else 0.0
            )
        box = span.box
        if box is not None:
            # In its place: a message that is appended is made twice, and a search has hundreds of boxes.
            region.boxes.add(x0=box.x0, y0=box.y0, x1=box.x1, y1=box.y1)
    return [regions[page] for page in sorted(regions)]


def passage_to_wire(passage: Passage) -> passage_pb2.Passage:
    return passage_pb2.Passage(
        chunk_id=passage.chunk_id,
        document_id=passage.document_id,
        document_name=passage.document_name,
        revision=passage.revision,
        text=passage.text,
        heading_path=passage.heading_path,
        language=passage.language,
        regions=regions_to_wire(passage, passage.line_spans),
        joined_chunk_ids=passage.joined,
        masked=masked_to_wire(passage.masked),
    )


def ranked_to_wire(ranked: RankedPassage) -> passage_pb2.RankedPassage:
    return passage_pb2.RankedPassage(
        passage=passage_to_wire(ranked.passage),
        score=ranked.score,
        dense=_branch(ranked.dense),
        lexical=_branch(ranked.lexical),
        rerank_score=ranked.rerank_score,
        snippet=None if ranked.snippet is None else snippet_to_wire(ranked.snippet),
    )


def snippet_to_wire(snippet: Snippet) -> passage_pb2.Snippet:
    return passage_pb2.Snippet(
        range=text_range_to_wire(snippet.span), highlights=[text_range_to_wire(span) for span in snippet.highlights]
    )


def filter_from_wire(wanted: passage_pb2.SearchFilter) -> SearchFilter:
    """Raises InvalidField for a condition that says nothing, and for too many of them."""
    condition = None
    if wanted.HasField("condition"):
        condition = _condition(wanted.condition, "filter.condition", ConditionBudget(), 1)
    return SearchFilter(
        document_ids=tuple(wanted.document_ids),
        tags=tuple(wanted.tags),
        languages=tuple(wanted.languages),
        condition=condition,
    )


def _condition(wire: passage_pb2.FilterCondition, field: str, budget: ConditionBudget, depth: int) -> Condition:
    budget.take(field, depth)
    match wire.WhichOneof("condition"):
        case "documents":
            return OfDocuments(tuple(wire.documents.values))
        case "tags":
            return Tagged(tuple(wire.tags.values))
        case "languages":
            return InLanguages(tuple(wire.languages.values))
        case "owners":
            return OwnedBy(tuple(wire.owners.values))
        case "created":
            return _created(wire.created)
        case "pages":
            return OnPages(wire.pages.first, wire.pages.last)
        case "all_of":
            return AllOf(_conditions(wire.all_of, f"{field}.all_of", budget, depth))
        case "any_of":
            return AnyOf(_conditions(wire.any_of, f"{field}.any_of", budget, depth))
        case "not":
            return Not(_condition(getattr(wire, "not"), f"{field}.not", budget, depth + 1))
        case _:
            raise errors.InvalidField(field, "must hold one kind of condition that this server knows")


def _conditions(
    wire: passage_pb2.FilterConditions, field: str, budget: ConditionBudget, depth: int
) -> tuple[Condition, ...]:
    return tuple(
        _condition(each, f"{field}.conditions[{number}]", budget, depth + 1)
        for number, each in enumerate(wire.conditions)
    )


def _created(wire: passage_pb2.TimeRange) -> Created:
    return Created(
        not_before_unix_s=_next_whole_second(wire.not_before) if wire.HasField("not_before") else None,
        before_unix_s=_next_whole_second(wire.before) if wire.HasField("before") else None,
    )


def _next_whole_second(moment: Timestamp) -> int:
    """The first whole second at or after it: whole seconds lie on the same side of both."""
    return moment.seconds + (1 if moment.nanos > 0 else 0)


def text_range_to_wire(span: TextSpan) -> passage_pb2.TextRange:
    return passage_pb2.TextRange(start=span.start, end=span.end)


def _branch(score: BranchScore | None) -> passage_pb2.BranchScore | None:
    return None if score is None else passage_pb2.BranchScore(rank=score.rank, score=score.score)


def duration_to_wire(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def time_from_wire(field: str, wire: Timestamp) -> datetime:
    """Raises InvalidField."""
    try:
        return wire.ToDatetime(tzinfo=UTC)
    except ValueError as error:
        raise errors.InvalidField(field, "must be a time between the years 1 and 9999") from error


def timestamp_to_wire(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
