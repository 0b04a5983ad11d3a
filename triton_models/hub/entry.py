"""Writes the catalogue entry of a model whose files lie in a folder as its repository of the hub has them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from pydantic import ValidationError

from triton_models.catalogue import Additions
from triton_models.conversions import DATA_ROLE
from triton_models.digests import sha256_of
from triton_models.errors import ModelFilesError

NETWORKS = ("onnx/model.onnx", "model.onnx")
"""Where repositories have it."""
_CONVERSIONS = {"embed": "hf-encoder", "rerank": "hf-cross-encoder"}
_FILES = {"tokenizer": "tokenizer.json", "config": "config.json"}
_POOLING, _SENTENCE_TRANSFORMERS = "1_Pooling/config.json", "config_sentence_transformers.json"
_HINTS = {
    "embed": '# options = { query_prefix = "…", passage_prefix = "…" }  # if the model\'s card says so\n',
    "rerank": "# score_weight = …  # in a search, beside a fused score of 1 at most\n",
}


def entry(folder: Path, slot: str, model: str, licence: str, *, hub: str = "", network: str = "") -> str:
    """TOML for a catalogue file: the model `model` (NAME@VERSION) of `slot`, and its artifacts with their digests.

    Of `embed` and `rerank` the files are taken that are there, with `network` (a path in the folder) or else the one of
    NETWORKS; of `generate` the one GGUF, which `network` may name. `hub` (OWNER/REPOSITORY@REVISION) is where they can
    be fetched; without it they are read from the folder. Reads every file once. Raises ModelFilesError.
    """
    if slot == "generate":
        there = sorted(path.name for path in folder.glob("*.gguf"))
        files = {"weights": _only([name for name in there if network in ("", name)], folder, network or "GGUF")}
    elif slot in _CONVERSIONS:
        files = _hub_files(folder, slot, network)
    else:
        raise ModelFilesError(f"there are no models of the hub for the slot {slot}, but for embed, generate and rerank")
    name, _, version = model.partition("@")
    names = {role: f"{name}-{version}-{role}" for role in files}
    artifacts = ", ".join(f"{role} = {json.dumps(names[role])}" for role in files)
    text = f'[models.{json.dumps(model)}]\nslot = "{slot}"\n'
    text += f'conversion = "{_CONVERSIONS[slot]}"\n' if slot in _CONVERSIONS else ""
    text += f"artifacts = {{ {artifacts} }}\n{_HINTS.get(slot, '')}"
    for role, path in files.items():
        text += f"\n[artifacts.{json.dumps(names[role])}]\n{_artifact(folder, role, path, licence, hub)}"
    try:
        Additions.model_validate(tomllib.loads(text))
    except (ValidationError, tomllib.TOMLDecodeError) as exc:
        raise ModelFilesError(f"what was asked for makes no entry: {exc}") from exc
    return text


def external_files(graph: onnx.GraphProto) -> set[str]:
    """The names of the files in which the network keeps weights."""
    return {told.value for constant in graph.initializer for told in constant.external_data if told.key == "location"}


def _hub_files(folder: Path, slot: str, network: str) -> dict[str, str]:
    """Paths in the folder by their role."""
    wanted = (network,) if network else NETWORKS
    there = [path for path in wanted if (folder / path).is_file()]
    files = {"network": _only(there[:1], folder, " or ".join(wanted)), **_FILES}
    lacking = [path for path in files.values() if not (folder / path).is_file()]
    if lacking:
        raise ModelFilesError(f"{folder} has no {', '.join(lacking)}, which a model of the hub needs")
    beside = Path(files["network"]).parent
    for place, name in enumerate(sorted(external_files(_graph(folder / files["network"])))):
        if not (folder / beside / name).is_file():
            raise ModelFilesError(f"{folder / beside} has no {name}, in which {files['network']} keeps weights")
        files[DATA_ROLE + (f"_{place}" if place else "")] = str(beside / name)
    more = {"sentence_transformers": _SENTENCE_TRANSFORMERS} | ({"pooling": _POOLING} if slot == "embed" else {})
    return files | {role: path for role, path in more.items() if (folder / path).is_file()}


def _artifact(folder: Path, role: str, path: str, licence: str, hub: str) -> str:
    file = folder / path
    # Only weights beside a network need their own name; of the others two may have the same.
    name = file.name if role.startswith(DATA_ROLE) or file.suffix in (".onnx", ".gguf") else f"{role}.json"
    source = f"hf = {json.dumps(f'{hub}/{path}')}" if hub else f"file = {json.dumps(str(file.absolute()))}"
    origin = hub.partition("@")[0] or file.parent.name
    return (
        f'file = {json.dumps(name)}\nsha256 = "{sha256_of(file)}"\nsize_bytes = {file.stat().st_size}\n'
        f"licence = {json.dumps(licence)}\norigin = {json.dumps(origin)}\nsources = [ {{ {source} }} ]\n"
    )


def _only(found: Iterable[str], folder: Path, what: str) -> str:
    names = list(found)
    if len(names) != 1:
        raise ModelFilesError(f"{folder} has {', '.join(names) or f'no {what}'}: name the one to take with --network")
    return names[0]


def _graph(network: Path) -> onnx.GraphProto:
    try:
        return onnx.load(str(network), load_external_data=False).graph
    except DecodeError as exc:
        raise ModelFilesError(f"{network} is no ONNX file: {exc}") from exc
