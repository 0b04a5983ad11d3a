"""`python -m triton_models.engines`: builds engines, and the model repository that serves them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from triton_models.catalogue import load_catalogue
from triton_models.engines.building import PlannedEngine, build_engine, find_engine, planned_engines
from triton_models.engines.cache import EngineCache
from triton_models.engines.errors import EngineError
from triton_models.engines.repository import render_with_engines
from triton_models.engines.tensorrt_toolkit import TensorRtToolkit
from triton_models.preparation import default_cache, prepare
from triton_models.terminal import CacheOption, bars, console, sentences

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Networks as TensorRT engines, for this GPU.")

ProfileOption = Annotated[str, typer.Option("--profile", help="The profile that says which networks and shapes.")]
OnlyOption = Annotated[str, typer.Option("--only", help="Comma-separated networks, such as embed.network; or all.")]


@app.command("build")
def build_command(cache: CacheOption = None, profile: ProfileOption = "gpu", only: OnlyOption = "") -> None:
    """Builds the engines that are not there yet, and compares each with ONNX Runtime before it is kept."""
    folder = cache or default_cache()
    with sentences(), bars() as on_progress:
        toolkit = TensorRtToolkit()
        for planned in _chosen(profile, only):
            done = build_engine(planned, toolkit, folder, on_progress)
            console.print(f"{planned.name}: agrees to {done.agreement:.5f}, {done.plan_bytes / 1e6:.0f} MB")


@app.command("verify")
def verify_command(cache: CacheOption = None, profile: ProfileOption = "gpu", only: OnlyOption = "") -> None:
    """Reads every engine of this GPU, and compares its sha256."""
    folder = cache or default_cache()
    engines = EngineCache(folder)
    with sentences():
        toolkit = TensorRtToolkit()
        for planned in _chosen(profile, only):
            key = planned.key(toolkit)
            if find_engine(planned, toolkit, folder) is None or engines.damaged(key):
                raise EngineError(f"{planned.name} is missing or damaged: delete {engines.plan(key).parent}, and build")
    console.print("every engine is what was accepted")


@app.command("repository")
def repository_command(
    out: Annotated[Path, typer.Option("--out", help="The folder to write; what is there is replaced.")],
    cache: CacheOption = None,
    profile: ProfileOption = "gpu",
    without: Annotated[str, typer.Option("--without", help="Comma-separated slots that are served elsewhere.")] = "",
) -> None:
    """Writes the model repository with the engines of this GPU, as NVIDIA's Triton serves it."""
    folder, elsewhere = cache or default_cache(), {name.strip() for name in without.split(",")}
    with sentences(), bars() as on_progress:
        models = prepare(folder, on_progress, only=[name for name in load_catalogue().slots if name not in elsewhere])
        cores = len(os.sched_getaffinity(0))
        render_with_engines(profile, models, out, _chosen(profile), TensorRtToolkit(), folder, cores=cores)
    console.print(f"the repository is in {out}", soft_wrap=True)


def _chosen(profile: str, only: str = "") -> list[PlannedEngine]:
    planned = list(planned_engines(profile))
    if not only:
        return planned
    names = [name.strip() for name in only.split(",")]
    known = {each.name: each for each in planned}
    for name in names:
        if name not in known:
            raise EngineError(f"there is no network {name!r} in the profile; there is {', '.join(sorted(known))}")
    return [known[name] for name in names]


if __name__ == "__main__":
    app()
