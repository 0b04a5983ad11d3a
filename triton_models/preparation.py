"""Makes the models ready to serve: fetches, verifies and converts what the catalogue names.

Layout of a cache folder; everything in it can be deleted at any time while nothing runs:

    artifacts/<sha256>/<file>        fetched bytes
    downloads/                       what is being fetched
    slots/<slot>-<key>/              a converted model; the key is a digest of all that it was made from
    models/<key>/<slot> -> slots/…   a set of models with its manifest: what a server is given; those that are no slot's
                                     default are named <model>@<version>
    prepare.lock                     held while one process prepares
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from triton_models.catalogue import Catalogue, Model, load_catalogue
from triton_models.conversions import Converted, conversion_version, convert
from triton_models.digests import sha256_of
from triton_models.errors import NotEnoughSpace, NotPrepared, UnknownName
from triton_models.fetching import ArtifactStore, free_bytes
from triton_models.prepared import PreparedModels, PreparedSlot, describe_files, write_manifest
from triton_models.progress import OnProgress, Progress, silent
from triton_models.publishing import UNFINISHED, exclusive, link, replacing_folder

_KEY_DIGITS = 16
_SPARE_BYTES = 200_000_000
_SLOT_FILE = "slot.json"
_WAITING = Progress("waiting for another preparation", 0, 0, "steps")


def default_cache() -> Path:
    """The user's cache folder for Pinakes; it need not exist."""
    return platformdirs.user_cache_path("pinakes")


def prepare(
    cache: Path,
    on_progress: OnProgress = silent,
    *,
    only: Sequence[str] | None = None,
    catalogue: Catalogue | None = None,
    local: Path | None = None,
) -> Path:
    """The folder of ready models, made if it is not there (see `PreparedModels` for what is in it).

    A repeat costs milliseconds; an interrupted run is resumed; of two runs at a time the second waits for the first.
    `only` restricts it to the defaults of some slots and to models of these names, `local` is a folder to look for
    artifacts in first. Raises ModelFilesError.
    """
    preparation = _Preparation(cache, catalogue or load_catalogue(), only, local, on_progress)
    ready = preparation.ready()
    if ready is not None:
        return ready
    cache.mkdir(parents=True, exist_ok=True)
    with exclusive(cache / "prepare.lock", lambda: on_progress(_WAITING)):
        return preparation.ready() or preparation.run()


def find_prepared(cache: Path, *, only: Sequence[str] | None = None, catalogue: Catalogue | None = None) -> Path | None:
    """What `prepare` would return without work; None if there is work to do."""
    return _Preparation(cache, catalogue or load_catalogue(), only, None, silent).ready()


def prepared_so_far(cache: Path, catalogue: Catalogue) -> PreparedModels:
    """The models that earlier runs have finished, whichever set they belong to: what somebody has added to the
    catalogue and not prepared yet is left out. Raises NotPrepared if one that serves a slot by default is missing."""
    directory = cache / "slots"
    slots: list[PreparedSlot] = []
    others: list[PreparedSlot] = []
    folders: dict[str, str] = {}
    for name in sorted(catalogue.all_models()):
        planned = _planned(name, catalogue)
        done = _read_slot(directory / planned.target)
        if done is not None:
            (slots if planned.default else others).append(done)
            folders[name] = planned.target
        elif planned.default:
            raise NotPrepared(directory, f"{name} is not there")
    return PreparedModels(directory, slots, others, folders)


def fingerprints(catalogue: Catalogue) -> dict[str, str]:
    """Each model's by its name. Raises UnknownName for a conversion that there is not."""
    return {name: _planned(name, catalogue).fingerprint for name in catalogue.all_models()}


@dataclass(frozen=True, slots=True)
class _PlannedModel:
    """`folder` is its name in the set of models."""

    name: str
    model: Model
    fingerprint: str
    key: str
    folder: str

    @property
    def default(self) -> bool:
        return self.folder == self.model.slot

    @property
    def target(self) -> str:
        """The folder of `slots` that it is kept in."""
        return f"{self.model.slot}-{self.key}"

    @property
    def identity(self) -> str:
        """What a set of models is told apart by."""
        return self.key if self.default else f"{self.name} {self.key}"


class _Preparation:
    def __init__(
        self,
        cache: Path,
        catalogue: Catalogue,
        only: Sequence[str] | None,
        local: Path | None,
        on_progress: OnProgress,
    ) -> None:
        self._cache = cache
        self._catalogue = catalogue
        self._local = local
        self._on_progress = on_progress
        self._store = ArtifactStore(cache)
        asked = catalogue.slots if only is None else only
        names = {each if "@" in each else catalogue.slot(each).name for each in asked}
        if only is None:
            names |= catalogue.models.keys()
        planned = [_planned(name, catalogue) for name in names]
        self._plan = sorted(planned, key=lambda each: (not each.default, each.folder))
        self._target = cache / "models" / _digest(planned.identity for planned in self._plan)

    def ready(self) -> Path | None:
        try:
            PreparedModels.open(self._target)
        except NotPrepared:
            return None
        return self._target

    def run(self) -> Path:
        self._remove_unfinished()
        self._require_space()
        prepared = [self._prepare_model(planned) for planned in self._plan]
        with replacing_folder(self._target) as folder:
            for planned in self._plan:
                (folder / planned.folder).symlink_to(Path("../../slots") / planned.target)
            pairs = list(zip(self._plan, prepared, strict=True))
            defaults = [done for planned, done in pairs if planned.default]
            write_manifest(folder, defaults, [done for planned, done in pairs if not planned.default])
        self._store.forget_downloads()
        return self._target

    def _remove_unfinished(self) -> None:
        """What a killed run left; the lock says that nobody works on it."""
        for folder in self._cache.glob(f"*/{UNFINISHED}*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _require_space(self) -> None:
        artifacts = {
            a.sha256: a for planned in self._plan for a in self._catalogue.artifacts_of(planned.model).values()
        }
        missing = self._store.missing_bytes(artifacts.values())
        needed, free = missing + _SPARE_BYTES, free_bytes(self._cache)
        if missing and free < needed:
            raise NotEnoughSpace(self._cache, needed, free)

    def _prepare_model(self, planned: _PlannedModel) -> PreparedSlot:
        model = planned.model
        target = self._cache / "slots" / planned.target
        done = _read_slot(target)
        if done is not None:
            return done
        artifacts = {role: self._fetch(name) for role, name in model.artifacts.items()}
        with replacing_folder(target) as folder:
            if model.conversion is None:
                made = Converted({role: link(path, folder / path.name).name for role, path in artifacts.items()})
            else:
                made = convert(model.conversion, model.slot, artifacts, model.options, folder, self._on_progress)
            slot = PreparedSlot(
                slot=model.slot,
                fingerprint=planned.fingerprint,
                files=describe_files(folder, made.files),
                parameters=made.parameters | _weight_parameter(model),
            )
            (folder / _SLOT_FILE).write_text(slot.model_dump_json(), encoding="utf-8")
        self._on_progress(Progress(f"preparing {planned.folder}", 1, 1, "steps"))
        return slot

    def _fetch(self, name: str) -> Path:
        """An artifact, and if somebody changed it since it was stored, a fresh one."""
        artifact = self._catalogue.artifacts[name]
        path = self._store.fetch(name, artifact, self._on_progress, self._local)
        if sha256_of(path) == artifact.sha256:
            return path
        self._store.discard(artifact)
        return self._store.fetch(name, artifact, self._on_progress, self._local)


def _planned(name: str, catalogue: Catalogue) -> _PlannedModel:
    """Raises UnknownName."""
    models = catalogue.all_models()
    if name not in models:
        raise UnknownName("model", name, models)
    model = models[name]
    short, _, number = name.rpartition("@")
    artifacts = catalogue.artifacts_of(model)
    hashes = [artifact.sha256 for _, artifact in sorted(artifacts.items())]
    told = _told(model)
    parts = hashes + ([json.dumps(told, sort_keys=True)] if told else [])
    weights = parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()
    version = number + (f".{conversion_version(model.conversion)}" if model.conversion else "")
    roles = [f"{role}={artifact.sha256}" for role, artifact in sorted(artifacts.items())]
    key = _digest([model.slot, short, version, model.conversion or "", *roles, *parts[len(hashes) :]])
    folder = name if name in catalogue.models else model.slot
    return _PlannedModel(name, model, f"{name}{version.removeprefix(number)}+{weights[:12]}", key, folder)


def _told(model: Model) -> dict[str, object]:
    """What its entry says that changes what it gives, or what becomes of it."""
    told: dict[str, object] = {"options": model.options, "score_weight": model.score_weight}
    return {key: value for key, value in told.items() if value not in ({}, None)}


def _weight_parameter(model: Model) -> dict[str, str]:
    return {} if model.score_weight is None else {"score_weight": repr(model.score_weight)}


def _digest(parts: Iterator[str] | Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_KEY_DIGITS]


def _read_slot(folder: Path) -> PreparedSlot | None:
    """A slot that an earlier run finished, None if there is none or a file of it is gone."""
    try:
        slot = PreparedSlot.model_validate_json((folder / _SLOT_FILE).read_bytes())
        slot.check(folder)
    except (OSError, ValueError, NotPrepared):
        return None
    return slot
