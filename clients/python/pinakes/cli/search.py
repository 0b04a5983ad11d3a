"""`pinakes search`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pinakes.cli import json_lines
from pinakes.cli.answer_view import timing_line
from pinakes.cli.connection import Connection
from pinakes.options import SearchFilter, SearchOptions
from pinakes.results import RankedPassage, SearchMode, SearchResults

SNIPPET_CHARACTERS = 160


def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    limit: Annotated[int, typer.Option(min=1, max=100, help="At most this many passages.")] = 10,
    mode: Annotated[SearchMode, typer.Option(help="Which branches of the index are asked.")] = SearchMode.HYBRID,
    tag: Annotated[list[str] | None, typer.Option(help="Only documents that carry this tag; repeatable.")] = None,
    document: Annotated[list[str] | None, typer.Option(help="Only this document, by its id; repeatable.")] = None,
    language: Annotated[
        list[str] | None, typer.Option(help="Only passages in this language (en, ja); repeatable.")
    ] = None,
    rerank: Annotated[bool, typer.Option(help="Reorders with the reranker if there is one.")] = True,
    consistency_token: Annotated[str, typer.Option(help="Waits until the index has come this far.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Prints the whole result as one line of JSON.")] = False,
) -> None:
    """Finds the passages that fit a query best."""
    connection: Connection = context.obj
    options = SearchOptions(
        limit=limit,
        filter=SearchFilter(document or (), tag or (), language or ()),
        mode=mode,
        rerank=rerank,
        consistency_token=consistency_token,
        debug=json,
    )
    with connection.open() as client:
        results = client.search(query, **options)
    if json:
        json_lines.write(results, sys.stdout)
    else:
        show_results(results, Console(highlight=False))


def show_results(results: SearchResults, console: Console) -> None:
    """The passages as a table, and the timings."""
    if not results.passages:
        console.print("No passage fits.")
    else:
        table = Table("#", "score", "document", "page", "passage", box=None, pad_edge=False)
        for number, ranked in enumerate(results.passages, 1):
            table.add_row(str(number), f"{ranked.score:.3f}", *_where(ranked), _snippet(ranked))
        console.print(table)
    console.print(Text(timing_line(results.timings), style="dim"), soft_wrap=True)


def _where(ranked: RankedPassage) -> tuple[Text, Text]:
    pages = sorted({region.page for region in ranked.passage.regions})
    return Text(ranked.passage.document_name, style="bold"), Text(", ".join(map(str, pages)))


def _snippet(ranked: RankedPassage) -> Text:
    text = " ".join(ranked.passage.text.split())
    return Text(text if len(text) <= SNIPPET_CHARACTERS else text[: SNIPPET_CHARACTERS - 1] + "…")
