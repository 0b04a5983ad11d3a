"""Preparing is atomic, repeatable, and safe for two at a time."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.triton.small_catalogue import catalogue_of, file_artifact, sha256
from triton_models import preparation
from triton_models.catalogue import DEFAULT_CATALOGUE, Catalogue, Slot, load_catalogue
from triton_models.errors import ConversionFailed, InvalidCatalogue, NotEnoughSpace, NotPrepared, UnknownName
from triton_models.preparation import find_prepared, fingerprints, prepare
from triton_models.prepared import PreparedModels
from triton_models.progress import Progress


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return catalogue_of(
        embed=file_artifact(tmp_path / "e.bin", b"embedding weights"),
        generate=file_artifact(tmp_path / "g.bin", b"generator weights"),
    )


def test_prepared_models_are_found_by_slot_and_role(cache: Path, catalogue: Catalogue) -> None:
    models = PreparedModels.open(prepare(cache, catalogue=catalogue))
    assert models.paths("embed")["weights"].read_bytes() == b"embedding weights"
    weights = catalogue.artifacts["embed"].sha256
    assert models.slots["embed"].fingerprint == f"embed-model@1+{weights[:12]}"
    models.verify()


def test_a_repeat_does_nothing(cache: Path, catalogue: Catalogue, tmp_path: Path) -> None:
    steps: list[Progress] = []
    first = prepare(cache, steps.append, catalogue=catalogue)
    assert steps[-1].done == steps[-1].total
    steps.clear()
    (tmp_path / "e.bin").unlink()
    assert prepare(cache, steps.append, catalogue=catalogue) == first
    assert steps == []
    assert find_prepared(cache, catalogue=catalogue) == first


def test_slots_can_be_prepared_alone(cache: Path, catalogue: Catalogue) -> None:
    alone = prepare(cache, only=["embed"], catalogue=catalogue)
    assert set(PreparedModels.open(alone).slots) == {"embed"}
    assert find_prepared(cache, catalogue=catalogue) is None
    with pytest.raises(UnknownName, match="no slot 'rerank'"):
        prepare(cache, only=["rerank"], catalogue=catalogue)


def test_a_failure_leaves_nothing_that_looks_finished(cache: Path, catalogue: Catalogue, tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(progress: Progress) -> None:
        if progress.step == "copying generate":
            raise Interrupted

    with pytest.raises(Interrupted):
        prepare(cache, interrupt, catalogue=catalogue)
    assert find_prepared(cache, catalogue=catalogue) is None
    assert not list(cache.rglob("*.part*"))
    (tmp_path / "e.bin").unlink()  # Fetched already: it is not asked for again.
    PreparedModels.open(prepare(cache, catalogue=catalogue)).verify()


def test_what_a_killed_run_left_is_removed(cache: Path, catalogue: Catalogue) -> None:
    left = cache / "slots" / ".part-abc"
    left.mkdir(parents=True)
    prepare(cache, catalogue=catalogue)
    assert not left.exists()


def test_a_full_disk_is_told_before_anything_is_fetched(
    cache: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "free_bytes", lambda _: 1_000_000)
    steps: list[Progress] = []
    with pytest.raises(NotEnoughSpace, match="has 1 MB free"):
        prepare(cache, steps.append, catalogue=catalogue)
    assert steps == []


def test_of_two_at_a_time_one_works(cache: Path, catalogue: Catalogue) -> None:
    steps: list[Progress] = []
    both = threading.Barrier(2)

    def run() -> Path:
        both.wait(10)
        return prepare(cache, steps.append, catalogue=catalogue)

    with ThreadPoolExecutor(2) as pool:
        paths = [future.result(30) for future in [pool.submit(run), pool.submit(run)]]
    assert paths[0] == paths[1]
    assert [step.step for step in steps].count("preparing embed") == 1


def test_a_lost_file_is_made_again(cache: Path, catalogue: Catalogue) -> None:
    models = prepare(cache, catalogue=catalogue)
    PreparedModels.open(models).paths("embed")["weights"].unlink()
    assert find_prepared(cache, catalogue=catalogue) is None
    PreparedModels.open(prepare(cache, catalogue=catalogue)).verify()


def test_verifying_finds_a_changed_byte(cache: Path, catalogue: Catalogue) -> None:
    models = PreparedModels.open(prepare(cache, catalogue=catalogue))
    path = models.paths("embed")["weights"]
    path.write_bytes(path.read_bytes().replace(b"embedding", b"embodding"))
    PreparedModels.open(models.directory)
    with pytest.raises(NotPrepared, match=r"e\.bin was changed; delete the folder"):
        models.verify()
    shutil.rmtree(path.resolve().parent)
    PreparedModels.open(prepare(cache, catalogue=catalogue)).verify()


def test_what_an_entry_says_is_part_of_the_model(catalogue: Catalogue, tmp_path: Path) -> None:
    """Another prefix makes other embeddings, another weight another ranking: neither may pass for the same model."""

    def told(**said: object) -> str:
        rerank = Slot.model_validate(
            {"model": "m", "version": 1, "conversion": "sentences", "artifacts": {"weights": "embed"}, **said}
        )
        return fingerprints(Catalogue(artifacts=catalogue.artifacts, slots={"rerank": rerank}))["m@1"]

    same = told()
    assert same == f"m@1.1+{catalogue.artifacts['embed'].sha256[:12]}"
    others = [told(score_weight=2), told(options={"a": 2}), told(options={"a": "2"}), told(options={"b": 2})]
    assert len({same, *others}) == 5
    assert told(score_weight=2.0, memory_bytes=5) == others[0]


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"conversion": "e5"}, r"e5 makes models of the slot embed, not of rerank"),
        ({"artifacts": {"weights": "embed"}}, r"reads the artifacts tokenizer, weights, and was given weights$"),
        ({"options": {"pooling": "cls"}}, r"sentences has no options, and was given pooling"),
    ],
)
def test_what_a_conversion_does_not_know_is_refused(
    cache: Path, catalogue: Catalogue, said: dict[str, object], wrong: str
) -> None:
    entry = {"conversion": "sentences", "artifacts": {"weights": "embed", "tokenizer": "generate"}, **said}
    rerank = Slot.model_validate({"model": "m", "version": 1, **entry})
    with pytest.raises(ConversionFailed, match=wrong):
        prepare(cache, catalogue=Catalogue(artifacts=catalogue.artifacts, slots={"rerank": rerank}))


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"options": {"pooling": "cls"}}, "`options` are for a `conversion`"),
        ({"score_weight": 0}, "greater than 0"),
        ({"score_weight": 1.0}, "which is for models of the slot rerank"),
    ],
)
def test_what_means_nothing_in_an_entry_is_refused(catalogue: Catalogue, said: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Catalogue.model_validate(
            {"artifacts": catalogue.artifacts, "slots": {"embed": catalogue.slots["embed"].model_dump() | said}}
        )


def test_the_catalogue_of_the_project_is_complete() -> None:
    catalogue = load_catalogue()
    assert set(catalogue.slots) >= {"embed", "ocr", "generate"}
    for name, model in catalogue.all_models().items():
        for artifact in catalogue.artifacts_of(model).values():
            [source, *_] = artifact.sources
            own = source.file is not None and source.file.is_relative_to(DEFAULT_CATALOGUE.parent)
            assert source.pypi or own, f"{name} needs more than a package registry and what is beside the catalogue"
            assert source.file is None or sha256(source.file.read_bytes()) == artifact.sha256


@pytest.mark.parametrize(
    "text",
    [
        '[slots.embed]\nmodel = "m"\nversion = 1\nartifacts = { weights = "absent" }\n[artifacts]',
        '[slots]\n[artifacts.a]\nfile = "a/b"\nsha256 = "00"\nsize_bytes = 0\nlicence = ""\norigin = ""\nsources = []',
        "not toml",
    ],
)
def test_a_broken_catalogue_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "catalogue.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidCatalogue, match=r"catalogue\.toml"):
        load_catalogue(path)
