"""The retrieval sets that `--sets` names: documents, questions, and which documents answer them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

CORPUS, QUERIES, JUDGEMENTS, IGNORED = "corpus.jsonl", "dev/queries.jsonl", "dev/qrels.tsv", "dev/ignore.tsv"


class NoDataSets(Exception):
    """The folder holds no retrieval set."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} holds no */{CORPUS} with {QUERIES}: name the folder of retrieval sets with --sets")


@dataclass(frozen=True, slots=True)
class Article:
    """A document of a retrieval set; `number` counts those of its set from 0."""

    number: int
    article_id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class DataSet:
    """judgements: query id to article id to gain (above 0). ignored: query id to the articles that are dropped from its
    ranking before it is judged."""

    name: str
    language: str
    articles: tuple[Article, ...]
    queries: Mapping[str, str]
    judgements: Mapping[str, Mapping[str, float]]
    ignored: Mapping[str, frozenset[str]]


def read_data_sets(folder: Path) -> tuple[DataSet, ...]:
    """All sets in the folder, by name. Raises NoDataSets."""
    found = [path.parent for path in sorted(folder.glob(f"*/{CORPUS}")) if (path.parent / QUERIES).exists()]
    if not found:
        raise NoDataSets(folder)
    return tuple(read_data_set(each) for each in found)


def read_data_set(folder: Path) -> DataSet:
    """The set whose folder this is. Raises OSError, ValueError, KeyError for one that is not whole."""
    rows = list(_lines(folder / CORPUS))
    gains: dict[str, dict[str, float]] = {}
    for query_id, article_id, gain in _cells(folder / JUDGEMENTS):
        if float(gain) > 0:
            gains.setdefault(query_id, {})[article_id] = float(gain)
    ignored: dict[str, set[str]] = {}
    for query_id, article_id in _cells(folder / IGNORED) if (folder / IGNORED).exists() else ():
        ignored.setdefault(query_id, set()).add(article_id)
    return DataSet(
        name=folder.name,
        language=folder.name.partition("_")[0],
        articles=tuple(Article(i, row["_id"], row.get("title", ""), row["text"]) for i, row in enumerate(rows)),
        queries={row["_id"]: row["text"] for row in _lines(folder / QUERIES) if row["_id"] in gains},
        judgements=gains,
        ignored={query_id: frozenset(article_ids) for query_id, article_ids in ignored.items()},
    )


def _cells(path: Path) -> list[list[str]]:
    """Of a table with a header, tab-separated."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t"))[1:]


def _lines(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
