"""What the suite does, as typed tables of its TOML file."""

from __future__ import annotations

from pydantic import Field

from bench.suites.base import Strict, Workload


class AnswersPlan(Strict):
    """Of each set in `sets` (all that have answers, if empty), `questions` are drawn; `unanswerable` of them are asked
    once more without the documents that answer them. `documents` of a set are ingested at the most, those that answer
    drawn questions first; 0: all."""

    sets: tuple[str, ...]
    questions: int = Field(gt=0)
    unanswerable: int = Field(ge=0)
    documents: int = Field(ge=0)
    limit: int = Field(gt=0, le=100)
    parallel_uploads: int = Field(gt=0)
    deadline_s: float
    limit_s: float


class AnswersWorkload(Workload):
    answers: AnswersPlan
