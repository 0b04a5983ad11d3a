"""Learning the reranker's head, from made-up token vectors. Needs the extra `torch`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch")

import torch

from tests.training.token_vectors import token_vectors
from training.examples import Question
from training.learning import LearningOptions, Lesson, Step, _batch, _Model, learned
from triton_models.rerank.head import Head
from triton_models.rerank.reranker import late_interaction

OPTIONS = LearningOptions(epochs=3, questions=4, negatives=3, rank=4, learning_rate=0.02, checkpoint_steps=5, threads=1)
_HIDDEN = 24
INFORMATION = np.linspace(-1, 1, 64, dtype=np.float32)


def lesson() -> Lesson:
    """Odd pieces mean something; even ones, more than half of every text, are noise."""
    random = np.random.default_rng(4)
    told = [[*random.choice(32, 2) * 2 + 1, *random.integers(0, 32, 9) * 2] for _ in range(48)]
    asked = [[text[0], *random.integers(0, 32, 5) * 2, text[1]] for text in told]
    questions = tuple(Question(str(row), frozenset({row})) for row in range(48))
    negatives = tuple(np.array([row for row in range(48) if row != own], np.int64) for own in range(48))
    return Lesson("made up", questions, token_vectors(asked, _HIDDEN), token_vectors(told, _HIDDEN), negatives)


def test_learning_lowers_the_loss(tmp_path: Path) -> None:
    steps: list[Step] = []
    learned([lesson()], INFORMATION, replace(OPTIONS, epochs=8), tmp_path / "checkpoint", steps.append)
    assert [step.number for step in steps] == list(range(1, 97)) and {step.of for step in steps} == {96}
    losses = [step.loss for step in steps]
    assert np.mean(losses[-6:]) < np.mean(losses[:6]) / 2


def test_a_run_that_was_stopped_ends_in_the_same_head(tmp_path: Path) -> None:
    whole = learned([lesson()], INFORMATION, OPTIONS, tmp_path / "whole", lambda _: None)

    def stop(step: Step) -> None:
        if step.number == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learned([lesson()], INFORMATION, OPTIONS, tmp_path / "stopped", stop)
    numbers: list[int] = []
    resumed = learned([lesson()], INFORMATION, OPTIONS, tmp_path / "stopped", lambda step: numbers.append(step.number))
    assert numbers[0] == 16
    for name in ("down", "up", "importance"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    assert resumed.information_weight == whole.information_weight


def test_what_is_learned_is_what_is_served() -> None:
    """The scores of a batch are those of `late_interaction` with the head's vectors, but for 16 bits."""
    source, random = lesson(), np.random.default_rng(1)
    head = Head(
        np.full(_HIDDEN, 0.1, np.float32),
        random.standard_normal((_HIDDEN, 4), np.float32),
        random.standard_normal((4, _HIDDEN), np.float32),
        random.standard_normal(_HIDDEN, np.float32),
        0.7,
    )
    rows = np.array([5, 9, 30, 2])
    batch = _batch(source, rows, OPTIONS, 1)
    with torch.no_grad():
        scores = _Model.of(head, INFORMATION, OPTIONS).scores(batch).numpy() / OPTIONS.temperature

    def compared(hidden: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        moved = (hidden - head.center) + (hidden - head.center) @ head.down @ head.up
        vectors: npt.NDArray[np.float32] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        return vectors

    passages = [compared(batch.passages[i][batch.passage_mask[i]].numpy()) for i in range(len(batch.passages))]
    for place, row in enumerate(rows):
        hidden, ids = source.question_tokens.of(int(row))
        importance = np.exp((hidden - head.center) @ head.importance + 0.7 * INFORMATION[ids])
        np.testing.assert_allclose(
            scores[place], late_interaction(compared(hidden), importance, passages), rtol=0.02, atol=0.01
        )
