"""Building a second index from the log, comparing, swapping and rolling back, with live reads and writes."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index import (
    Analyzer,
    Filter,
    GenerationRefused,
    Generations,
    GenerationState,
    HybridIndex,
    IndexCorrupt,
    IndexLocked,
    IndexMismatch,
    IndexOptions,
    Operation,
    Reader,
    Remove,
    SearchRequest,
    Upsert,
)
from tests.index.model import DIMENSION, FINGERPRINT, Model, check_search, chunk, query_vector
from tests.index.test_durability import Crash, crash_at

EVERYONE = Filter(Reader("t1", "alice"))
SMALL = IndexOptions(seal_rows=15, merge_width=2)


def open_generations(path: Path, analyzer: Analyzer, options: IndexOptions | None = None) -> Generations:
    return Generations.open(
        path, dimension=DIMENSION, fingerprint=FINGERPRINT, options=options or SMALL, analyzer=analyzer
    )


def log(first: int, last: int) -> list[Operation]:
    return [
        Remove(position, f"chunk-{position - 3}") if position % 5 == 0 else chunk(position, f"chunk-{position}")
        for position in range(first, last + 1)
    ]


def widened(operations: list[Operation]) -> list[Operation]:
    """As another model embeds them: each dimension twice."""
    return [
        each
        if isinstance(each, Remove)
        else Upsert(
            each.position,
            each.chunk_id,
            np.repeat(each.vector, 2) / np.float32(np.sqrt(2)),
            each.text,
            each.heading,
            each.attributes,
        )
        for each in operations
    ]


def test_a_new_model_is_built_compared_swapped_and_rolled_back(tmp_path: Path, analyzer: Analyzer) -> None:
    with open_generations(tmp_path, analyzer) as generations:
        old = generations.serving
        old.index.apply(log(1, 40))
        new = generations.begin(dimension=2 * DIMENSION, fingerprint="new-model@1", seal_rows=11)
        assert generations.state(new.name) is GenerationState.BUILDING
        new.index.apply(widened(log(1, 39)))
        with pytest.raises(GenerationRefused, match="building"):
            generations.activate(new.name)
        new.index.apply(widened(log(40, 40)))
        assert generations.state(new.name) is GenerationState.READY
        questions = np.stack([query_vector(seed) for seed in range(20)])
        found = generations.compare(new.name, questions, np.repeat(questions, 2, axis=1) / np.float32(np.sqrt(2)), 5)
        assert (found.recall, found.other_recall, found.overlap, found.samples) == (1, 1, 1, 20)
        before = generations.snapshot()
        generations.activate(new.name)
        assert generations.serving is new and generations.state(old.name) is GenerationState.READY
        assert before.search(SearchRequest(EVERYONE, 3, vector=query_vector(0))).hits
        assert generations.snapshot().search(SearchRequest(EVERYONE, 3, vector=np.repeat(query_vector(0), 2))).hits

    with open_generations(tmp_path, analyzer) as generations:
        assert (generations.serving.name, generations.serving.fingerprint) == (new.name, "new-model@1")
        assert generations.serving.index.position == 40
        assert [each.options.seal_rows for each in generations.all()] == [15, 11]
        (old_again,) = (each for each in generations.all() if each.name == old.name)
        old_again.index.apply(log(1, 40))  # it was never committed
        generations.activate(old.name)
        generations.delete(new.name)
        assert not (tmp_path / new.name).exists()
        assert [each.name for each in generations.all()] == [old.name]
        assert generations.begin(dimension=3, fingerprint="x").name == "generation-0003"


def test_what_serves_is_not_deleted_and_what_failed_does_not_serve(tmp_path: Path, analyzer: Analyzer) -> None:
    with open_generations(tmp_path, analyzer) as generations:
        serving = generations.serving.name
        with pytest.raises(GenerationRefused, match="serves"):
            generations.delete(serving)
        with pytest.raises(GenerationRefused, match="serves"):
            generations.fail(serving, "x")
        with pytest.raises(GenerationRefused, match="none of this name"):
            generations.activate("generation-0009")
        other = generations.begin(dimension=DIMENSION, fingerprint=FINGERPRINT)
        generations.fail(other.name, "no model")
        with pytest.raises(IndexLocked):
            open_generations(tmp_path, analyzer)
    with open_generations(tmp_path, analyzer) as generations:
        assert generations.state(other.name) is GenerationState.FAILED
        assert generations.failure(other.name) == "no model"
        with pytest.raises(GenerationRefused, match="failed"):
            generations.activate(other.name)
        generations.delete(other.name)


def test_an_index_without_generations_is_built_again(tmp_path: Path, analyzer: Analyzer) -> None:
    with HybridIndex.open(tmp_path, dimension=DIMENSION, fingerprint=FINGERPRINT, analyzer=analyzer) as index:
        index.apply(log(1, 5))
        index.compact()
    (tmp_path / "of-somebody-else").write_text("stays")
    with open_generations(tmp_path, analyzer) as generations:
        assert generations.serving.index.position == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "generation-0001",
        "generations",
        "lock",
        "of-somebody-else",
    ]


@pytest.mark.parametrize("damage", ["flipped", "truncated", "newer"])
def test_a_damaged_register_is_named(damage: str, tmp_path: Path, analyzer: Analyzer) -> None:
    open_generations(tmp_path, analyzer).close()
    path = tmp_path / "generations"
    content = bytearray(path.read_bytes())
    if damage == "newer":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("index.generations._FORMAT", 2)
            shutil.rmtree(tmp_path)
            open_generations(tmp_path, analyzer).close()
        with pytest.raises(IndexMismatch, match="format"):
            open_generations(tmp_path, analyzer)
        return
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes(content[: -1 if damage == "truncated" else None])
    with pytest.raises(IndexCorrupt) as caught:
        open_generations(tmp_path, analyzer)
    assert caught.value.path == path


CHANGES: dict[str, Callable[[Generations], object]] = {
    "begin": lambda generations: generations.begin(dimension=4, fingerprint="third"),
    "activate": lambda generations: generations.activate("generation-0002"),
    "delete": lambda generations: generations.delete("generation-0002"),
    "fail": lambda generations: generations.fail("generation-0002", "no model"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_crash_at_any_step_leaves_the_old_list_or_the_new(change: str, tmp_path: Path, analyzer: Analyzer) -> None:
    with open_generations(tmp_path / "before", analyzer) as generations:
        second = generations.begin(dimension=DIMENSION, fingerprint=FINGERPRINT)
        for generation in (generations.serving, second):
            generation.index.apply(log(1, 9))
            generation.index.commit()

    def told(generations: Generations) -> tuple[object, ...]:
        return generations.serving.name, tuple((each.name, generations.state(each.name)) for each in generations.all())

    outcomes = set()
    for step in range(1, 50):
        path = tmp_path / f"crash-{step}"
        shutil.copytree(tmp_path / "before", path)
        with open_generations(path, analyzer) as generations, pytest.MonkeyPatch.context() as patch:
            old = told(generations)
            tried = crash_at(patch, step)
            with contextlib.suppress(Crash):
                CHANGES[change](generations)
            crashed = tried() >= step
            patch.undo()
        with open_generations(path, analyzer) as restarted:
            outcomes.add(told(restarted))
            assert restarted.serving.index.position == 9
            listed = {each.name for each in restarted.all()}
            assert {each.name for each in path.glob("generation-*")} == listed
        if not crashed:
            break
    assert not crashed and old in outcomes and len(outcomes) == 2


def test_reads_and_writes_go_on_while_generations_change(tmp_path: Path, analyzer: Analyzer) -> None:
    """Every acknowledged change is found in whichever generation serves, and no reader sees a position go back."""
    generations = open_generations(tmp_path, analyzer)
    writing = threading.Lock()  # between writes: the owner's place to swap
    done, acknowledged, switches, last = threading.Event(), [0], list[str](), 90

    def ended(work: Future[None]) -> None:
        if work.exception():
            done.set()

    def write() -> None:
        position = 0
        while position < last and not done.is_set():
            if position >= last * (len(switches) + 1) // 5:  # some changes before, between and after the switches
                done.wait(0.001)
                continue
            with writing:
                operations = log(position + 1, position + 3)
                for generation in generations.all():
                    if generation.index.position == position:  # the others are fed by their builder
                        generation.index.apply(operations)
                        generation.index.maintain()
                position += 3
                acknowledged[0] = position
        done.set()

    def read() -> None:
        seen = 0
        while not done.is_set():
            at_least = acknowledged[0]
            snapshot = generations.snapshot()
            assert snapshot.position >= max(seen, at_least)
            seen = snapshot.position
            model = Model(analyzer)
            model.apply(log(1, seen))
            found = snapshot.search(SearchRequest(EVERYONE, 500, vector=query_vector(seen)))
            assert {hit.chunk_id for hit in found.hits} == set(model.chunks)

    def change() -> None:
        for _ in range(2):
            new = generations.begin(dimension=DIMENSION, fingerprint=FINGERPRINT)
            while not done.is_set():  # in steps, from the log, until it is where the writer takes over
                with writing:
                    upto = min(acknowledged[0], new.index.position + 30)
                    new.index.apply(log(new.index.position + 1, upto))
                    if generations.state(new.name) is GenerationState.READY:
                        old = generations.serving.name
                        generations.activate(new.name)
                        switches.append(new.name)
                        break
            with writing:
                generations.activate(old)  # back, and forth again
                switches.append(old)
                generations.activate(new.name)
                generations.delete(old)
        while not done.wait(0.01):
            pass

    with ThreadPoolExecutor(4) as threads:
        works = [threads.submit(work) for work in (write, read, read, change)]
        for each in works:
            each.add_done_callback(ended)
    for each in works:
        each.result()
    assert len(switches) == 4 and generations.serving.name == "generation-0003"
    model = Model(analyzer)
    model.apply(log(1, last))
    check_search(generations.snapshot(), model, EVERYONE, "text", 1, 5)
    generations.close()
    with open_generations(tmp_path, analyzer) as again:
        check_search(again.snapshot(), model, EVERYONE, "text", 1, 5)


def test_who_asks_while_a_generation_is_being_deleted_is_told_so(
    tmp_path: Path, analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, told = Generations._publish, list[str]()

    def asked_after(self: Generations, *register: Any) -> None:
        publish(self, *register)
        for question in (self.state, self.failure):
            with pytest.raises(GenerationRefused) as caught:
                question("generation-0002")
            told.append(caught.value.problem)

    with open_generations(tmp_path, analyzer) as generations:
        name = generations.begin(dimension=DIMENSION, fingerprint=FINGERPRINT).name
        monkeypatch.setattr(Generations, "_publish", asked_after)
        generations.delete(name)
    assert told == ["there is none of this name"] * 2


def test_the_names_of_new_directories_are_durable(
    tmp_path: Path, analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, durable = os.fsync, dict[str, set[str]]()

    def noted(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_dir():
            durable[path.name] = {each.name for each in path.iterdir()}
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    with open_generations(tmp_path / "index", analyzer):
        assert "index" in durable[tmp_path.name]
        assert "generation-0001" in durable["index"]
