"""Learns to read: for each token of a text how well an answer starts and ends there, and, at position 0, that there is
none (Devlin et al., "BERT", NAACL 2019, section 4.3)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from training.reader.lessons import Lesson
from training.reader.network import TrainedReader
from triton_models.embed.tokenizer import PAD

_CLOSED = -1e9
_LENGTH_STEP = 8
"""Batches are padded to multiples of it, which products in bfloat16 are faster with."""
_BETAS = 0.9, 0.98
_HEAD_RATE = 5
"""The head, which starts from nothing, learns this many times as fast."""


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """AdamW; the rate rises over `warm_up_steps`, and falls to nearly nothing over all."""

    steps: int = 3_000
    frozen_layers: int = 6
    learning_rate: float = 1e-4
    warm_up_steps: int = 80
    least_rate: float = 0.02
    """Share of the learning rate that is left at the end."""
    weight_decay: float = 0.01
    """Of matrices, but the head."""
    dropout: float = 0.1
    gradient_norm: float = 1.0
    """Gradients are cut down to it."""
    checkpoint_steps: int = 100
    seed: int = 1
    threads: int = 2


class ReadingStep(NamedTuple):
    """tokens: read in all steps so far, without padding."""

    number: int
    of: int
    loss: float
    tokens: int


class _Batch(NamedTuple):
    """ids, mask: int64[n, length]. open: bool[n, length], where an answer may start and end, and position 0. starts,
    ends: int64[n]."""

    ids: Any
    mask: Any
    open: Any
    starts: Any
    ends: Any


def learn(
    network: TrainedReader,
    batches: Iterator[Sequence[Lesson]],
    options: ReadingOptions,
    checkpoint: Path,
    on_step: Callable[[ReadingStep], None],
) -> int:
    """Trains the network for all steps, and gives how many tokens it read; goes on from `checkpoint` if it is there,
    and ends then as it would have without the stop, if `batches` are the same.

    The same on the same machine for the same seed and number of threads. Cost: some 60 MFLOP a token.
    """
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    optimizer = _optimizer(network, options)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, options))
    done, tokens = _resume(checkpoint, network, optimizer, schedule)
    for number, lessons in zip(range(done + 1, options.steps + 1), islice(batches, done, None), strict=False):
        batch = _batch(lessons)
        loss = _loss(network, batch, options.dropout)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(network.parameters.values()), options.gradient_norm)
        optimizer.step()
        schedule.step()
        tokens += int(batch.mask.sum())
        if number % options.checkpoint_steps == 0 or number == options.steps:
            _keep(checkpoint, number, tokens, network, optimizer, schedule)
        on_step(ReadingStep(number, options.steps, loss.item(), tokens))
    return tokens


def _batch(lessons: Sequence[Lesson]) -> _Batch:
    longest = max(len(lesson.ids) for lesson in lessons)
    shape = len(lessons), -(-longest // _LENGTH_STEP) * _LENGTH_STEP
    ids = torch.full(shape, PAD)
    mask = torch.zeros(shape, dtype=torch.long)
    open_ = torch.zeros(shape, dtype=torch.bool)
    for row, lesson in enumerate(lessons):
        count = len(lesson.ids)
        ids[row, :count] = torch.tensor(lesson.ids)
        mask[row, :count] = 1
        open_[row, lesson.first : count - 1] = True
        open_[row, 0] = True
    starts, ends = (torch.tensor([getattr(lesson, name) for lesson in lessons]) for name in ("start", "end"))
    return _Batch(ids, mask, open_, starts, ends)


def _loss(network: TrainedReader, batch: _Batch, dropout: float) -> Any:
    logits = network.logits(batch.ids, batch.mask, dropout).masked_fill(~batch.open[:, :, None], _CLOSED)
    start, end = logits.unbind(dim=2)
    return (functional.cross_entropy(start, batch.starts) + functional.cross_entropy(end, batch.ends)) / 2


def _rate(step: int, options: ReadingOptions) -> float:
    return min((step + 1) / options.warm_up_steps, max(options.least_rate, 1 - step / options.steps))


def _optimizer(network: TrainedReader, options: ReadingOptions) -> Any:
    head = network.head_matrix
    others = [each for each in network.parameters.values() if each is not head]
    matrices = [each for each in others if each.ndim > 1]
    vectors = [each for each in others if each.ndim == 1]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": options.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
            {"params": [head], "weight_decay": 0.0, "lr": _HEAD_RATE * options.learning_rate},
        ],
        lr=options.learning_rate,
        betas=_BETAS,
    )


def _keep(path: Path, number: int, tokens: int, network: TrainedReader, optimizer: Any, schedule: Any) -> None:
    """Whole or not at all."""
    state = {
        "number": number,
        "tokens": tokens,
        "network": {name: each.detach() for name, each in network.parameters.items()},
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "random": torch.get_rng_state(),
    }
    partial = path.with_suffix(f".{os.getpid()}")
    torch.save(state, partial)
    partial.replace(path)


def _resume(path: Path, network: TrainedReader, optimizer: Any, schedule: Any) -> tuple[int, int]:
    """How many steps are done, and how many tokens were read in them."""
    if not path.exists():
        return 0, 0
    state = torch.load(path, weights_only=True)
    network.load(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    torch.set_rng_state(state["random"])
    return state["number"], state["tokens"]
