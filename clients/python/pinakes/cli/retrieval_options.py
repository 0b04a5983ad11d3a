"""The options of everything that looks for passages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import typer

from pinakes.cli.option_groups import OptionGroup


@dataclass(frozen=True, slots=True)
class RetrievalOptions(OptionGroup):
    panel: ClassVar[str] = "How to look"

    profile: Annotated[str, typer.Option(metavar="NAME", help="A retrieval profile: see `pinakes profiles`.")] = ""
    apply_filters: Annotated[
        bool,
        typer.Option("--apply-filters", help="Narrows the search by what is asked: #tag, upload days, names."),
    ] = False
    consistency_token: Annotated[str, typer.Option(help="Waits until the index has come this far.")] = ""
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Works anew, whatever is kept of earlier calls.")] = False
