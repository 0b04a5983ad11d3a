"""What the catalogue files say, also while somebody edits them."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.adapters.model_catalogue import CatalogueFiles
from server.domain.errors import DependencyUnavailable, ModelNotFound
from server.embedded.errors import PartFailed
from server.embedded.model_repository import ModelRepository
from triton_models.catalogue import load_catalogue

EMBED = load_catalogue().slot("embed")
ROLES = ", ".join(f'{role} = "{artifact}"' for role, artifact in EMBED.artifacts.items())


def another(name: str, memory: int) -> str:
    return f'[models."{name}"]\nslot = "embed"\nmemory_bytes = {memory}\nartifacts = {{ {ROLES} }}\n'


async def test_models_are_added_while_it_is_in_use(tmp_path: Path) -> None:
    own = tmp_path / "models.toml"
    files = CatalogueFiles(own)
    before = await files.read()
    assert before.defaults["embed"] == EMBED.name and before.models[EMBED.name].slot == "embed"
    with pytest.raises(ModelNotFound):
        before.model("mine@1")
    own.write_text(another("mine@1", 7))
    after = await files.read()
    assert after.model("mine@1").declared_bytes == 7
    assert after.models.keys() - before.models.keys() == {"mine@1"}
    assert after.model("mine@1").fingerprint.startswith("mine@1")


async def test_while_it_cannot_be_read_what_it_said_before_holds(tmp_path: Path) -> None:
    own = tmp_path / "models.toml"
    own.write_text(another("mine@1", 7))
    files = CatalogueFiles(own)
    await files.read()
    own.write_text(another("mine@1", 7) + "[models")
    held = await files.read()
    assert held.model("mine@1").declared_bytes == 7
    with pytest.raises(DependencyUnavailable, match=r"models\.toml"):
        held.model("later@1")
    own.write_text(another("mine@1", 7) + another("later@1", 8))
    assert (await files.read()).model("later@1").declared_bytes == 8
    own.unlink()
    assert "mine@1" not in (await files.read()).models


async def test_a_mistake_is_told_at_the_start(tmp_path: Path) -> None:
    own = tmp_path / "models.toml"
    own.write_text(another(EMBED.name, 7))
    with pytest.raises(DependencyUnavailable, match="is there already, and is another one"):
        await CatalogueFiles(own).read()
    repository = ModelRepository("cpu", tmp_path, tmp_path / "repository", own)
    with pytest.raises(PartFailed, match="choose another name"):
        repository.check()
    # A Triton that is started anew while somebody edits the file serves what it served.
    repository.path.mkdir()
    repository.write()


async def test_a_team_chooses_what_serves_by_default(tmp_path: Path) -> None:
    own = tmp_path / "models.toml"
    own.write_text(f'[slots.embed]\nmodel = "mine"\nversion = 3\nartifacts = {{ {ROLES} }}\n')
    found = await CatalogueFiles(own).read()
    assert found.defaults["embed"] == "mine@3"
    assert found.model(EMBED.name).slot == "embed", "the package's own can still be loaded"
