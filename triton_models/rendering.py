"""Writes the model repository that a Triton serves.

Every folder of `repository/` is a slot. Its `config.pbtxt.template` is a `string.Template` with these variables:

    $fingerprint    names the model and its weights
    $instances      how many processes serve it
    $threads        how many threads each of them may use
    $compiled       a folder where the runtime may keep what it compiled from the model's files
    $<role>         absolute path of a prepared file, such as $network or $weights
    $<key>          every other key of the slot's table in `profiles/<profile>.toml`

A slot without prepared files is left out. The profile `cpu` is complete; there is no `gpu` profile yet.
"""

from __future__ import annotations

import shutil
import tempfile
import tomllib
from pathlib import Path
from string import Template
from typing import Any

from triton_models.errors import InvalidCatalogue, UnknownName
from triton_models.prepared import PreparedModels

_HERE = Path(__file__).parent
REPOSITORY = _HERE / "repository"
PROFILES = _HERE / "profiles"
_TEMPLATE = "config.pbtxt.template"


def profiles() -> list[str]:
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def render(profile: str, models: Path, out: Path, *, cores: int, slots: list[str] | None = None) -> Path:
    """Writes the repository for `models` (see preparation.prepare) as the folder `out`, replacing it; returns `out`.

    The cores are divided among the instances of a model, not among models: each may use all of them while the others
    rest. `slots` restricts it. Milliseconds. Raises UnknownName, NotPrepared, InvalidCatalogue.
    """
    tables = _profile(profile)
    prepared = PreparedModels.open(models)
    wanted = slots if slots is not None else sorted(prepared.slots)
    for slot in wanted:
        if slot not in prepared.slots:
            raise UnknownName("prepared slot", slot, prepared.slots)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".rendering-") as scratch:
        folder = Path(scratch) / "repository"
        for slot in wanted:
            _render_slot(slot, prepared, _variables(slot, tables.get(slot, {}), prepared, cores), folder / slot)
        shutil.rmtree(out, ignore_errors=True)
        folder.rename(out)
    return out


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


def _variables(slot: str, table: dict[str, Any], prepared: PreparedModels, cores: int) -> dict[str, str]:
    own = dict(table)
    instances, threads = divide(cores, own.pop("threads_most", cores), own.pop("instances_most", None))
    compiled = prepared.directory.absolute() / "compiled" / slot
    compiled.mkdir(parents=True, exist_ok=True)
    variables = own | prepared.paths(slot) | {"instances": instances, "threads": threads, "compiled": compiled}
    variables["fingerprint"] = prepared.slots[slot].fingerprint
    return {key: _escaped(str(value)) for key, value in variables.items()}


def _escaped(value: str) -> str:
    """For the inside of a quoted string in protobuf's text format."""
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _render_slot(slot: str, prepared: PreparedModels, variables: dict[str, str], folder: Path) -> None:
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
    (folder / "config.pbtxt").write_text(config, encoding="utf-8")
