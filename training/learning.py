"""Learns the reranker's head from token vectors that stay as the encoder made them.

Every question of a batch is compared with the passages of all: its answer shall come first (cross entropy over the
batch, with mined passages among the others; Karpukhin et al., "Dense Passage Retrieval", EMNLP 2020, section 3.2).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from training.examples import Question
from training.tokens import TokenVectors
from triton_models.rerank.head import Head

Rows = npt.NDArray[np.int64]

_CLOSED = -1e4
_SCALAR_RATE = 10
"""Single numbers learn this many times as fast as those in matrices, which add up."""


@dataclass(frozen=True, slots=True)
class LearningOptions:
    """A batch has `questions`, each with its answer and `negatives` mined passages."""

    epochs: int = 2
    questions: int = 16
    negatives: int = 5
    rank: int = 32
    learning_rate: float = 1e-3
    warm_up_share: float = 0.05
    temperature: float = 20.0
    """What scores are multiplied with before the softmax, at the start; it is learned too."""
    checkpoint_steps: int = 25
    seed: int = 1
    threads: int = 2


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A source, ready to learn from. negatives: rows of passages for every question."""

    name: str
    questions: tuple[Question, ...]
    question_tokens: TokenVectors
    passage_tokens: TokenVectors
    negatives: tuple[Rows, ...]


class Step(NamedTuple):
    number: int
    of: int
    loss: float


def learned(
    lessons: Sequence[Lesson],
    information: npt.NDArray[np.float32],
    options: LearningOptions,
    checkpoint: Path,
    on_step: Callable[[Step], None],
) -> Head:
    """The head after all steps; goes on from `checkpoint` if it is there, and gives then what it would have given
    without the stop. information: see `triton_models.rerank.head.log_information`.

    The same on the same machine for the same seed and number of threads. Cost: about 10 GFLOP a step with sentences, 40
    with passages of 200 tokens.
    """
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    model = _Model.of(Head.untrained(_center(lessons), options.rank, options.seed), information, options)
    plan = _plan(lessons, options)
    optimizer = torch.optim.Adam(
        [
            {"params": [model.down, model.up, model.importance]},
            {"params": [model.information_weight, model.temperature], "lr": _SCALAR_RATE * options.learning_rate},
        ],
        lr=options.learning_rate,
    )
    warm_up = max(1, round(options.warm_up_share * len(plan)))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, 1 - step / (len(plan) + 1))
    )
    done = _resume(checkpoint, model, optimizer, schedule)
    for number, (lesson, rows) in enumerate(plan[done:], start=done + 1):
        loss = _loss(model, _batch(lessons[lesson], rows, options, number))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if number % options.checkpoint_steps == 0 or number == len(plan):
            _keep(checkpoint, number, model, optimizer, schedule)
        on_step(Step(number, len(plan), loss.item()))
    return model.head()


def _center(lessons: Sequence[Lesson]) -> npt.NDArray[np.float32]:
    """The mean of the passages' token vectors, every source alike."""
    means = [np.mean(lesson.passage_tokens.vectors, axis=0, dtype=np.float32) for lesson in lessons]
    center: npt.NDArray[np.float32] = np.mean(means, axis=0, dtype=np.float32)
    return center


def _plan(lessons: Sequence[Lesson], options: LearningOptions) -> list[tuple[int, Rows]]:
    """Source and questions of every step; a batch has questions of one source, since others are too easy to tell
    from."""
    random = np.random.default_rng(options.seed)
    plan: list[tuple[int, Rows]] = []
    for _ in range(options.epochs):
        epoch: list[tuple[int, Rows]] = []
        for number, lesson in enumerate(lessons):
            order = random.permutation(len(lesson.questions))
            whole = range(0, len(order) - options.questions + 1, options.questions)
            epoch.extend((number, order[start : start + options.questions]) for start in whole)
        plan.extend(epoch[place] for place in random.permutation(len(epoch)))
    return plan


class _Batch(NamedTuple):
    """Texts are padded to the longest; masks are true where there is a token. closed: bool[questions, passages], the
    other passages that answer a question too. answers: the column of each question's answer."""

    questions: Any
    question_ids: Any
    question_mask: Any
    passages: Any
    passage_mask: Any
    closed: Any
    answers: Any


def _batch(lesson: Lesson, rows: Rows, options: LearningOptions, number: int) -> _Batch:
    random = np.random.default_rng([options.seed, number])
    passages: list[int] = []
    answers: list[int] = []
    for row in rows:
        answers.append(len(passages))
        passages.append(int(random.choice(sorted(lesson.questions[row].answered_by))))
        mined = lesson.negatives[row]
        passages.extend(random.choice(mined, min(options.negatives, len(mined)), replace=False).tolist())
    closed = np.array([[passage in lesson.questions[row].answered_by for passage in passages] for row in rows])
    closed[np.arange(len(rows)), answers] = False
    asked, ids, asked_mask = _padded([lesson.question_tokens.of(int(row)) for row in rows])
    told, _, told_mask = _padded([lesson.passage_tokens.of(passage) for passage in passages])
    return _Batch(asked, ids, asked_mask, told, told_mask, torch.from_numpy(closed), torch.tensor(answers))


def _padded(texts: Sequence[tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]]) -> tuple[Any, Any, Any]:
    length = max(1, max(len(ids) for _, ids in texts))
    vectors = torch.zeros(len(texts), length, texts[0][0].shape[1])
    pieces = torch.zeros(len(texts), length, dtype=torch.long)
    mask = torch.zeros(len(texts), length, dtype=torch.bool)
    for row, (own, ids) in enumerate(texts):
        vectors[row, : len(ids)] = torch.from_numpy(own)
        pieces[row, : len(ids)] = torch.from_numpy(ids)
        mask[row, : len(ids)] = True
    return vectors, pieces, mask


def _loss(model: _Model, batch: _Batch) -> Any:
    scores = model.scores(batch).masked_fill(batch.closed, _CLOSED)
    return functional.cross_entropy(scores, batch.answers)


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """A head as tensors; all but center and information are learned."""

    center: Any
    information: Any
    down: Any
    up: Any
    importance: Any
    information_weight: Any
    temperature: Any

    @classmethod
    def of(cls, head: Head, information: npt.NDArray[np.float32], options: LearningOptions) -> _Model:
        learned = [head.down, head.up, head.importance, np.float32(head.information_weight)]
        learned.append(np.log(np.float32(options.temperature)))
        fixed = [torch.from_numpy(head.center), torch.from_numpy(information)]
        return cls(*fixed, *(torch.tensor(value, requires_grad=True) for value in learned))

    def parameters(self) -> list[Any]:
        return [self.down, self.up, self.importance, self.information_weight, self.temperature]

    def head(self) -> Head:
        down, up, importance, information_weight, _ = (each.detach().numpy() for each in self.parameters())
        return Head(self.center.numpy(), down, up, importance, float(information_weight))

    def scores(self, batch: _Batch) -> Any:
        """[questions, passages]: `triton_models.rerank.reranker.late_interaction` times the temperature."""
        asked, told = self._compared(batch.questions), self._compared(batch.passages)
        with torch.no_grad():
            # Only the most alike tokens get a gradient: they are sought without one and in 16 bits, which saves most.
            nearest = _nearest(asked, told, batch.passage_mask)
        rows = torch.arange(len(told))[None, :, None]
        alike = torch.einsum("qtnh,qth->qnt", told[rows, nearest].transpose(1, 2), asked)
        logarithm = (batch.questions - self.center) @ self.importance
        logarithm = logarithm + self.information_weight * self.information[batch.question_ids]
        shares = logarithm.masked_fill(~batch.question_mask, -torch.inf).softmax(dim=1)
        return (alike * shares[:, None]).sum(dim=2) * self.temperature.exp()

    def _compared(self, hidden: Any) -> Any:
        centered = hidden - self.center
        return functional.normalize(centered + centered @ self.down @ self.up, dim=2)


def _nearest(asked: Any, told: Any, mask: Any) -> Any:
    """int64[questions, passages, tokens of the question]: the passage's token that is most like it."""
    questions, tokens, hidden = asked.shape
    products = told.reshape(-1, hidden).bfloat16() @ asked.reshape(-1, hidden).bfloat16().T
    products = products.reshape(*mask.shape, questions, tokens).masked_fill(~mask[:, :, None, None], -torch.inf)
    return products.argmax(dim=1).permute(1, 0, 2)


def _keep(path: Path, number: int, model: _Model, optimizer: Any, schedule: Any) -> None:
    """Whole or not at all."""
    state = {
        "number": number,
        "parameters": [each.detach() for each in model.parameters()],
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
    }
    partial = path.with_suffix(f".{os.getpid()}")
    torch.save(state, partial)
    partial.replace(path)


def _resume(path: Path, model: _Model, optimizer: Any, schedule: Any) -> int:
    """How many steps are done."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    with torch.no_grad():
        for parameter, kept in zip(model.parameters(), state["parameters"], strict=True):
            parameter.copy_(kept)
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    number: int = state["number"]
    return number
