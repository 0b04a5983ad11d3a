"""`pinakes ask`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pinakes.cli import json_lines
from pinakes.cli.answer_view import show_answer
from pinakes.cli.cited_pages import save_cited_pages
from pinakes.cli.connection import Connection
from pinakes.cli.filter_options import (
    AnyTagOption,
    CreatedAfterOption,
    CreatedBeforeOption,
    DocumentOption,
    LanguageOption,
    NotTagOption,
    PagesOption,
    TagOption,
    search_filter,
)
from pinakes.cli.profiles import ProfileOption
from pinakes.options import AnswerOptions
from pinakes.results import Citation


def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="The question, in any language of the documents.")],
    tag: TagOption = None,
    any_tag: AnyTagOption = None,
    not_tag: NotTagOption = None,
    document: DocumentOption = None,
    language: LanguageOption = None,
    created_after: CreatedAfterOption = None,
    created_before: CreatedBeforeOption = None,
    pages: PagesOption = None,
    max_passages: Annotated[int, typer.Option(min=0, help="Passages shown to the model; 0: the server's choice.")] = 0,
    max_tokens: Annotated[int, typer.Option(min=0, help="Longest answer, in tokens; 0: the server's choice.")] = 0,
    consistency_token: Annotated[str, typer.Option(help="Waits until the index has come this far.")] = "",
    profile: ProfileOption = "",
    apply_filters: Annotated[
        bool,
        typer.Option("--apply-filters", help="Narrows the search by what the question says: #tag, upload days, names."),
    ] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Answers anew, whatever is kept of earlier answers.")
    ] = False,
    conversation: Annotated[
        str, typer.Option(help="The conversation to ask in: `pinakes conversations create` makes one.")
    ] = "",
    schema: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, metavar="FILE", help="A JSON Schema that the answer is to keep to."),
    ] = None,
    resume_window: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="Goes on with an answer whose connection was lost so long ago."),
    ] = 0.0,
    boxes: Annotated[bool, typer.Option("--boxes", help="Shows where on the page each cited line stands.")] = False,
    save_pages: Annotated[
        Path | None, typer.Option(help="Folder for pictures of the cited pages, with the cited lines marked.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Prints the events as JSON, one a line.")] = False,
) -> None:
    """Answers a question from the documents, with its sources."""
    connection: Connection = context.obj
    options = AnswerOptions(
        filter=search_filter(
            documents=document,
            tags=tag,
            any_tags=any_tag,
            not_tags=not_tag,
            languages=language,
            created_after=created_after,
            created_before=created_before,
            pages=pages,
        ),
        max_passages=max_passages,
        max_tokens=max_tokens,
        consistency_token=consistency_token,
        no_cache=no_cache,
        apply_proposed_filters=apply_filters,
        profile=profile,
        resume_window_s=resume_window,
        conversation_id=conversation,
    )
    if schema is not None:
        options["response_schema"] = schema.read_text(encoding="utf-8")
    with connection.open() as client:
        citations: list[Citation] = []
        with client.answer(question, **options) as events:
            if json:
                for event in events:
                    json_lines.write_event(event, sys.stdout)
                    if isinstance(event, Citation):
                        citations.append(event)
            else:
                citations += show_answer(events, Console(highlight=False), boxes=boxes).citations
        if save_pages is not None:
            for path in save_cited_pages(client, citations, save_pages):
                sys.stderr.write(f"{path}\n")
