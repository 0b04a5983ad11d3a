"""Several indexes of one log in one directory, of which one serves: how a model or parameters are changed at work.

    with Generations.open(path, dimension=384, fingerprint="old@1") as generations:
        generations.serving.index.apply(…)              # live, all the while
        new = generations.begin(dimension=768, fingerprint="new@1")
        new.index.apply(…)                              # the log, from `new.index.position` on, in any thread
        new.index.commit()
        generations.compare(new.name, questions, questions_of_the_new_model)
        generations.activate(new.name)                  # the old one stays: activating it is the way back

Whoever writes gives each live generation every operation, with its own vectors; so each keeps up, and either can serve.
The file `generations` names them and says which one serves; replacing it is the swap. An index that lies in the
directory itself, as before there were generations, is deleted: the log has what it takes to build it again.
"""

from __future__ import annotations

import contextlib
import enum
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from index.comparison import Comparison, compare_on
from index.errors import GenerationRefused, IndexMismatch
from index.hybrid import HybridIndex, lock_directory
from index.layout import SEGMENTS_DIRECTORY
from index.lexical.analyzer import Analyzer
from index.manifest import MANIFEST_FILE
from index.options import IndexOptions
from index.snapshot import Snapshot
from index.storage import read_json, replace_json, sync_directory

REGISTER_FILE = "generations"
_FORMAT = 1
_NAME = "generation-{:04d}"


class GenerationState(enum.Enum):
    BUILDING = "building"
    """It has not come to where the serving one is."""
    READY = "ready"
    SERVING = "serving"
    FAILED = "failed"
    """Whoever fed it gave it up."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """parameters: index options of its own, in the place of the directory's. A dot leads into an option that has fields
    itself."""

    name: str
    dimension: int
    fingerprint: str
    created_unix_s: float
    parameters: Mapping[str, int | float] = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True, slots=True)
class _Register:
    """`serial` is that of the newest name; none is used twice."""

    serving: str
    serial: int
    entries: tuple[_Entry, ...]


@dataclass(frozen=True, slots=True)
class Generation:
    """One index, and the options that it is kept with. `index` is used as HybridIndex says; each generation's may be
    used by another thread."""

    name: str
    fingerprint: str
    dimension: int
    created_unix_s: float
    options: IndexOptions
    index: HybridIndex


class Generations:
    """Methods may be used from any thread: what changes the list, or which one serves, happens one at a time."""

    def __init__(
        self,
        directory: Path,
        register: _Register,
        options: IndexOptions,
        analyzer: Analyzer,
        lock: contextlib.ExitStack,
    ) -> None:
        """Use `open`."""
        self._directory = directory
        self._register = register
        self._options = options
        self._analyzer = analyzer
        self._lock = lock
        self._changing = threading.Lock()
        self._generations: dict[str, Generation] = {}

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        dimension: int,
        fingerprint: str,
        options: IndexOptions | None = None,
        analyzer: Analyzer | None = None,
    ) -> Generations:
        """Opens what the directory holds; if that is nothing, begins it with one generation of this dimension and
        fingerprint. (After a swap the serving one may have others: ask it.)

        Deletes what a crash left of generations that no longer, or not yet, are. Raises what HybridIndex.open raises.
        """
        if not directory.exists():
            directory.mkdir(parents=True, exist_ok=True)
            sync_directory(directory.parent)
        with contextlib.ExitStack() as lock:
            lock_directory(directory, lock)
            register = _read(directory)
            if register is None:
                first = _Entry(_NAME.format(1), dimension, fingerprint, time.time())
                register = _Register(first.name, 1, (first,))
                _remove_strays(directory, register)
                _write(directory, register)
            _remove_strays(directory, register)
            opened = cls(directory, register, options or IndexOptions(), analyzer or Analyzer(), lock)
            for entry in register.entries:
                generation = opened._open(entry)
                lock.callback(generation.index.close)
                opened._generations[entry.name] = generation
            opened._lock = lock.pop_all()
            return opened

    @property
    def serving(self) -> Generation:
        return self._generations[self._register.serving]

    def all(self) -> tuple[Generation, ...]:
        """The oldest first."""
        return tuple(self._generations.values())

    def snapshot(self) -> Snapshot:
        """Of the serving generation. It stays valid when another takes over."""
        return self.serving.index.snapshot()

    def state(self, name: str) -> GenerationState:
        """Raises GenerationRefused if there is none of this name."""
        generation, entry = self._generation(name), self._entry(name)
        if generation is self.serving:
            return GenerationState.SERVING
        if entry.failure:
            return GenerationState.FAILED
        behind = generation.index.position < self.serving.index.position
        return GenerationState.BUILDING if behind else GenerationState.READY

    def failure(self, name: str) -> str:
        """What `fail` was told; empty if nothing."""
        return self._entry(name).failure

    def begin(self, *, dimension: int, fingerprint: str, **parameters: int | float) -> Generation:
        """A new, empty generation. parameters: IndexOptions in which it differs from the others; they are stored. Those
        of an option that has fields itself are named with a dot: `**{"graph.degree": 16}`."""
        with self._changing:
            serial = self._register.serial + 1
            entry = _Entry(_NAME.format(serial), dimension, fingerprint, time.time(), parameters)
            generation = self._open(entry)
            try:
                self._publish(replace(self._register, serial=serial, entries=(*self._register.entries, entry)))
            except BaseException:
                generation.index.close()
                raise
            self._generations = {**self._generations, entry.name: generation}
            return generation

    def fail(self, name: str, reason: str) -> None:
        """Notes, durably, that a generation will not become ready. It can only be deleted then."""
        with self._changing:
            if self.state(name) is GenerationState.SERVING:
                raise GenerationRefused(name, "it serves")
            changed = [replace(each, failure=reason) if each.name == name else each for each in self._register.entries]
            self._publish(replace(self._register, entries=tuple(changed)))

    def compare(
        self,
        name: str,
        questions: npt.NDArray[np.float32],
        other_questions: npt.NDArray[np.float32] | None = None,
        k: int = 10,
    ) -> Comparison:
        """The serving generation with another: see compare_on. For any thread; nothing waits for it."""
        other = self._generation(name)
        return compare_on(self.snapshot(), other.index.snapshot(), questions, k=k, other_questions=other_questions)

    def activate(self, name: str) -> None:
        """Lets another generation serve, from the next `snapshot` on; after a crash either the old one or it serves.

        Called by whoever writes to the two, between writes: commits the new one. Raises GenerationRefused if it is not
        ready; no position that was served once is lost.
        """
        with self._changing:
            state = self.state(name)
            if state is GenerationState.SERVING:
                return
            if state is not GenerationState.READY:
                raise GenerationRefused(name, f"it is {state.value}")
            self._generation(name).index.commit()
            self._publish(replace(self._register, serving=name))

    def delete(self, name: str) -> None:
        """Deletes a generation and its files. Raises GenerationRefused if it serves. Snapshots of it stay usable."""
        with self._changing:
            if self.state(name) is GenerationState.SERVING:
                raise GenerationRefused(name, "it serves")
            left = tuple(each for each in self._register.entries if each.name != name)
            self._publish(replace(self._register, entries=left))
            generation = self._generations[name]
            self._generations = {key: each for key, each in self._generations.items() if key != name}
            generation.index.close()
            shutil.rmtree(self._directory / name)

    def close(self) -> None:
        """See HybridIndex.close. Once more does nothing."""
        for generation in self._generations.values():
            generation.index.close()
        self._lock.close()

    def __enter__(self) -> Generations:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _generation(self, name: str) -> Generation:
        try:
            return self._generations[name]
        except KeyError:
            raise GenerationRefused(name, "there is none of this name") from None

    def _entry(self, name: str) -> _Entry:
        for each in self._register.entries:
            if each.name == name:
                return each
        raise GenerationRefused(name, "there is none of this name")

    def _open(self, entry: _Entry) -> Generation:
        options = _having(self._options, entry.parameters)
        opened = HybridIndex.open(
            self._directory / entry.name,
            dimension=entry.dimension,
            fingerprint=entry.fingerprint,
            options=options,
            analyzer=self._analyzer,
        )
        sync_directory(self._directory)  # what is committed in a new directory needs its name
        return Generation(
            name=entry.name,
            fingerprint=entry.fingerprint,
            dimension=entry.dimension,
            created_unix_s=entry.created_unix_s,
            options=options,
            index=opened,
        )

    def _publish(self, register: _Register) -> None:
        _write(self._directory, register)
        self._register = register


def _having(options: Any, parameters: Mapping[str, int | float]) -> Any:
    """A copy of the dataclass with other values. Raises TypeError or AttributeError for a name that it has not."""
    for path, value in parameters.items():
        name, _, within = path.partition(".")
        changed = _having(getattr(options, name), {within: value}) if within else value
        options = replace(options, **{name: changed})
    return options


def _write(directory: Path, register: _Register) -> None:
    replace_json(directory / REGISTER_FILE, {"format": _FORMAT, **asdict(register)})


def _read(directory: Path) -> _Register | None:
    """None if there is none. Raises IndexCorrupt; IndexMismatch for another format."""
    fields = read_json(directory / REGISTER_FILE)
    if fields is None:
        return None
    stored_format = fields.pop("format")
    if stored_format != _FORMAT:
        raise IndexMismatch("format of generations", stored_format, _FORMAT)
    return _Register(**{**fields, "entries": tuple(_Entry(**each) for each in fields["entries"])})


def _remove_strays(directory: Path, register: _Register) -> None:
    """Unfinished and deleted generations, and an index without generations."""
    kept = {each.name for each in register.entries}
    for path in (*directory.glob("generation-*"), directory / SEGMENTS_DIRECTORY):
        if path.is_dir() and path.name not in kept:
            shutil.rmtree(path)
    for path in (*directory.glob("journal-*"), directory / MANIFEST_FILE, directory / f"{REGISTER_FILE}.new"):
        path.unlink(missing_ok=True)
