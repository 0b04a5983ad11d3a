"""Passages, where they stand, and what narrows a search for them."""

from __future__ import annotations

from collections.abc import Iterable

from pinakes import results, where
from pinakes.mapping.wire_values import enum_of, time
from pinakes.v1 import passage_pb2, privacy_service_pb2


def box(wire: passage_pb2.BoundingBox) -> results.Box:
    return results.Box(wire.x0, wire.y0, wire.x1, wire.y1)


def page_region(wire: passage_pb2.PageRegion) -> results.PageRegion:
    return results.PageRegion(wire.page, wire.page_width, wire.page_height, tuple(box(b) for b in wire.boxes))


def passage(wire: passage_pb2.Passage) -> results.Passage:
    return results.Passage(
        chunk_id=wire.chunk_id,
        document_id=wire.document_id,
        document_name=wire.document_name,
        revision=wire.revision,
        text=wire.text,
        heading_path=tuple(wire.heading_path),
        language=wire.language,
        regions=tuple(page_region(r) for r in wire.regions),
        joined_chunk_ids=tuple(wire.joined_chunk_ids),
        masked=masked_spans(wire.masked),
    )


def branch_score(wire: passage_pb2.BranchScore) -> results.BranchScore:
    return results.BranchScore(wire.rank, wire.score)


def ranked_passage(wire: passage_pb2.RankedPassage) -> results.RankedPassage:
    return results.RankedPassage(
        passage=passage(wire.passage),
        score=wire.score,
        dense=branch_score(wire.dense) if wire.HasField("dense") else None,
        lexical=branch_score(wire.lexical) if wire.HasField("lexical") else None,
        rerank_score=wire.rerank_score if wire.HasField("rerank_score") else None,
        snippet=snippet(wire.snippet) if wire.HasField("snippet") else None,
    )


def pii_kind(number: int) -> results.PiiKind:
    return enum_of(results.PiiKind, passage_pb2.PiiKind.DESCRIPTOR, number)


def masked_spans(
    wire: Iterable[passage_pb2.MaskedRange] | Iterable[privacy_service_pb2.PiiFinding],
) -> tuple[results.MaskedSpan, ...]:
    return tuple(results.MaskedSpan(each.range.start, each.range.end, pii_kind(each.kind)) for each in wire)


def text_range(wire: passage_pb2.TextRange) -> results.TextSpan:
    return results.TextSpan(wire.start, wire.end)


def snippet(wire: passage_pb2.Snippet) -> results.Snippet:
    return results.Snippet(text_range(wire.range), tuple(text_range(mark) for mark in wire.highlights))


def condition(wire: passage_pb2.FilterCondition) -> where.Condition:
    """`where.all_of()` for a kind that this client is too old to know."""
    match wire.WhichOneof("condition"):
        case "documents":
            return where.documents(*wire.documents.values)
        case "tags":
            return where.tags(*wire.tags.values)
        case "languages":
            return where.languages(*wire.languages.values)
        case "owners":
            return where.owners(*wire.owners.values)
        case "created":
            created = wire.created
            return where.created(
                not_before=time(created.not_before) if created.HasField("not_before") else None,
                before=time(created.before) if created.HasField("before") else None,
            )
        case "pages":
            return where.pages(wire.pages.first or None, wire.pages.last or None)
        case "any_of":
            return where.any_of(*(condition(each) for each in wire.any_of.conditions))
        case "not":
            return where.not_(condition(getattr(wire, "not")))
        case _:
            return where.all_of(*(condition(each) for each in wire.all_of.conditions))
