"""`pinakes search`."""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass
from typing import Annotated, ClassVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pinakes.cli import json_lines
from pinakes.cli.answer_view import timing_line
from pinakes.cli.connection import Connection
from pinakes.cli.filter_options import FilterOptions
from pinakes.cli.option_groups import OptionGroup, grouped
from pinakes.cli.retrieval_options import RetrievalOptions
from pinakes.options import ConvexFusion, DistributionFusion, ReciprocalRankFusion, SearchOptions
from pinakes.results import QueryUnderstanding, RankedPassage, SearchDebug, SearchMode, SearchResults

BEGINNING_CHARACTERS = 160
"""So much is shown of a passage that has no snippet."""


class FusionName(enum.StrEnum):
    """How the branches are put together."""

    CONVEX = "convex"
    RECIPROCAL_RANK = "rrf"
    DISTRIBUTION = "distribution"


@dataclass(frozen=True, slots=True)
class RankingOptions(OptionGroup):
    panel: ClassVar[str] = "What comes first"

    limit: Annotated[int, typer.Option(min=1, max=100, help="At most this many passages.")] = 10
    mode: Annotated[
        SearchMode, typer.Option(help="Which branches of the index are asked; unspecified: the profile's choice.")
    ] = SearchMode.UNSPECIFIED
    fusion: Annotated[
        FusionName | None, typer.Option(help="How the branches are put together; the server's choice is convex.")
    ] = None
    dense_weight: Annotated[
        float,
        typer.Option(min=0, max=1, help="With --fusion: weight of the dense branch; the lexical one has the rest."),
    ] = 0.5
    diversity: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Prefers passages that say different things; 1 is relevance alone."),
    ] = None
    rerank: Annotated[
        bool | None, typer.Option("--rerank/--no-rerank", help="Reorders with the reranker if there is one.")
    ] = None


@dataclass(frozen=True, slots=True)
class ShowingOptions(OptionGroup):
    panel: ClassVar[str] = "What is shown"

    explain: Annotated[bool, typer.Option("--explain", help="Shows each branch's places and the index's plans.")] = (
        False
    )
    json: Annotated[bool, typer.Option("--json", help="Prints the whole result as one line of JSON.")] = False


@grouped
def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    filters: FilterOptions,
    retrieval: RetrievalOptions,
    ranking: RankingOptions,
    showing: ShowingOptions,
) -> None:
    """Finds the passages that fit a query best."""
    connection: Connection = context.obj
    options = _options(filters, retrieval, ranking, debug=showing.json or showing.explain)
    with connection.open() as client:
        results = client.search(query, **options)
    if showing.json:
        json_lines.write(results, sys.stdout)
    else:
        show_results(results, Console(highlight=False), explain=showing.explain)


def _options(
    filters: FilterOptions, retrieval: RetrievalOptions, ranking: RankingOptions, *, debug: bool
) -> SearchOptions:
    options = SearchOptions(
        filter=filters.filter(),
        profile=retrieval.profile,
        consistency_token=retrieval.consistency_token,
        no_cache=retrieval.no_cache,
        apply_proposed_filters=retrieval.apply_filters,
        limit=ranking.limit,
        mode=ranking.mode,
        debug=debug,
    )
    if ranking.rerank is not None:
        options["rerank"] = ranking.rerank
    if ranking.fusion is not None:
        options["fusion"] = _fusion(ranking.fusion, ranking.dense_weight)
    if ranking.diversity is not None:
        options["diversity"] = ranking.diversity
    return options


def show_results(results: SearchResults, console: Console, *, explain: bool = False) -> None:
    """The passages as a table, and the timings. `explain` adds each branch's rank and score, and the index's plans."""
    if not results.passages:
        console.print("No passage fits.")
    else:
        branches = ("dense", "lexical") if explain else ()
        table = Table("#", "score", *branches, "document", "page", "passage", box=None, pad_edge=False)
        for number, ranked in enumerate(results.passages, 1):
            places = _places(ranked) if explain else ()
            table.add_row(str(number), f"{ranked.score:.3f}", *places, *_where(ranked), shown_text(ranked))
        console.print(table)
    if explain and results.debug:
        _show_plans(results.debug, console)
    if results.understanding is not None:
        show_proposals(results.understanding, console)
    line = timing_line(results.timings) + (" · from the cache" if results.cached else "")
    console.print(Text(line, style="dim"), soft_wrap=True)


def shown_text(ranked: RankedPassage) -> Text:
    """The snippet with the query's words marked, on one line; without one, the passage's beginning."""
    text = ranked.passage.text
    if ranked.snippet is None:
        beginning = _one_line(text).strip()
        whole = len(beginning) <= BEGINNING_CHARACTERS
        return Text(beginning if whole else beginning[: BEGINNING_CHARACTERS - 1] + "…")
    cut = ranked.snippet.range
    shown = Text("…" if text[: cut.start].strip() else "")
    for piece, marked in ranked.snippet.pieces(text):
        shown.append(_one_line(piece), "bold yellow" if marked else "")
    shown.append("…" if text[cut.end :].strip() else "")
    return shown


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return (" " if text[:1].isspace() else "") + words + (" " if words and text[-1:].isspace() else "")


def _where(ranked: RankedPassage) -> tuple[Text, Text]:
    pages = sorted({region.page for region in ranked.passage.regions})
    return Text(ranked.passage.document_name, style="bold"), Text(", ".join(map(str, pages)))


def _places(ranked: RankedPassage) -> tuple[str, str]:
    dense, lexical = (f"{place.rank} ({place.score:.3f})" if place else "" for place in (ranked.dense, ranked.lexical))
    return dense, lexical


def _show_plans(debug: SearchDebug, console: Console) -> None:
    table = Table("part", "plan", "allowed", "distances", "visited", box=None, pad_edge=False)
    for part in debug.segments:
        counts = (f"{count:,}" for count in (part.allowed, part.distances, part.visited))
        table.add_row(Text(part.segment), Text(part.plan), *counts)
    console.print(table)
    console.print(Text(f"generation {debug.generation}, {debug.lexical_candidates:,} found by words"), soft_wrap=True)


def show_proposals(understanding: QueryUnderstanding, console: Console) -> None:
    """The filters that the query says, and whether they were applied; nothing if there are none."""
    words = [f"“{understanding.query[each.span.start : each.span.end]}”" for each in understanding.proposed_filters]
    if words:
        applied = "narrowed the search" if understanding.applied else "could narrow the search: --apply-filters"
        console.print(Text(f"{', '.join(words)} {applied}", style="dim"), soft_wrap=True)


def _fusion(name: FusionName, dense_weight: float) -> ConvexFusion | ReciprocalRankFusion | DistributionFusion:
    match name:
        case FusionName.CONVEX:
            return ConvexFusion(dense_weight)
        case FusionName.RECIPROCAL_RANK:
            return ReciprocalRankFusion(dense_weight=dense_weight)
        case FusionName.DISTRIBUTION:
            return DistributionFusion(dense_weight)
