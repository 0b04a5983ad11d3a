"""The options that narrow a search, and what they mean together: all must hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar

import typer

from pinakes import where
from pinakes.cli.option_groups import OptionGroup
from pinakes.options import SearchFilter

_PAGES = re.compile(r"(?P<first>\d*)(?P<to>-?)(?P<last>\d*)")


@dataclass(frozen=True, slots=True)
class FilterOptions(OptionGroup):
    panel: ClassVar[str] = "Where to look"

    tag: Annotated[list[str] | None, typer.Option(help="Only documents that carry this tag; repeatable.")] = None
    any_tag: Annotated[
        list[str] | None, typer.Option(help="Only documents that carry at least one of these; repeatable.")
    ] = None
    not_tag: Annotated[list[str] | None, typer.Option(help="No document that carries this tag; repeatable.")] = None
    document: Annotated[list[str] | None, typer.Option(help="Only this document, by its id; repeatable.")] = None
    language: Annotated[list[str] | None, typer.Option(help="Only passages in this language (en, ja); repeatable.")] = (
        None
    )
    created_after: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Only documents created at this time (2026-01-31, or with T12:00Z) or later."
        ),
    ] = None
    created_before: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only documents created before this time (a day: before it begins)."),
    ] = None
    pages: Annotated[
        str | None, typer.Option(metavar="FIRST-LAST", help="Only passages on these pages: 3-7, 3-, -7 or 3.")
    ] = None

    def filter(self) -> SearchFilter:
        """Raises typer.BadParameter for a time or a range that cannot be read."""
        conditions: list[where.Condition] = []
        if self.any_tag:
            conditions.append(where.tags(*self.any_tag))
        if self.not_tag:
            conditions.append(~where.tags(*self.not_tag))
        if self.created_after or self.created_before:
            not_before = _time("--created-after", self.created_after) if self.created_after else None
            before = _time("--created-before", self.created_before) if self.created_before else None
            conditions.append(where.created(not_before=not_before, before=before))
        if self.pages:
            conditions.append(_page_range(self.pages))
        condition = where.all_of(*conditions) if conditions else None
        return SearchFilter(self.document or (), self.tag or (), self.language or (), condition)


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
