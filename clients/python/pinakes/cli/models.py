"""`pinakes models`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pinakes.cli import json_lines
from pinakes.cli.connection import Connection
from pinakes.results import Alias, MemorySource, Model, ModelState

models = typer.Typer(
    help="Shows the models; loads, unloads and warms them, and says which serve.", no_args_is_help=True
)

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="Its name, such as multilingual-e5-small@1.")]
AsJson = Annotated[bool, typer.Option("--json", help="Prints JSON, one object a line.")]

_STYLES = {ModelState.READY: "green", ModelState.FAILED: "red"}
_HEDGES = {MemorySource.DECLARED: "declared", MemorySource.ESTIMATED: "at least"}


@models.command("list")
def list_models(
    context: typer.Context,
    slot: Annotated[str, typer.Option(help="Only those that can serve it: embed, generate, ocr or rerank.")] = "",
    json: AsJson = False,
) -> None:
    """Shows the models of the catalogue and what becomes of them."""
    connection: Connection = context.obj
    with connection.open() as client:
        found = list(client.models.list(slot=slot))
    if json:
        for model in found:
            json_lines.write(model, sys.stdout)
        return
    table = Table(box=None, pad_edge=False)
    for title in ("model", "slot", "state", "memory", "alias", "last used"):
        table.add_column(title, overflow="fold")
    for model in found:
        used = f"{model.last_use_time:%Y-%m-%d %H:%M:%S} UTC" if model.last_use_time else ""
        state = Text(model.state.value, _STYLES.get(model.state, ""))
        table.add_row(Text(model.name), model.slot, state, _memory(model), ", ".join(model.aliases), used)
    console = Console(highlight=False)
    console.print(table)
    for model in found:
        if model.problem:
            console.print(Text(f"{model.name}: {model.problem}", "red"), soft_wrap=True)


@models.command()
def describe(context: typer.Context, model: ModelName, json: AsJson = False) -> None:
    """Shows a model and what it is made from."""
    connection: Connection = context.obj
    with connection.open() as client:
        found = client.models.describe(model)
    if json:
        json_lines.write(found, sys.stdout)
        return
    console = Console(highlight=False)
    console.print(_title(found.model), soft_wrap=True)
    for artifact in found.artifacts:
        size = f"{artifact.size_bytes / 1e6:,.1f} MB"
        console.print(
            Text(f"  {artifact.role}: {artifact.file}, {size}, {artifact.licence}. {artifact.origin}"), soft_wrap=True
        )


@models.command()
def load(context: typer.Context, model: ModelName, json: AsJson = False) -> None:
    """Loads a model beside those that are loaded."""
    connection: Connection = context.obj
    with connection.open() as client:
        _show(client.models.load(model), json)


@models.command()
def unload(
    context: typer.Context,
    model: ModelName,
    force: Annotated[bool, typer.Option("--force", help="Also if an alias names it.")] = False,
    json: AsJson = False,
) -> None:
    """Unloads a model when it has answered what it had been asked."""
    connection: Connection = context.obj
    with connection.open() as client:
        _show(client.models.unload(model, force=force), json)


@models.command()
def warm(context: typer.Context, model: ModelName, json: AsJson = False) -> None:
    """Calls a loaded model with inputs of its usual sizes."""
    connection: Connection = context.obj
    with connection.open() as client:
        found = client.models.warm(model)
    if json:
        json_lines.write(found, sys.stdout)
        return
    line = f"{model} is warm: first round {found.first_s:.2f} s, last round {found.last_s:.2f} s"
    Console(highlight=False).print(line, markup=False)


@models.command()
def aliases(context: typer.Context, json: AsJson = False) -> None:
    """Shows which models serve."""
    connection: Connection = context.obj
    with connection.open() as client:
        found = client.models.aliases()
    for alias in found:
        if json:
            json_lines.write(alias, sys.stdout)
        else:
            Console(highlight=False).print(_told(alias), soft_wrap=True)


@models.command("set-alias")
def set_alias(
    context: typer.Context,
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="Such as embed.default.")],
    chain: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL...]", help="What serves, then what takes its place while it cannot be loaded."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Has a model serve, loaded and warm before; without a model, what the catalogue says."""
    connection: Connection = context.obj
    with connection.open() as client:
        done = client.models.set_alias(alias, *(chain or ()))
    if json:
        json_lines.write(done, sys.stdout)
        return
    before = Text(f"; before: {', '.join(done.previous) or 'none'}")
    Console(highlight=False).print(_told(done.alias) + before, soft_wrap=True)


def _show(model: Model, json: bool) -> None:
    if json:
        json_lines.write(model, sys.stdout)
    else:
        Console(highlight=False).print(_title(model), soft_wrap=True)


def _title(model: Model) -> Text:
    title = Text(model.name, style="bold")
    title.append(f"  {model.state.value}", _STYLES.get(model.state, ""))
    title.append(f"  {model.slot}, {_memory(model)}, {model.fingerprint}", "dim")
    if model.aliases:
        title.append(f", {', '.join(model.aliases)}", "dim")
    if model.problem:
        title.append(f"\n  {model.problem}", "red")
    return title


def _memory(model: Model) -> str:
    return " ".join(filter(None, (_HEDGES.get(model.memory_source, ""), f"{model.memory_bytes / 1e6:,.0f} MB")))


def _told(alias: Alias) -> Text:
    if alias.serving and not alias.models:
        return Text(f"{alias.name} -> {alias.serving}").append(" (by the server's settings)", "dim")
    told = Text(f"{alias.name} -> {', '.join(alias.models) or 'none'}")
    if alias.by_default:
        told.append(" (by default)", "dim")
    if alias.models and alias.serving != alias.models[0]:
        told.append(f"; serving: {alias.serving or 'none'}", "red")
    return told
