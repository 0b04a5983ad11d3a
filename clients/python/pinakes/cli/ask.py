"""`pinakes ask`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from pinakes.cli import json_lines
from pinakes.cli.answer_view import show_answer
from pinakes.cli.connection import Connection
from pinakes.options import AnswerOptions, SearchFilter


def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="The question, in any language of the documents.")],
    tag: Annotated[list[str] | None, typer.Option(help="Only documents that carry this tag; repeatable.")] = None,
    document: Annotated[list[str] | None, typer.Option(help="Only this document, by its id; repeatable.")] = None,
    language: Annotated[
        list[str] | None, typer.Option(help="Only passages in this language (en, ja); repeatable.")
    ] = None,
    max_passages: Annotated[int, typer.Option(min=0, help="Passages shown to the model; 0: the server's choice.")] = 0,
    max_tokens: Annotated[int, typer.Option(min=0, help="Longest answer, in tokens; 0: the server's choice.")] = 0,
    consistency_token: Annotated[str, typer.Option(help="Waits until the index has come this far.")] = "",
    boxes: Annotated[bool, typer.Option("--boxes", help="Shows where on the page each cited line stands.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Prints the events as JSON, one a line.")] = False,
) -> None:
    """Answers a question from the documents, with its sources."""
    connection: Connection = context.obj
    options = AnswerOptions(
        filter=SearchFilter(document or (), tag or (), language or ()),
        max_passages=max_passages,
        max_tokens=max_tokens,
        consistency_token=consistency_token,
    )
    with connection.open() as client, client.answer(question, **options) as events:
        if not json:
            show_answer(events, Console(highlight=False), boxes=boxes)
            return
        for event in events:
            json_lines.write_event(event, sys.stdout)
