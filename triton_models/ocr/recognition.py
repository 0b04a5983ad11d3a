"""Reads lines: batches of flat crops to characters with their confidences and places.

Decoding is Connectionist Temporal Classification's best path: Graves et al., ICML 2006, section 3.2.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import onnx

from triton_models.ocr.decoding import Pixels

LINE_HEIGHT = 48
"""The height that the network reads, in pixels."""

BLANK = 0
"""The class that separates characters."""

STRIDE = 8
"""Pixels of the network's input for each step of its output."""


class Steps(NamedTuple):
    """What the network says of each step of each line.

    classes: int32[lines, steps], the likeliest class; probabilities: float32[lines, steps], how likely it is; spaces:
    float32[lines, steps], how likely the space is.
    """

    classes: npt.NDArray[np.int32]
    probabilities: npt.NDArray[np.float32]
    spaces: npt.NDArray[np.float32]


SPACE = 0.05
"""The network leaves out narrow spaces. Between narrow characters a space stands where it is at least this likely at
any step, though the blank is likelier."""

Network = Callable[[npt.NDArray[np.float32]], Steps]


@dataclass(frozen=True, slots=True)
class RecognitionOptions:
    """`width_step_px`: widths are padded to multiples of this, so that the network meets few shapes.
    `batch_px`: lines x width in one call; `calls`: at once."""

    width_step_px: int = 96
    min_width_px: int = 192
    max_width_px: int = 4800
    batch_px: int = 3072
    max_batch: int = 16
    calls: int = 1


@dataclass(frozen=True, slots=True)
class ReadCharacter:
    """`middle`: where the character stands, in pixels from the line's start."""

    text: str
    confidence: float
    middle: float


@dataclass(frozen=True, slots=True)
class ReadLine:
    characters: tuple[ReadCharacter, ...] = ()

    @property
    def text(self) -> str:
        return "".join(character.text for character in self.characters)

    @property
    def confidence(self) -> float:
        """Mean of the characters' probabilities but for spaces, 0 for an empty text."""
        sure = [character.confidence for character in self.characters if not character.text.isspace()]
        return sum(sure) / len(sure) if sure else 0.0

    def extents(self, length: float, reach: float) -> list[tuple[float, float]]:
        """From where to where each character goes along a line of that length: halfway to its neighbours, but no
        farther than `reach` from its middle."""
        middles = [character.middle for character in self.characters]
        cuts = [0.0, *((one + two) / 2 for one, two in pairwise(middles)), length]
        return [
            (max(start, middle - reach), min(end, middle + reach))
            for middle, (start, end) in zip(middles, pairwise(cuts), strict=bool(middles))
        ]

    def stripped(self) -> ReadLine:
        """Without spaces at its ends."""
        kept = [index for index, character in enumerate(self.characters) if character.text.strip()]
        return ReadLine(self.characters[kept[0] : kept[-1] + 1]) if kept else ReadLine()


class Recognizer:
    def __init__(self, network: Network, characters: Sequence[str], options: RecognitionOptions) -> None:
        """characters: one per class after the blank; see `characters_of`. With more than one of `options.calls`, the
        network is called from several threads at once."""
        self._network = network
        self._characters = tuple(characters)
        self._options = options

    def read(self, lines: Sequence[Pixels], shares: Sequence[float] | None = None) -> list[ReadLine]:
        """One result per line, in order. Lines of like width go through the network together. `shares`: to which share
        of its width each line is squeezed first; none are without it."""
        widths = [
            scaled_width(line, self._options, share)
            for line, share in zip(lines, shares or [1.0] * len(lines), strict=True)
        ]
        results = [ReadLine()] * len(lines)

        def read(members: Sequence[int]) -> None:
            width = padded_width(max(widths[member] for member in members), self._options)
            batch = np.zeros((len(members), 3, LINE_HEIGHT, width), dtype=np.float32)
            for row, member in enumerate(members):
                batch[row, :, :, : widths[member]] = normalized(lines[member], widths[member])
            steps = self._network(batch)
            for row, member in enumerate(members):
                scale = lines[member].shape[1] / widths[member]
                results[member] = best_path(Steps(*(part[row] for part in steps)), self._characters, scale * STRIDE)

        # The widest first: what the others wait for at the end is short.
        groups = list(batches(widths, self._options))[::-1]
        if min(self._options.calls, len(groups)) > 1:
            with ThreadPoolExecutor(self._options.calls, "ocr-line") as pool:
                list(pool.map(read, groups))
        else:
            for group in groups:
                read(group)
        return results


def characters_of(model: Path) -> tuple[str, ...]:
    """The characters that the recognition network's classes 1, 2, … stand for, from the model's metadata; the last
    class is the space."""
    metadata = {entry.key: entry.value for entry in onnx.load(str(model), load_external_data=False).metadata_props}
    return (*metadata["character"].split("\n"), " ")


def scaled_width(line: Pixels, options: RecognitionOptions, share: float = 1.0) -> int:
    """Width of the line at the network's height, or that share of it. Longer ones are squeezed."""
    height, width = int(line.shape[0]), max(1, round(share * int(line.shape[1])))
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


def best_path(steps: Steps, characters: Sequence[str], step_px: float) -> ReadLine:
    """steps: of one line, so without the first axis. Repeats collapse, blanks go. `step_px`: the line's pixels for a
    step. Of a repeated class the likeliest step tells place and confidence."""
    classes, probabilities = steps.classes, steps.probabilities
    bounds = np.flatnonzero(np.diff(classes, prepend=-1, append=-1)).tolist()
    read: list[ReadCharacter] = []
    before = 0
    for start, end in pairwise(bounds):
        if classes[start] == BLANK:
            continue
        text = characters[classes[start] - 1]
        if read and _may_part(read[-1].text) and _may_part(text) and start > before:
            between = before + int(steps.spaces[before:start].argmax())
            if steps.spaces[between] >= SPACE:
                read.append(ReadCharacter(" ", float(steps.spaces[between]), (between + 0.5) * step_px))
        peak = start + int(probabilities[start:end].argmax())
        read.append(ReadCharacter(text, float(probabilities[peak]), (peak + 0.5) * step_px))
        before = end
    return ReadLine(tuple(read))


def is_wide(text: str) -> bool:
    """Whether there is a character of full width in it."""
    return any(unicodedata.east_asian_width(character) in "WF" for character in text)


def _may_part(text: str) -> bool:
    return text.isascii() and not text.isspace()
