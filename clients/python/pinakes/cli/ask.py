"""`pinakes ask`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer
from rich.console import Console

from pinakes.cli import json_lines
from pinakes.cli.answer_view import show_answer
from pinakes.cli.cited_pages import save_cited_pages
from pinakes.cli.connection import Connection
from pinakes.cli.filter_options import FilterOptions
from pinakes.cli.option_groups import OptionGroup, grouped
from pinakes.cli.retrieval_options import RetrievalOptions
from pinakes.options import AnswerOptions
from pinakes.results import Citation


@dataclass(frozen=True, slots=True)
class AnsweringOptions(OptionGroup):
    panel: ClassVar[str] = "The answer"

    max_passages: Annotated[int, typer.Option(min=0, help="Passages shown to the model; 0: the server's choice.")] = 0
    max_tokens: Annotated[int, typer.Option(min=0, help="Longest answer, in tokens; 0: the server's choice.")] = 0
    conversation: Annotated[
        str, typer.Option(help="The conversation to ask in: `pinakes conversations create` makes one.")
    ] = ""
    schema: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, metavar="FILE", help="A JSON Schema that the answer is to keep to."),
    ] = None
    resume_window: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="Goes on with an answer whose connection was lost so long ago."),
    ] = 0.0


@dataclass(frozen=True, slots=True)
class ShowingOptions(OptionGroup):
    panel: ClassVar[str] = "What is shown"

    boxes: Annotated[bool, typer.Option("--boxes", help="Shows where on the page each cited line stands.")] = False
    save_pages: Annotated[
        Path | None, typer.Option(help="Folder for pictures of the cited pages, with the cited lines marked.")
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Prints the events as JSON, one a line.")] = False


@grouped
def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="The question, in any language of the documents.")],
    filters: FilterOptions,
    retrieval: RetrievalOptions,
    answering: AnsweringOptions,
    showing: ShowingOptions,
) -> None:
    """Answers a question from the documents, with its sources."""
    connection: Connection = context.obj
    options = _options(filters, retrieval, answering)
    with connection.open() as client:
        with client.answer(question, **options) as events:
            if showing.json:
                citations = []
                for event in events:
                    json_lines.write_event(event, sys.stdout)
                    if isinstance(event, Citation):
                        citations.append(event)
            else:
                citations = list(show_answer(events, Console(highlight=False), boxes=showing.boxes).citations)
        if showing.save_pages is not None:
            for path in save_cited_pages(client, citations, showing.save_pages):
                sys.stderr.write(f"{path}\n")


def _options(filters: FilterOptions, retrieval: RetrievalOptions, answering: AnsweringOptions) -> AnswerOptions:
    options = AnswerOptions(
        filter=filters.filter(),
        profile=retrieval.profile,
        consistency_token=retrieval.consistency_token,
        no_cache=retrieval.no_cache,
        apply_proposed_filters=retrieval.apply_filters,
        max_passages=answering.max_passages,
        max_tokens=answering.max_tokens,
        resume_window_s=answering.resume_window,
        conversation_id=answering.conversation,
    )
    if answering.schema is not None:
        options["response_schema"] = answering.schema.read_text(encoding="utf-8")
    return options
