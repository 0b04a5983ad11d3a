"""What is searched: vectors, texts and questions, real ones or synthetic ones, with their exact neighbours."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track

from bench.suites.index.datasets import DataSet, read_data_sets
from bench.suites.index.embeddings import embeddings
from bench.suites.index.passages import PassageText, cut
from bench.suites.index.truth import Truth
from bench.suites.index.workload import CollectionPlan

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_SYNTHETIC_DIMENSION = 384
_CLUSTER_ROWS = 200
_VOCABULARY = 20_000
_TEXT_WORDS = 35
_BLOCK_ROWS = 65_536
_BLOCK_QUERIES = 256


@dataclass(frozen=True, slots=True)
class Question:
    """gains: document id to gain, above 0. ignored: documents that are dropped from a ranking before it is judged."""

    text: str
    data_set: str
    gains: Mapping[str, float]
    ignored: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """vectors: float32[n, d] of the passages; queries: float32[q, d] of the questions; all of length 1, memory-mapped.
    `name` tells collections apart in the cache."""

    name: str
    folder: Path
    real: bool
    passages: Sequence[PassageText]
    questions: Sequence[Question]

    @property
    def vectors_path(self) -> Path:
        return self.folder / "vectors.npy"

    @property
    def queries_path(self) -> Path:
        return self.folder / "queries.npy"

    @property
    def vectors(self) -> Floats:
        return _mapped(self.vectors_path)

    @property
    def queries(self) -> Floats:
        return _mapped(self.queries_path)

    def truth(self, rows: int, queries: Integers, k: int) -> Truth:
        """The exact nearest of the first `rows` vectors to these queries."""
        return Truth(self.vectors[:rows], self.queries[queries], self.neighbours(rows, queries, k))

    def neighbours(self, rows: int, queries: Integers, k: int) -> Integers:
        """int64[len(queries), k]: the exact nearest of the first `rows` vectors, by float32 inner product; cached."""
        key = hashlib.sha256(queries.tobytes()).hexdigest()[:16]
        return cached_array(
            self.folder / f"neighbours-{rows}-{k}-{key}.npy",
            lambda: exact_neighbours(self.vectors[:rows], self.queries[queries], k),
        )


def real_collection(sets: Path, plan: CollectionPlan, cache: Path) -> Collection:
    """Embeds what is not embedded yet. Raises NoDataSets, and ValueError if the sets have too few texts."""
    data_sets = read_data_sets(sets)
    passages = cut(data_sets, plan.passages)
    texts = [passage.text for passage in passages]
    # In a small collection not every set has passages; questions of the others would have no sensible neighbours.
    data_sets = tuple(each for each in data_sets if any(passage.data_set == each.name for passage in passages))
    questions = [question for data_set in data_sets for question in _questions(data_set, plan.questions_per_set)]
    folder = cache / "collections" / _digest(texts + [question.text for question in questions])
    if not (folder / "queries.npy").exists():
        with _new_folder(folder) as partial:
            np.save(partial / "vectors.npy", embeddings(texts, "passage"))
            # One set after another: what was embedded stays when more questions of a set are asked for.
            asked = [[each.text for each in questions if each.data_set == one.name] for one in data_sets]
            np.save(partial / "queries.npy", np.concatenate([embeddings(each, "query") for each in asked]))
    return Collection(folder.name, folder, True, passages, questions)


def synthetic_collection(plan: CollectionPlan, seed: int, cache: Path) -> Collection:
    """Clusters on the sphere with random words as texts: runs anywhere, and says little about real data."""
    count, asked = plan.synthetic_passages, plan.synthetic_queries
    folder = cache / "collections" / f"synthetic-{count}-{asked}-{seed}"
    rng = np.random.default_rng(seed)
    words = rng.zipf(1.3, (count + asked, _TEXT_WORDS)) % _VOCABULARY
    texts = [" ".join(f"word{number}" for number in line) for line in words.tolist()]
    if not (folder / "queries.npy").exists():
        centres = rng.standard_normal((max(1, count // _CLUSTER_ROWS), _SYNTHETIC_DIMENSION), np.float32)
        points = centres[rng.integers(0, len(centres), count + asked)]
        points += rng.standard_normal(points.shape, np.float32)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        with _new_folder(folder) as partial:
            np.save(partial / "vectors.npy", points[:count])
            np.save(partial / "queries.npy", points[count:])
    passages = [PassageText("synthetic", "en", row // 4, row % 4, 0, texts[row]) for row in range(count)]
    questions = [Question(text, "synthetic", {}, frozenset()) for text in texts[count:]]
    return Collection(folder.name, folder, False, passages, questions)


def exact_neighbours(vectors: Floats, queries: Floats, k: int) -> Integers:
    """int64[q, k], best first. Cost: a matrix product of everything."""
    found = []
    for start in track(range(0, len(queries), _BLOCK_QUERIES), description="exact neighbours", transient=True):
        block = queries[start : start + _BLOCK_QUERIES]
        best = np.zeros((len(block), 0), np.float32)
        rows = np.zeros((len(block), 0), np.int64)
        for first in range(0, len(vectors), _BLOCK_ROWS):
            scores = block @ vectors[first : first + _BLOCK_ROWS].T
            numbers = np.broadcast_to(np.arange(first, first + scores.shape[1]), scores.shape)
            best, rows = _greatest(np.hstack([best, scores]), np.hstack([rows, numbers]), k)
        found.append(rows)
    return np.concatenate([np.zeros((0, k), np.int64), *found])


def _greatest(scores: Floats, rows: Integers, k: int) -> tuple[Floats, Integers]:
    if scores.shape[1] > k:
        chosen = np.argpartition(-scores, k, axis=1)[:, :k]
        scores, rows = np.take_along_axis(scores, chosen, 1), np.take_along_axis(rows, chosen, 1)
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)


def cached_array(path: Path, make: Callable[[], Integers]) -> Integers:
    """The array in the file; made and written, whole or not at all, if there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        with partial.open("wb") as file:
            np.save(file, make())
        partial.replace(path)
    array: Integers = np.load(path, mmap_mode="r")
    return array


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder that gets its name when the block is done, and vanishes if it fails."""
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


def _questions(data_set: DataSet, count: int) -> Iterator[Question]:
    numbers = {article.article_id: article.number for article in data_set.articles}
    for query_id in list(data_set.queries)[:count]:
        gains = {
            f"{data_set.name}/{numbers[article_id]}": gain
            for article_id, gain in data_set.judgements[query_id].items()
            if article_id in numbers
        }
        ignored = data_set.ignored.get(query_id, frozenset())
        yield Question(
            data_set.queries[query_id],
            data_set.name,
            gains,
            frozenset(f"{data_set.name}/{numbers[each]}" for each in ignored if each in numbers),
        )


def _mapped(path: Path) -> Floats:
    array: Floats = np.load(path, mmap_mode="r")
    return array


def _digest(texts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode()
        digest.update(b"%d:" % len(encoded) + encoded)
    return digest.hexdigest()[:16]
