"""Asks the corpus's questions and judges the answers: right, cited, refused where the documents do not say."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Unpack

import numpy as np
from pydantic import JsonValue, TypeAdapter

from bench.loadgen import OperationFailed, single_caller
from bench.record import Series
from bench.suites.serving.workload import AnswerPlan, Question
from pinakes import Answer, AnswerOptions, AnswerSoFar, AnswerStatus, AsyncClient, Delta, PinakesError, Sources

SERIES = "answer"
FIRST_SOURCE = "first source at the caller"
FIRST_TEXT = "first text at the caller"
REFUSED = AnswerStatus.NOT_IN_DOCUMENTS.value


@dataclass(frozen=True, slots=True)
class Judgement:
    """One answer, judged. `status` is how it ended, or the reason why the call failed. `cited` says whether a citation
    points to the right page. The tokens are 0 when no generator ran."""

    question: str
    unanswerable: bool
    status: str
    right: bool
    cited: bool
    unsupported_sentences: int
    prompt_tokens: int
    completion_tokens: int
    degradations: tuple[str, ...]
    generator: str


_JUDGEMENTS = TypeAdapter(tuple[Judgement, ...])


def judgements_of(facts: JsonValue) -> tuple[Judgement, ...]:
    """Back from a record's facts."""
    return _JUDGEMENTS.validate_python(facts)


def as_facts(judgements: Sequence[Judgement]) -> list[JsonValue]:
    return [{**asdict(judgement), "degradations": list(judgement.degradations)} for judgement in judgements]


def judge(question: Question, answer: Answer) -> Judgement:
    refused = answer.status is AnswerStatus.NOT_IN_DOCUMENTS
    cited = any(
        question.on_page(citation.document_name, {region.page for region in citation.regions})
        for citation in answer.citations
    )
    usage = answer.completion.usage
    return Judgement(
        question=question.question,
        unanswerable=question.unanswerable,
        status=answer.status.value,
        right=refused if question.unanswerable else not refused and question.answered_by(answer.text),
        cited=cited,
        unsupported_sentences=len(answer.completion.unsupported),
        prompt_tokens=usage.prompt_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
        degradations=tuple(degradation.value for degradation in answer.completion.degradations),
        generator=answer.completion.generator,
    )


@dataclass
class Answers:
    """The operation: call n asks the n-th question of `order`. The n-th judgement belongs to the n-th call."""

    client: AsyncClient
    order: Sequence[Question]
    plan: AnswerPlan
    token: str
    judgements: list[Judgement] = field(default_factory=list)

    async def __call__(self, number: int) -> Mapping[str, float]:
        question = self.order[number]
        try:
            stages_s, answer = await timed_answer(
                self.client,
                question.question,
                seed=number,
                consistency_token=self.token,
                timeout_s=self.plan.deadline_s,
                no_cache=True,
            )
        except PinakesError as exc:
            reason = exc.reason or type(exc).__name__
            self.judgements.append(
                Judgement(question.question, question.unanswerable, reason, False, False, 0, 0, 0, (), "")
            )
            raise OperationFailed(reason) from exc
        self.judgements.append(judge(question, answer))
        return stages_s


async def timed_answer(
    client: AsyncClient, question: str, *, timeout_s: float, **options: Unpack[AnswerOptions]
) -> tuple[dict[str, float], Answer]:
    """An answer with the seconds until its first source and its first text, and of the server's stages. Raises
    PinakesError."""
    clock = asyncio.get_running_loop().time
    sent = clock()
    seen_s: dict[str, float] = {}
    so_far = AnswerSoFar()
    async with client.answer(question, timeout_s=timeout_s, **options) as events:
        async for event in events:
            match event:
                case Sources():
                    seen_s.setdefault(FIRST_SOURCE, clock() - sent)
                case Delta():
                    seen_s.setdefault(FIRST_TEXT, clock() - sent)
            so_far.add(event)
    answer = so_far.whole()
    return {**seen_s, **{timing.stage: timing.seconds for timing in answer.timings}}, answer


def shuffled(questions: Sequence[Question], passes: int, rng: np.random.Generator) -> list[Question]:
    """All questions, `passes` times, each time in another order: neighbours about one page share a prompt's beginning,
    which the generator need not read again."""
    return [questions[index] for _ in range(passes) for index in rng.permutation(len(questions))]


async def measure_answers(answers: Answers) -> Series:
    """One caller who asks the questions in order. The warm-up asks the last of them, and is not judged."""
    plan = answers.plan

    async def last(number: int) -> Mapping[str, float]:
        return await answers(len(answers.order) - 1 - number)

    await single_caller(last, min(plan.warm_up, len(answers.order)), plan.limit_s)
    answers.judgements.clear()
    samples = await single_caller(answers, len(answers.order), plan.limit_s)
    return Series(SERIES, "single_caller", samples, warm_up=plan.warm_up)
