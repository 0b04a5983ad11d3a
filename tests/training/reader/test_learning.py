"""Learning to read, with an encoder of random weights. Needs the extra `torch`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch", reason="Torch is an extra: pip install torch")

import torch

from tests.triton.tiny_e5 import FIRST, PIECES, write_tiny_e5
from training.reader.learning import ReadingOptions, ReadingStep, learn
from training.reader.lessons import Lesson
from training.reader.network import TrainedReader
from triton_models.embed.encoder import padded
from triton_models.embed.torch_network import TorchEncoder
from triton_models.embed.weights import E5Weights
from triton_models.progress import silent
from triton_models.read.conversion import convert_reader
from triton_models.read.networks import onnxruntime_network
from triton_models.read.weights import pack
from triton_models.rerank.network import write_token_network

OPTIONS = ReadingOptions(
    steps=24, frozen_layers=FIRST, learning_rate=3e-3, warm_up_steps=4, checkpoint_steps=5, threads=1
)
_ANSWER = PIECES.index("A")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    write_tiny_e5(folder / "e5.bin")
    write_token_network(E5Weights(folder / "e5.bin"), folder / "encoder.onnx")
    return folder


def batches() -> Iterator[Sequence[Lesson]]:
    """The answer is the letter A and the letter behind it; some texts have none."""
    random = np.random.default_rng(5)
    letters = [PIECES.index(letter) for letter in "bcdefghijklmn"]
    while True:
        batch = []
        for _ in range(8):
            ids = [0, 5, 6, 2, 2, *random.choice(letters, random.integers(5, 14)).tolist(), 2]
            at = int(random.integers(5, len(ids) - 2)) if random.random() < 0.7 else 0
            if at:
                ids[at] = _ANSWER
            batch.append(Lesson(ids, 5, at, at + (at > 0)))
        yield batch


def state(network: TrainedReader) -> dict[str, npt.NDArray[np.float32]]:
    return {name: values.copy() for name, values in network.arrays().items()}


def test_learning_lowers_the_loss_and_leaves_the_lower_layers(encoder: Path, tmp_path: Path) -> None:
    file = TorchEncoder.read(encoder / "encoder.onnx", "cpu")
    network = TrainedReader(file, FIRST, seed=1)
    before, below = state(network), file.layers[0].outer.weight.clone()
    steps: list[ReadingStep] = []
    tokens = learn(network, batches(), replace(OPTIONS, steps=80), tmp_path / "checkpoint", steps.append)
    assert [step.number for step in steps] == list(range(1, 81)) and {step.of for step in steps} == {80}
    losses = [step.loss for step in steps]
    assert np.mean(losses[-8:]) < np.mean(losses[:8]) / 2
    read = islice(batches(), 80)
    assert steps[-1].tokens == tokens == sum(len(lesson.ids) for batch in read for lesson in batch)
    after = state(network)
    assert all(not np.array_equal(before[name], after[name]) for name in before)
    assert torch.equal(file.layers[0].outer.weight, below)


def test_a_run_that_was_stopped_ends_as_it_would_have_without(encoder: Path, tmp_path: Path) -> None:
    whole = TrainedReader.of(encoder / "encoder.onnx", FIRST, seed=1)
    tokens = learn(whole, batches(), OPTIONS, tmp_path / "whole", lambda _: None)

    def stop(step: ReadingStep) -> None:
        if step.number == 17:
            raise KeyboardInterrupt

    stopped = TrainedReader.of(encoder / "encoder.onnx", FIRST, seed=1)
    with pytest.raises(KeyboardInterrupt):
        learn(stopped, batches(), OPTIONS, tmp_path / "stopped", stop)
    numbers: list[int] = []
    resumed = TrainedReader.of(encoder / "encoder.onnx", FIRST, seed=1)

    def count(step: ReadingStep) -> None:
        numbers.append(step.number)

    assert learn(resumed, batches(), OPTIONS, tmp_path / "stopped", count) == tokens
    assert numbers == list(range(16, 25))
    for name, values in whole.arrays().items():
        np.testing.assert_array_equal(resumed.arrays()[name], values)
    again = TrainedReader.of(encoder / "encoder.onnx", FIRST, seed=1)
    assert learn(again, batches(), OPTIONS, tmp_path / "stopped", count) == tokens and len(numbers) == 9
    np.testing.assert_array_equal(again.arrays()["head.weight"], whole.arrays()["head.weight"])


def test_what_is_learned_is_what_is_served(encoder: Path, tmp_path: Path) -> None:
    """But for 8 bits in the one, and 16 in the other."""
    network = TrainedReader.of(encoder / "encoder.onnx", FIRST, seed=1)
    learn(network, batches(), replace(OPTIONS, steps=40), tmp_path / "checkpoint", lambda _: None)
    pack(network.arrays(), FIRST).save(tmp_path / "reader.npz")
    files = convert_reader(encoder / "e5.bin", tmp_path / "reader.npz", tmp_path, silent)
    lessons = next(batches())
    ids, mask = padded([lesson.ids for lesson in lessons])
    served = onnxruntime_network(tmp_path / files["network"], threads=1)(ids, mask)
    trained = network.read(ids, mask)
    assert served.shape == trained.shape == (*ids.shape, 2)
    kept = mask.astype(bool)
    for part in (0, 1):
        assert np.corrcoef(served[kept][:, part], trained[kept][:, part])[0, 1] > 0.97
