"""Questions with accepted answers, and the documents that they are asked of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.suites.answers.workload import AnswersPlan
from bench.suites.index.datasets import QUERIES, Article, DataSet, read_data_set, read_data_sets


@dataclass(frozen=True, slots=True)
class AskedSet:
    """A retrieval set with the questions that are drawn from it, by id, and what is accepted as their answers; none
    for a set that only says which documents answer."""

    data: DataSet
    drawn: tuple[str, ...]
    accepted: Mapping[str, tuple[str, ...]]
    articles: tuple[Article, ...]

    @property
    def japanese(self) -> bool:
        return self.data.language == "ja"


def asked_sets(folder: Path, plan: AnswersPlan, seed: int) -> list[AskedSet]:
    """`folder` holds sets, or is one. Raises NoDataSets; ValueError for a set of the plan that is not there."""
    if (folder / QUERIES).exists():
        return [drawn_from(read_data_set(folder), folder, plan, seed)]
    data = {each.name: each for each in read_data_sets(folder)}
    if missing := set(plan.sets) - data.keys():
        raise ValueError(f"there is no set {', '.join(sorted(missing))} in {folder}")
    return [drawn_from(data[name], folder / name, plan, seed) for name in plan.sets or sorted(data)]


def drawn_from(data: DataSet, folder: Path, plan: AnswersPlan, seed: int) -> AskedSet:
    accepted = {}
    with (folder / QUERIES).open(encoding="utf-8") as file:
        for row in map(json.loads, file):
            if row["_id"] in data.queries:
                accepted[row["_id"]] = tuple(row.get("answers", ()))
    names = sorted(data.queries)
    order = np.random.default_rng(seed).permutation(len(names))[: plan.questions]
    drawn = tuple(names[index] for index in order)
    return AskedSet(data, drawn, accepted, _articles(data, drawn, plan.documents))


def _articles(data: DataSet, drawn: Sequence[str], most: int) -> tuple[Article, ...]:
    if not most:
        return data.articles
    needed = {article for query in drawn for article in data.judgements[query]}
    first = sorted(data.articles, key=lambda article: article.article_id not in needed)
    return tuple(first[: max(most, len(needed))])
