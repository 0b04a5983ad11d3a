"""What the suite `index` prepares: collections, filters, rights, retrieval sets; and its processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.suites.index import hybrid
from bench.suites.index.access import Directory, asks, entries
from bench.suites.index.collection import Collection, Question, exact_neighbours, synthetic_collection
from bench.suites.index.datasets import NoDataSets, read_data_sets
from bench.suites.index.entries import EVERYONE
from bench.suites.index.loaded import pinakes
from bench.suites.index.masks import filter_sets
from bench.suites.index.passages import cut
from bench.suites.index.processes import OWN_PYTHON, TooSlow, Worker, WorkerFailed
from bench.suites.index.truth import Truth
from bench.suites.index.workload import CollectionPlan, FilterPart, FiltersPlan, HybridPlan

ROWS = 400
PLAN = CollectionPlan(passages=1, questions_per_set=1, synthetic_passages=ROWS, synthetic_queries=8)
ACCESS = HybridPlan(
    stores=(),
    rows=(1,),
    load_budget_s=1,
    search_budget_s=1,
    callers=1,
    rounds=1,
    calls_per_caller=1,
    warm_up_per_caller=0,
    limit=10,
    tenants=4,
    groups=6,
)


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return synthetic_collection(PLAN, 1, tmp_path)


@pytest.mark.parametrize(
    ("loaded_before", "size"), [((), 40), ((400,), 400), ((40,), 40)], ids=["none", "the greatest", "a middle one"]
)
def test_a_store_is_measured_at_the_greatest_size_that_it_can_load(
    loaded_before: tuple[int, ...], size: int, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes a second for each entry, and one size is tried after the other."""
    monkeypatch.setattr(hybrid, "loaded", lambda kind, data, some, what, limit_s: (Path(), float(len(some))))
    monkeypatch.setattr(hybrid, "is_loaded", lambda kind, data, rows, what: rows in loaded_before)
    everything = entries(collection, ROWS, ACCESS, 1)
    assert hybrid._greatest(pinakes(), collection, everything, [4, 40, 400], 50) == (size, "")


def test_exact_neighbours_are_those_of_a_full_sort(collection: Collection) -> None:
    scores = collection.queries @ collection.vectors.T
    assert (exact_neighbours(collection.vectors, collection.queries, 10) == np.argsort(-scores, axis=1)[:, :10]).all()
    again = collection.neighbours(ROWS, np.arange(8), 10)
    assert (again == collection.neighbours(ROWS, np.arange(8), 10)).all()


def test_any_of_equal_vectors_is_right_once() -> None:
    vectors = np.eye(4, 3, dtype=np.float32)[[0, 0, 1, 2]]
    truth = Truth(vectors, vectors[:1], np.array([[0]]))
    assert truth.hits(np.array([[1]])) == 1
    assert truth.hits(np.array([[2]])) == 0
    assert truth.hits(np.array([[-1]])) == 0
    assert truth.hits(np.array([[1]]), np.array([[0b0001]], np.uint64)) == 0
    two = Truth(vectors, vectors[:1], np.array([[0, 1]]))
    assert two.hits(np.array([[1, 1]])) == 1
    assert two.hits(np.array([[1, 0]])) == two.wanted == 2
    few = Truth(vectors, vectors[:1], np.array([[3, -1]]))
    assert few.hits(np.array([[3, -1]])) == few.wanted == 1


def test_filters_go_with_and_against_the_query(collection: Collection) -> None:
    both = (FilterPart(kind="random", share=0.5), FilterPart(kind="near", share=0.5))
    plan = FiltersPlan(
        kinds=("random", "near", "far"),
        shares=(0.1,),
        conjunctions=(both,),
        masks=8,
        rounds=1,
        efforts=(10,),
        recall=0.9,
        peer_recall=0.9,
        slow_queries=1,
        slow_efforts=(10,),
    )
    asked = np.arange(8)
    sets = {each.name: each for each in filter_sets(collection, asked, plan, 10, seed=1)}
    assert list(sets) == ["random 10 %", "near 10 %", "far 10 %", "random 50 % and near 50 %"]
    mean = {}
    for name, filters in sets.items():
        words = np.load(filters.masks)
        allowed = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, :ROWS].astype(np.bool_)
        assert filters.allowed == np.median(allowed.sum(axis=1))
        scores = np.where(allowed, collection.queries[asked] @ collection.vectors.T, -np.inf)
        assert (filters.truth.rows == np.argsort(-scores, axis=1)[:, :10]).all()
        assert filters.hits(filters.truth.rows) == filters.truth.wanted == 80
        nearest = np.argsort(-(collection.queries[asked] @ collection.vectors.T), axis=1)[:, :10]
        assert filters.hits(nearest) == np.take_along_axis(allowed, nearest, axis=1).sum()
        mean[name] = float(np.mean(scores[allowed]))
    assert sets["random 10 %"].allowed == ROWS // 10
    assert mean["far 10 %"] < mean["random 10 %"] < mean["near 10 %"]


def test_whoever_asks_may_see_what_is_judged(collection: Collection) -> None:
    documents = sorted({passage.document_id for passage in collection.passages})
    those = {entry.document_id: entry for entry in entries(collection, ROWS, ACCESS, seed=1)}
    assert {entry.tenant for entry in those.values()} == {f"tenant{number}" for number in range(4)}
    directory = Directory(collection.passages, ACCESS, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    for number in range(50):
        gains = dict.fromkeys(rng.choice(documents, 5, replace=False).tolist(), 1.0)
        ask = directory.ask(number, Question("?", "synthetic", gains, frozenset()), frozenset(documents), rng)
        assert ask.gains
        for document in gains:
            entry = those[document]
            sees = entry.tenant == ask.tenant and not {EVERYONE, *ask.groups}.isdisjoint(entry.readers)
            assert (document in ask.gains) == sees
    assert [ask.number for ask in asks(collection, ROWS, 12, ACCESS, seed=1)][8:] == [
        ask.number for ask in asks(collection, ROWS, 4, ACCESS, seed=1)
    ]


def test_retrieval_sets_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "en_some"
    (folder / "dev").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "d1", "title": "T", "text": "' + "word " * 100 + '"}\n')
    (folder / "dev" / "queries.jsonl").write_text('{"_id": "q1", "text": "?"}\n{"_id": "q2", "text": "!"}\n')
    (folder / "dev" / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\nq2\td1\t0\n")
    (folder / "dev" / "ignore.tsv").write_text("query-id\tcorpus-id\nq1\td9\n")
    (found,) = read_data_sets(tmp_path)
    assert (found.name, found.language) == ("en_some", "en")
    assert found.judgements == {"q1": {"d1": 2.0}}
    assert found.queries == {"q1": "?"}
    assert found.ignored == {"q1": {"d9"}}
    few, more = cut([found], 2), cut([found], 5)
    assert more[:2] == few
    assert len({passage.passage_id for passage in more}) == 5
    with pytest.raises(NoDataSets):
        read_data_sets(folder)


class Held:
    """Lives in a worker."""

    count = 0


def add(held: Held, number: int) -> int:
    held.count += number
    return held.count


def divide_by_nothing(held: Held) -> float:
    return held.count / 0


def wait(held: Held) -> None:
    import time

    time.sleep(60)


def test_a_worker_holds_its_object_and_tells_what_went_wrong() -> None:
    with Worker(OWN_PYTHON, Held) as worker:
        worker.call(add, 1)
        assert worker.call(add, 2) == 3
        with pytest.raises(WorkerFailed, match="ZeroDivisionError"):
            worker.call(divide_by_nothing)
        with pytest.raises(TooSlow):
            worker.call_within(0.1, wait)
