"""The options that narrow a search, and what they mean together: all must hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from pinakes import where
from pinakes.options import SearchFilter

TagOption = Annotated[list[str] | None, typer.Option(help="Only documents that carry this tag; repeatable.")]
AnyTagOption = Annotated[
    list[str] | None, typer.Option(help="Only documents that carry at least one of these; repeatable.")
]
NotTagOption = Annotated[list[str] | None, typer.Option(help="No document that carries this tag; repeatable.")]
DocumentOption = Annotated[list[str] | None, typer.Option(help="Only this document, by its id; repeatable.")]
LanguageOption = Annotated[list[str] | None, typer.Option(help="Only passages in this language (en, ja); repeatable.")]
CreatedAfterOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only documents created at this time (2026-01-31, or with T12:00Z) or later."),
]
CreatedBeforeOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only documents created before this time (a day: before it begins).")
]
PagesOption = Annotated[
    str | None, typer.Option(metavar="FIRST-LAST", help="Only passages on these pages: 3-7, 3-, -7 or 3.")
]

_PAGES = re.compile(r"(?P<first>\d*)(?P<to>-?)(?P<last>\d*)")


def search_filter(
    *,
    documents: Sequence[str] | None = None,
    tags: Sequence[str] | None = None,
    any_tags: Sequence[str] | None = None,
    not_tags: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    created_after: str | None = None,
    created_before: str | None = None,
    pages: str | None = None,
) -> SearchFilter:
    """Raises typer.BadParameter for a time or a range that cannot be read."""
    conditions: list[where.Condition] = []
    if any_tags:
        conditions.append(where.tags(*any_tags))
    if not_tags:
        conditions.append(~where.tags(*not_tags))
    if created_after or created_before:
        not_before = _time("--created-after", created_after) if created_after else None
        before = _time("--created-before", created_before) if created_before else None
        conditions.append(where.created(not_before=not_before, before=before))
    if pages:
        conditions.append(_page_range(pages))
    condition = where.all_of(*conditions) if conditions else None
    return SearchFilter(documents or (), tags or (), languages or (), condition)


def _time(option: str, text: str) -> datetime:
    """Without a zone it is this machine's local time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        problem = f"{text!r} is no time such as 2026-01-31 or 2026-01-31T12:00Z"
        raise typer.BadParameter(problem, param_hint=option) from error
    return moment if moment.tzinfo else moment.astimezone()


def _page_range(text: str) -> where.Pages:
    match = _PAGES.fullmatch(text)
    if match is None or text == "-":
        raise typer.BadParameter(f"{text!r} is no range of pages such as 3-7", param_hint="--pages")
    first = int(match["first"]) if match["first"] else None
    if not match["to"]:
        return where.pages(first, first)
    return where.pages(first, int(match["last"]) if match["last"] else None)
