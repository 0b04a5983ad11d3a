"""The networks that can be engines: what they are made from, what goes in and out, and how two runs are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from triton_models.embed.encoder import DIMENSION, MAX_TOKENS
from triton_models.embed.float_network import Precision, write_float_network
from triton_models.embed.networks import LENGTH_STEP
from triton_models.embed.tokenizer import BOS, EOS, PAD
from triton_models.embed.weights import E5Weights
from triton_models.engines.conversion import with_likeliest_class, write_converted
from triton_models.engines.toolkit import Arrays
from triton_models.ocr import detection
from triton_models.ocr.detection import DetectionOptions
from triton_models.ocr.recognition import LINE_HEIGHT, STRIDE, Steps
from triton_models.ocr.served import INPUT, PROBABILITY_MAP, STEP_OUTPUTS
from triton_models.read import float_network as reader_network
from triton_models.read.reader import OUTPUT as LOGITS
from triton_models.read.weights import ReaderWeights
from triton_models.rerank import float_network as rerank_network
from triton_models.rerank.head import Head

BATCH = "n"
"""The axis of the rows of a batch; the first of every tensor."""

_TEXT = "The keeper lit the lamp at dusk, wrote 12.5 knots into the log (No. 48) and went to bed. "


@dataclass(frozen=True, slots=True)
class Tensor:
    """axes: names of those that can change, sizes of the others. type: NumPy's name."""

    name: str
    type: str
    axes: tuple[str | int, ...]


class Network(Protocol):
    """`sources` are the roles of the artifacts that it is made from. `version` grows when the same artifacts come to be
    written otherwise. `steps`: what sizes of an axis must be multiples of."""

    @property
    def sources(self) -> tuple[str, ...]: ...
    @property
    def version(self) -> int: ...
    @property
    def inputs(self) -> tuple[Tensor, ...]: ...
    @property
    def outputs(self) -> tuple[Tensor, ...]: ...
    @property
    def precisions(self) -> tuple[Precision, ...]: ...
    @property
    def steps(self) -> Mapping[str, int]: ...
    @property
    def least_agreement(self) -> float:
        """What an engine must reach to be accepted."""

    def write(self, artifacts: Mapping[str, Path], path: Path, precision: Precision) -> None:
        """The ONNX file, in standard operators. Raises ConversionFailed."""

    def sample(self, sizes: Mapping[str, int], random: np.random.Generator) -> Arrays:
        """Inputs like those of every day, of these sizes."""

    def agreement(self, expected: Arrays, found: Arrays) -> float:
        """1 for the same outputs, less for others; not a number if `found` has such."""


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """multilingual-e5-small: token ids to a vector."""

    sources: tuple[str, ...] = ("weights",)
    version: int = 1
    inputs: tuple[Tensor, ...] = (
        Tensor("input_ids", "int64", (BATCH, "length")),
        Tensor("attention_mask", "int32", (BATCH, "length")),
    )
    outputs: tuple[Tensor, ...] = (Tensor("embedding", "float32", (BATCH, DIMENSION)),)
    precisions: tuple[Precision, ...] = ("fp16", "bf16", "fp32")
    steps: Mapping[str, int] = field(default_factory=lambda: {"length": LENGTH_STEP})
    least_agreement: float = 0.999
    vocabulary: int = 250_000

    def write(self, artifacts: Mapping[str, Path], path: Path, precision: Precision) -> None:
        write_float_network(E5Weights(artifacts["weights"]), path, precision)

    def sample(self, sizes: Mapping[str, int], random: np.random.Generator) -> Arrays:
        """Texts of different lengths; the first is the longest."""
        rows, length = sizes[BATCH], min(sizes["length"], MAX_TOKENS)
        ids = np.full((rows, length), PAD, dtype=np.int64)
        mask = np.zeros((rows, length), dtype=np.int32)
        for row in range(rows):
            size = length if row == 0 else int(random.integers(min(3, length), length + 1))
            ids[row, :size] = [BOS, *random.integers(EOS + 2, self.vocabulary, size - 2), EOS]
            mask[row, :size] = 1
        return {"input_ids": ids, "attention_mask": mask}

    def agreement(self, expected: Arrays, found: Arrays) -> float:
        """The least cosine."""
        return float(np.min(np.sum(expected["embedding"] * found["embedding"], axis=1)))


@dataclass(frozen=True, slots=True)
class TokenEncoder(TextEncoder):
    """The reranker: token ids to a vector and an importance for each token."""

    sources: tuple[str, ...] = ("weights", "head")
    outputs: tuple[Tensor, ...] = (
        Tensor("vectors", "float32", (BATCH, "length", DIMENSION)),
        Tensor("importance", "float32", (BATCH, "length")),
    )
    least_agreement: float = 0.995

    def write(self, artifacts: Mapping[str, Path], path: Path, precision: Precision) -> None:
        weights, head = E5Weights(artifacts["weights"]), Head.load(artifacts["head"])
        rerank_network.write_float_network(weights, head, path, precision)

    def agreement(self, expected: Arrays, found: Arrays) -> float:
        """The least of the texts' mean cosines, less the mean share by which importances differ."""
        cosines = np.sum(expected["vectors"] * found["vectors"], axis=2).mean(axis=1)
        apart = np.abs(np.log(found["importance"] / expected["importance"])).mean()
        return float(cosines.min() - apart)


@dataclass(frozen=True, slots=True)
class SpanReader(TextEncoder):
    """The reader: token ids of question and passage to two logits for each token."""

    sources: tuple[str, ...] = ("weights", "trained")
    outputs: tuple[Tensor, ...] = (Tensor(LOGITS, "float32", (BATCH, "length", 2)),)
    least_agreement: float = 0.98

    def write(self, artifacts: Mapping[str, Path], path: Path, precision: Precision) -> None:
        weights, trained = E5Weights(artifacts["weights"]), ReaderWeights.load(artifacts["trained"])
        reader_network.write_float_network(weights, trained, path, precision)

    def agreement(self, expected: Arrays, found: Arrays) -> float:
        """1 less the mean difference of the logits, as a share of how much they differ among tokens."""
        ours, theirs = expected[LOGITS], found[LOGITS]
        return float(1 - np.mean(np.abs(ours - theirs)) / np.std(ours))


@dataclass(frozen=True, slots=True)
class TextDetector:
    """A page to a map of how likely there is text."""

    sources: tuple[str, ...] = ("detector",)
    version: int = 1
    inputs: tuple[Tensor, ...] = (Tensor(INPUT, "float32", (BATCH, 3, "height", "width")),)
    outputs: tuple[Tensor, ...] = (Tensor(PROBABILITY_MAP, "float32", (BATCH, 1, "height", "width")),)
    precisions: tuple[Precision, ...] = ("fp16", "fp32")
    steps: Mapping[str, int] = field(default_factory=lambda: {"height": detection.STRIDE, "width": detection.STRIDE})
    least_agreement: float = 0.98

    def write(self, artifacts: Mapping[str, Path], path: Path, precision: Precision) -> None:
        write_converted(artifacts["detector"], path, precision)

    def sample(self, sizes: Mapping[str, int], random: np.random.Generator) -> Arrays:
        return {INPUT: np.stack([_page(sizes["height"], sizes["width"], random) for _ in range(sizes[BATCH])])}

    def agreement(self, expected: Arrays, found: Arrays) -> float:
        """Intersection over union of what is taken for text, and not a number where the map is not."""
        ours, theirs = (each[PROBABILITY_MAP] for each in (expected, found))
        if not np.isfinite(theirs).all():
            return float("nan")
        threshold = DetectionOptions().map_threshold
        both = np.count_nonzero((ours > threshold) & (theirs > threshold))
        either = np.count_nonzero((ours > threshold) | (theirs > threshold))
        return both / either if either else 1.0


@dataclass(frozen=True, slots=True)
class TextRecognizer:
    """Lines to the likeliest character of each step; see `ocr.recognition.Steps`."""

    sources: tuple[str, ...] = ("recognizer",)
    version: int = 1
    inputs: tuple[Tensor, ...] = (Tensor(INPUT, "float32", (BATCH, 3, LINE_HEIGHT, "width")),)
    outputs: tuple[Tensor, ...] = tuple(
        Tensor(name, "int32" if name == "classes" else "float32", (BATCH, "steps")) for name in STEP_OUTPUTS
    )
    precisions: tuple[Precision, ...] = ("fp16", "fp32")
    steps: Mapping[str, int] = field(default_factory=lambda: {"width": STRIDE})
    least_agreement: float = 0.99

    def write(self, artifacts: Mapping[str, Path], path: Path, precision: Precision) -> None:
        write_converted(artifacts["recognizer"], path, precision, with_likeliest_class)

    def sample(self, sizes: Mapping[str, int], random: np.random.Generator) -> Arrays:
        return {INPUT: np.stack([_page(LINE_HEIGHT, sizes["width"], random, lines=1) for _ in range(sizes[BATCH])])}

    def agreement(self, expected: Arrays, found: Arrays) -> float:
        """The share of steps at which both read the same, less the mean difference of the probabilities."""
        ours, theirs = (Steps(*(each[name] for name in STEP_OUTPUTS)) for each in (expected, found))
        apart = np.mean(np.abs(ours.probabilities - theirs.probabilities) + np.abs(ours.spaces - theirs.spaces))
        return float(np.mean(ours.classes == theirs.classes) - apart)


NETWORKS: dict[tuple[str, str], Network] = {
    ("embed", "network"): TextEncoder(),
    ("rerank", "network"): TokenEncoder(),
    ("read", "network"): SpanReader(),
    ("ocr", "detector"): TextDetector(),
    ("ocr", "recognizer"): TextRecognizer(),
}
"""By slot and role."""


def _page(height: int, width: int, random: np.random.Generator, lines: int | None = None) -> npt.NDArray[Any]:
    """float32[3, height, width] in [-1, 1]: dark text on light paper, a little noisy."""
    image = Image.new("L", (width, height), 245)
    draw = ImageDraw.Draw(image)
    size = height * 2 // 3 if lines == 1 else 28
    for top in range(height // 6 if lines == 1 else 20, height if lines is None else height // 2, 2 * size):
        start = int(random.integers(0, len(_TEXT)))
        text = (_TEXT[start:] + _TEXT * (1 + width // (size * 20)))[: max(1, width // size * 2)]
        draw.text((size // 2, top), text, fill=20, font=ImageFont.load_default(size))
    paper = np.asarray(image, dtype=np.float32) + random.normal(0, 4, (height, width)).astype(np.float32)
    return np.repeat((np.clip(paper, 0, 255) * np.float32(2 / 255) - 1)[None], 3, axis=0)
