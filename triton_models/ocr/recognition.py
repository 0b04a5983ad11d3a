"""Reads lines: batches of flat crops to text and confidence.

Decoding is Connectionist Temporal Classification's best path: Graves et al., ICML 2006, section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnx

from triton_models.ocr.decoding import Pixels

LINE_HEIGHT = 48
"""The height that the network reads, in pixels."""

BLANK = 0
"""The class that separates characters."""

Network = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class RecognitionOptions:
    """`width_step_px`: widths are padded to multiples of this, so that the network meets few shapes.
    `batch_px`: lines x width in one call."""

    width_step_px: int = 96
    min_width_px: int = 192
    max_width_px: int = 4800
    batch_px: int = 6144
    max_batch: int = 16


@dataclass(frozen=True, slots=True)
class ReadLine:
    """`confidence`: mean probability of the characters, 0 for an empty text."""

    text: str
    confidence: float


class Recognizer:
    def __init__(self, network: Network, characters: Sequence[str], options: RecognitionOptions) -> None:
        """characters: one per class after the blank; see `characters_of`."""
        self._network = network
        self._characters = tuple(characters)
        self._options = options

    def read(self, lines: Sequence[Pixels]) -> list[ReadLine]:
        """One result per line, in order. Lines of like width go through the network together."""
        widths = [scaled_width(line, self._options) for line in lines]
        results = [ReadLine("", 0.0)] * len(lines)
        for members in batches(widths, self._options):
            width = padded_width(max(widths[member] for member in members), self._options)
            batch = np.zeros((len(members), 3, LINE_HEIGHT, width), dtype=np.float32)
            for row, member in enumerate(members):
                batch[row, :, :, : widths[member]] = normalized(lines[member], widths[member])
            for member, probabilities in zip(members, self._network(batch), strict=True):
                results[member] = best_path(probabilities, self._characters)
        return results


def characters_of(model: Path) -> tuple[str, ...]:
    """The characters that the recognition network's classes 1, 2, … stand for, from the model's metadata; the last
    class is the space."""
    metadata = {entry.key: entry.value for entry in onnx.load(str(model), load_external_data=False).metadata_props}
    return (*metadata["character"].split("\n"), " ")


def scaled_width(line: Pixels, options: RecognitionOptions) -> int:
    """Width of the line at the network's height. Longer ones are squeezed."""
    height, width = int(line.shape[0]), int(line.shape[1])
    return min(options.max_width_px, max(8, -(-LINE_HEIGHT * width // height)))


def padded_width(width: int, options: RecognitionOptions) -> int:
    step = options.width_step_px
    return max(options.min_width_px, -(-width // step) * step)


def batches(widths: Sequence[int], options: RecognitionOptions) -> Iterator[list[int]]:
    """Indices of the lines in groups of like width, the narrowest first."""
    group: list[int] = []
    for index in sorted(range(len(widths)), key=widths.__getitem__):
        width = padded_width(widths[index], options)
        if group and (len(group) >= options.max_batch or (len(group) + 1) * width > options.batch_px):
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def normalized(line: Pixels, width: int) -> npt.NDArray[np.float32]:
    """float32[3, LINE_HEIGHT, width] in [-1, 1]."""
    interpolation = cv2.INTER_AREA if line.shape[0] > LINE_HEIGHT else cv2.INTER_CUBIC
    resized = cv2.resize(line, (width, LINE_HEIGHT), interpolation=interpolation)
    return resized.astype(np.float32).transpose(2, 0, 1) * np.float32(2 / 255) - np.float32(1)


def best_path(probabilities: npt.NDArray[np.float32], characters: Sequence[str]) -> ReadLine:
    """probabilities: float32[steps, 1 + len(characters)]. Repeats collapse, blanks go."""
    classes = probabilities.argmax(axis=1)
    starts = np.ones(len(classes), dtype=bool)
    starts[1:] = classes[1:] != classes[:-1]
    kept = np.flatnonzero(starts & (classes != BLANK))
    if not len(kept):
        return ReadLine("", 0.0)
    text = "".join(characters[classes[step] - 1] for step in kept)
    return ReadLine(text, float(probabilities[kept, classes[kept]].mean()))
