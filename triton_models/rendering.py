"""Writes the model repository that a Triton serves.

Every folder of `repository/` is a slot, and is written once for each of the slot's models, under the model's name:
models of one slot can be loaded beside each other. Its `config.pbtxt.template` is a `string.Template` with these
variables:

    $name           the model's name, such as multilingual-e5-small@1; every template begins with it
    $fingerprint    names the model and its weights
    $instances      how many processes serve it
    $threads        how many threads each of them may use
    $compiled       a folder where the runtime may keep what it compiled from the model's files
    $<role>         absolute path of a prepared file, such as $network or $weights
    $<parameter>    what else a model's configuration says (`PreparedSlot.parameters`), such as $dimension
    $<key>          every other key of the slot's table in `profiles/<profile>.toml`, or of its measured layout

Those parameters are put behind the template's text, too, for `model.py` and for the server.

A slot without prepared files is left out. What the profile `gpu` needs besides, `engines/repository.py` adds.
"""

from __future__ import annotations

import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from string import Template
from typing import Any

from triton_models.errors import InvalidCatalogue, UnknownName
from triton_models.layouts import Layout
from triton_models.prepared import PreparedModels

_HERE = Path(__file__).parent
REPOSITORY = _HERE / "repository"
PROFILES = _HERE / "profiles"
_TEMPLATE = "config.pbtxt.template"
_UNFINISHED = ".rendering-"
_PARAMETER = 'parameters {{ key: "{}" value: {{ string_value: "{}" }} }}\n'


def profiles() -> list[str]:
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def render(
    profile: str,
    models: Path | PreparedModels,
    out: Path,
    *,
    cores: int,
    slots: list[str] | None = None,
    with_engines: bool = False,
    layouts: Mapping[str, Layout] | None = None,
) -> Path:
    """Writes the repository for `models` (see preparation.prepare) as the folder `out`, replacing it; returns `out`.

    The cores are divided among the instances of a model, not among models: each may use all of them while the others
    rest. `slots` restricts it; `layouts` by slot take the place of what the profile says. A model that serves no slot
    by default and cannot be rendered is left out, and whoever loads it is told. Milliseconds. Raises UnknownName,
    NotPrepared, InvalidCatalogue; the last also for a profile whose networks are engines, unless the caller adds them
    (`with_engines`).
    """
    if not with_engines:
        _require_no_engines(profile)
    prepared = models if isinstance(models, PreparedModels) else PreparedModels.open(models)
    defaults = {slot.model for slot in prepared.slots.values()}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=_UNFINISHED) as scratch:
        folder = Path(scratch) / "repository"
        folder.mkdir()
        for name in _wanted(prepared, slots):
            try:
                _render_model(profile, name, prepared, cores, folder / name, layouts or {})
            except (InvalidCatalogue, UnknownName):
                if name in defaults:
                    raise
                shutil.rmtree(folder / name, ignore_errors=True)
        shutil.rmtree(out, ignore_errors=True)
        folder.rename(out)
    return out


def render_missing(
    profile: str, models: Path, out: Path, *, cores: int, layouts: Mapping[str, Layout] | None = None
) -> list[str]:
    """Adds to the repository `out`, which a Triton may be serving, the models that it lacks; returns their names.

    What is there stays as it is: a model's name stands for the same files for good. Raises as `render`.
    """
    _require_no_engines(profile)
    prepared = PreparedModels.open(models)
    out.mkdir(parents=True, exist_ok=True)
    added = [name for name in _wanted(prepared, None) if not (out / name).exists()]
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=_UNFINISHED) as scratch:
        for name in added:
            _render_model(profile, name, prepared, cores, Path(scratch) / name, layouts or {})
        # What a model calls has its name with something after it: that is there first.
        for folder in sorted(Path(scratch).iterdir(), reverse=True):
            folder.rename(out / folder.name)
    return added


def divide(cores: int, threads_most: int, instances_most: int | None) -> tuple[int, int]:
    """Instances of a model, and threads of each, that `cores` are worth."""
    instances = max(1, -(-cores // threads_most))
    if instances_most is not None:
        instances = min(instances, instances_most)
    return instances, max(1, min(threads_most, cores // instances))


def _profile(name: str) -> dict[str, dict[str, Any]]:
    if name not in profiles():
        raise UnknownName("profile", name, profiles())
    return tomllib.loads((PROFILES / f"{name}.toml").read_text(encoding="utf-8"))


def _require_no_engines(profile: str) -> None:
    if any("networks" in table for table in _profile(profile).values()):
        raise InvalidCatalogue(
            PROFILES / f"{profile}.toml",
            "its networks are engines; `python -m triton_models.engines repository` writes what serves it",
        )


def _wanted(prepared: PreparedModels, slots: list[str] | None) -> list[str]:
    for slot in slots or ():
        if slot not in prepared.slots:
            raise UnknownName("prepared slot", slot, prepared.slots)
    return sorted(name for name, model in prepared.models.items() if slots is None or model.slot in slots)


def profile_layout(profile: str, slot: str, cores: int) -> Layout:
    """What a slot has that was not measured. Raises UnknownName; KeyError for a slot that has no layout."""
    table = _profile(profile)[slot]
    instances, threads = divide(cores, table.get("threads_most", cores), table.get("instances_most"))
    return Layout(instances, threads, table["batch_tokens"], table["queue_delay_us"])


_UNSAID: Mapping[str, Mapping[str, str]] = {
    # Of multilingual-e5-small, and of models without a normalization table of their own.
    "embed": {"dimension": "384", "normalization": ""},
}
"""By slot: variables of the template that not every model has."""


def _variables(
    name: str, table: dict[str, Any], prepared: PreparedModels, cores: int, layout: Layout | None
) -> dict[str, str]:
    own = dict(table)
    instances, threads = divide(cores, own.pop("threads_most", cores), own.pop("instances_most", None))
    compiled = prepared.directory.absolute() / "compiled" / name
    compiled.mkdir(parents=True, exist_ok=True)
    model = prepared.models[name]
    variables = {**_UNSAID.get(model.slot, {}), **own, **model.parameters, **prepared.paths_of(name)}
    variables |= {"instances": instances, "threads": threads, "compiled": compiled}
    variables |= {"name": name, "fingerprint": model.fingerprint}
    if layout is not None:
        variables |= asdict(layout)
    return {key: _escaped(str(value)) for key, value in variables.items()}


def _escaped(value: str) -> str:
    """For the inside of a quoted string in protobuf's text format."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _render_model(
    profile: str, name: str, prepared: PreparedModels, cores: int, folder: Path, layouts: Mapping[str, Layout]
) -> None:
    slot = prepared.models[name].slot
    variables = _variables(name, _profile(profile).get(slot, {}), prepared, cores, layouts.get(slot))
    source = REPOSITORY / slot
    if not source.is_dir():
        raise UnknownName("model folder", slot, (path.name for path in REPOSITORY.iterdir()))
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(_TEMPLATE, "__pycache__"))
    template = Template((source / _TEMPLATE).read_text(encoding="utf-8"))
    try:
        config = template.substitute(variables)
    except (KeyError, ValueError) as exc:
        raise InvalidCatalogue(
            source / _TEMPLATE, f"{exc} is no variable of {prepared.directory} or the profile"
        ) from exc
    parameters = prepared.models[name].parameters.items()
    config += "".join(_PARAMETER.format(_escaped(key), _escaped(value)) for key, value in parameters)
    (folder / "config.pbtxt").write_text(config, encoding="utf-8")
