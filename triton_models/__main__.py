"""`python -m triton_models`: prepares, verifies and lists models, and writes what a Triton reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from triton_models.catalogue import load_catalogue
from triton_models.errors import ModelFilesError
from triton_models.layouts import read_layouts
from triton_models.preparation import default_cache, find_prepared, prepare
from triton_models.prepared import PreparedModels
from triton_models.rendering import render_missing
from triton_models.terminal import CacheOption, bars, console, sentences

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The models that Pinakes serves.")

OnlyOption = Annotated[
    str, typer.Option("--only", help="Comma-separated slots and names of models; all models if not given.")
]
CatalogueOption = Annotated[
    Path | None, typer.Option("--catalogue", help="A catalogue file of yours beside the package's.", show_default=False)
]


@app.command("prepare")
def prepare_command(
    cache: CacheOption = None,
    only: OnlyOption = "",
    additions: CatalogueOption = None,
    local: Annotated[Path | None, typer.Option("--from", help="A folder that may hold artifacts already.")] = None,
) -> None:
    """Fetches, verifies and converts the models; does nothing if they are ready."""
    with sentences(), bars() as on_progress:
        catalogue = load_catalogue(additions=additions)
        models = prepare(cache or default_cache(), on_progress, only=_names(only), catalogue=catalogue, local=local)
    console.print(f"models are ready in {models}", soft_wrap=True)


@app.command("verify")
def verify_command(cache: CacheOption = None, only: OnlyOption = "", additions: CatalogueOption = None) -> None:
    """Reads every prepared file and compares its sha256."""
    with sentences(), bars() as on_progress:
        models = _prepared(cache, only, additions)
        PreparedModels.open(models).verify(on_progress)
    console.print(f"every file in {models} is what it should be", soft_wrap=True)


@app.command("list")
def list_command(additions: CatalogueOption = None) -> None:
    """Names each slot's models, the default first, with the licence and size of their artifacts."""
    with sentences():
        catalogue = load_catalogue(additions=additions)
    for name, model in catalogue.all_models().items():
        console.print(f"[bold]{model.slot}[/]: {name}")
        for artifact in catalogue.artifacts_of(model).values():
            console.print(
                f"  {artifact.file}: {artifact.size_bytes / 1e6:.0f} MB, {artifact.licence}. {artifact.origin}"
            )


@app.command("entry")
def entry_command(
    folder: Annotated[Path, typer.Argument(help="The model's files, as its repository of Hugging Face has them.")],
    slot: Annotated[str, typer.Option(help="embed, generate or rerank.")],
    model: Annotated[str, typer.Option(help="NAME@VERSION, of your choice.")],
    licence: Annotated[str, typer.Option(help="Of the weights.")],
    hub: Annotated[str, typer.Option(help="OWNER/REPOSITORY@REVISION, if others fetch it there.")] = "",
    network: Annotated[str, typer.Option(help="A path in the folder, if not onnx/model.onnx or the only GGUF.")] = "",
) -> None:
    """Writes the entry for a catalogue file of yours."""
    # Takes a second to import.
    from triton_models.hub.entry import entry

    with sentences():
        typer.echo(entry(folder, slot, model, licence, hub=hub, network=network), nl=False)


@app.command("render")
def render_command(
    out: Annotated[Path, typer.Argument(metavar="REPOSITORY", help="The folder that Triton serves.")],
    profile: Annotated[str, typer.Option(help="What the models run on.")] = "cpu",
    cache: CacheOption = None,
    only: OnlyOption = "",
    additions: CatalogueOption = None,
    layouts: Annotated[
        Path | None, typer.Option(help="What `pinakes tune models` wrote: var/tuned-models.toml.", show_default=False)
    ] = None,
) -> None:
    """Adds the prepared models to a repository, also of a running Triton; what is there stays as it is."""
    with sentences():
        models = _prepared(cache, only, additions)
        cores = len(os.sched_getaffinity(0))
        measured = {} if layouts is None else read_layouts(layouts, cores)
        added = render_missing(profile, models, out, cores=cores, layouts=measured)
    console.print(f"added to {out}: {', '.join(added) or 'nothing, it has all of them'}", soft_wrap=True)


def _prepared(cache: Path | None, only: str, additions: Path | None) -> Path:
    models = find_prepared(cache or default_cache(), only=_names(only), catalogue=load_catalogue(additions=additions))
    if models is None:
        also = f" --catalogue {additions}" if additions else ""
        raise ModelFilesError(f"these models are not prepared: run `python -m triton_models prepare{also}`")
    return models


def _names(only: str) -> list[str] | None:
    return [name.strip() for name in only.split(",")] if only else None


if __name__ == "__main__":
    app()
