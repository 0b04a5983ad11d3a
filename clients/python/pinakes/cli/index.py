"""`pinakes index`."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pinakes.cli import json_lines
from pinakes.cli.connection import Connection
from pinakes.client import Client
from pinakes.errors import GenerationNotFound
from pinakes.results import Generation, GenerationOptions, GenerationState

index = typer.Typer(help="Shows the index; builds, compares, swaps and copies its generations.", no_args_is_help=True)

GenerationName = Annotated[str, typer.Argument(metavar="GENERATION", help="Its name, as `status` shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Prints one line of JSON.")]

_LOOK_EVERY_S = 1.0


@index.command()
def status(context: typer.Context, json: AsJson = False) -> None:
    """Shows the generations and what they consist of."""
    connection: Connection = context.obj
    with connection.open() as client:
        found = client.index.get()
    if json:
        json_lines.write(found, sys.stdout)
        return
    console = Console(highlight=False)
    for generation in found.generations:
        console.print(_title(generation, found.log_position), soft_wrap=True)
        table = Table("  part", "passages", "removed", "graph", box=None, pad_edge=False)
        for segment in generation.segments:
            cells = (f"  {segment.name}", f"{segment.rows:,}", f"{segment.removed:,}", "yes" if segment.graph else "no")
            table.add_row(*map(Text, cells))
        if generation.segments:
            console.print(table)


@index.command()
def build(
    context: typer.Context,
    graph_degree: Annotated[int | None, typer.Option(help="Neighbours per node of the graph, 8 to 96.")] = None,
    build_effort: Annotated[
        int | None, typer.Option(help="Candidates looked at when a node is linked, up to 1,000.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Waits until it has caught up with the change log.")] = False,
    json: AsJson = False,
) -> None:
    """Begins to build another generation from the change log, in the background on the server."""
    connection: Connection = context.obj
    with connection.open() as client:
        generation = client.index.build(GenerationOptions(graph_degree, build_effort))
        if wait:
            generation = _built(client, generation)
    if json:
        json_lines.write(generation, sys.stdout)
    else:
        Console(highlight=False).print(_title(generation), soft_wrap=True)
    if generation.state is GenerationState.FAILED:
        raise typer.Exit(1)


@index.command()
def compare(
    context: typer.Context,
    generation: GenerationName,
    samples: Annotated[int, typer.Option(min=1, max=1_000, help="So many stored passages are the questions.")] = 100,
    json: AsJson = False,
) -> None:
    """Asks the serving generation and another one the same questions."""
    connection: Connection = context.obj
    with connection.open() as client:
        found = client.index.compare(generation, samples=samples)
    if json:
        json_lines.write(found, sys.stdout)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("recall@10 of the serving one", f"{found.serving_recall:.4f}")
    table.add_row(Text(f"recall@10 of {generation}"), f"{found.other_recall:.4f}")
    table.add_row("hits that both have", f"{found.overlap:.4f}")
    table.add_row("questions", f"{found.samples:,}")
    Console(highlight=False).print(table)


@index.command()
def activate(context: typer.Context, generation: GenerationName, json: AsJson = False) -> None:
    """Lets a generation serve; activating the previous one is the way back."""
    connection: Connection = context.obj
    with connection.open() as client:
        done = client.index.activate(generation)
    if json:
        json_lines.write(done, sys.stdout)
    else:
        Console(highlight=False).print(f"{done.generation.name} serves; before: {done.previous}", markup=False)


@index.command()
def delete(context: typer.Context, generation: GenerationName) -> None:
    """Deletes a generation that does not serve."""
    connection: Connection = context.obj
    with connection.open() as client:
        client.index.delete(generation)
    Console(highlight=False).print(f"deleted {generation}", markup=False)


@index.command()
def snapshot(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The copy's name: letters, digits, - and _.")],
    json: AsJson = False,
) -> None:
    """Copies the serving generation on the server, while it serves."""
    connection: Connection = context.obj
    with connection.open() as client:
        copy = client.index.snapshot(name)
    if json:
        json_lines.write(copy, sys.stdout)
    else:
        line = f"{copy.path}: {copy.size_bytes:,} bytes, at {copy.position}"
        Console(highlight=False).print(line, markup=False, soft_wrap=True)


def _built(client: Client, begun: Generation) -> Generation:
    """The generation when it is no longer being built. Raises GenerationNotFound if somebody deletes it meanwhile."""
    while True:
        generations = {each.name: each for each in client.index.get().generations}
        if begun.name not in generations:
            raise GenerationNotFound(f"generation {begun.name} is gone")
        if generations[begun.name].state is not GenerationState.BUILDING:
            return generations[begun.name]
        time.sleep(_LOOK_EVERY_S)


def _title(generation: Generation, log_position: str = "") -> Text:
    title = Text(generation.name, style="bold")
    title.append(f"  {generation.state.value}", "green" if generation.state is GenerationState.SERVING else "")
    at = f"{generation.position} of {log_position}" if log_position else generation.position
    options = generation.options
    facts = [f"at {at}", generation.fingerprint, f"begun {generation.create_time:%Y-%m-%d %H:%M:%S} UTC"]
    if options.graph_degree is not None:
        facts.append(f"graph degree {options.graph_degree}")
    if options.build_effort is not None:
        facts.append(f"build effort {options.build_effort}")
    title.append("  " + ", ".join(facts), "dim")
    if generation.failure:
        title.append(f"\n  {generation.failure}", "red")
    return title
