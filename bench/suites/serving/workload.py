"""What the suite does, as typed tables of its TOML file, and the questions that it asks."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Self

from pydantic import Field, TypeAdapter, model_validator

from bench.suites.base import Strict, Workload

# Random arrivals take longer than their mean at times.
_SPARE = 1.2


class IngestionPlan(Strict):
    deadline_s: float


class LoadPlan(Strict):
    rates_per_s: tuple[float, ...]
    calls: int = Field(gt=0)
    limit_s: float
    max_in_flight: int = Field(gt=0)

    @model_validator(mode="after")
    def _calls_fit(self) -> Self:
        """Calls that the limit leaves no time to send would count as failures of the server."""
        for rate in self.rates_per_s:
            if rate <= 0 or self.calls / rate * _SPARE > self.limit_s:
                raise ValueError(f"{self.calls} calls at {rate:g}/s do not fit into {self.limit_s:g} s")
        return self


class SearchPlan(Strict):
    limit: int
    deadline_s: float
    warm_up: int
    calls: int = Field(gt=0)
    limit_s: float
    found_within: int
    load: LoadPlan


class EmbedPlan(Strict):
    deadline_s: float
    warm_up: int
    rounds: int
    limit_s: float


class AnswerPlan(Strict):
    deadline_s: float
    warm_up: int
    passes: int
    limit_s: float


class RepeatPlan(Strict):
    questions: int = Field(gt=0)
    deadline_s: float
    warm_up: int
    calls: int = Field(gt=0)
    load: LoadPlan


class SourcesPlan(Strict):
    """`documents` of `sections` passages each; none: nothing is measured. The caller leaves when the sources are
    there."""

    documents: int
    sections: int = Field(gt=0)
    ingestion_limit_s: float
    deadline_s: float
    warm_up: int
    calls: int = Field(gt=0)
    limit_s: float


class CrowdPlan(Strict):
    """`callers` at once. Every `slow_every`-th pauses for `pause_s` after each event; every `leaving_every`-th leaves
    after the first one."""

    callers: int = Field(gt=0)
    callers_per_connection: int = Field(gt=0, le=128)
    deadline_s: float
    slow_every: int = Field(gt=0)
    pause_s: float
    leaving_every: int = Field(gt=0)


class ServingWorkload(Workload):
    """Paths are relative to the project."""

    corpus: str
    questions: str
    ingestion: IngestionPlan
    search: SearchPlan
    embed: EmbedPlan
    answer: AnswerPlan
    repeat: RepeatPlan
    crowd: CrowdPlan
    sources: SourcesPlan


class Question(Strict):
    """Any of `answer_contains` in the answer counts. A question without an answer in the corpus has no document."""

    question: str
    language: str
    answer_contains: tuple[str, ...]
    document: str = ""
    page: int = 0
    unanswerable: bool = False

    def numbered(self, number: int) -> str:
        """The question in words that have not been asked before, so that no cache answers."""
        return f"{self.question} ({number})"

    def answered_by(self, text: str) -> bool:
        folded = _folded(text)
        return any(_folded(accepted) in folded for accepted in self.answer_contains)

    def on_page(self, document: str, pages: set[int]) -> bool:
        return document == self.document and self.page in pages


def read_questions(path: Path) -> tuple[Question, ...]:
    """Raises OSError, ValueError; also when there are none, or the same one twice."""
    questions = TypeAdapter(tuple[Question, ...]).validate_python(json.loads(path.read_text()))
    if not questions or len({question.question for question in questions}) != len(questions):
        raise ValueError(f"{path}: the questions must be some, and different")
    return questions


def corpus_documents(folder: Path, questions: tuple[Question, ...]) -> tuple[Path, ...]:
    """The documents that the questions ask about. Raises FileNotFoundError for one that is missing."""
    names = sorted({question.document for question in questions if question.document})
    for name in names:
        if not (folder / name).is_file():
            raise FileNotFoundError(folder / name)
    return tuple(folder / name for name in names)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
