"""Mends what the recognition network leaves out of downward Japanese lines.

Such a line is read lying (turned a quarter to the left). The network then reads ideographs and kana as well as those of
upright rows, but it skips most punctuation, brackets, long vowel marks and small kana, and is sure of it: no other
decoding brings them back. What it skips leaves a gap in the even pitch of the characters, with ink in it. Each such gap
is cut out together with its neighbours and set as a short upright row in two ways:

- standing: each cell turned upright, small signs moved to where a row has them (a comma from top-right to bottom-left);
- lying: each cell as it lies, because signs that turn with the writing direction look in the lying line as they do in
  an upright row.

Both are read like any other line, and for each cell the surer of the readings that its way allows is taken. Commas and
full stops, which are most of the gaps, are told by their place and need no lying row.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import cv2
import numpy as np
import numpy.typing as npt

from triton_models.ocr.decoding import Pixels
from triton_models.ocr.recognition import ReadCharacter, ReadLine, Recognizer, is_wide

TURNING = frozenset("（）()「」『』【】〔〕〈〉《》［］[]｛｝{}“”…‥〜～ー―—：；:;＝=→←")
"""Signs that turn with the writing direction."""
STROKES = frozenset("一-－—―─_ー")
"""What a long vowel mark, lying, may be read as."""
NEVER_STANDING = TURNING | STROKES | frozenset("1lI|!'`\"丨｜１ｌＩ/\\.,")
"""What no standing cell is taken for: a stroke is a long vowel mark, and digits and letters are not skipped."""
INK = 0.35
"""A pixel is ink if it is this far from the ground to the darkest."""
LEAST_INK = 0.008
"""Share of a cell's pixels."""
LEAST_CONFIDENCE = 0.4
MARK = 0.45
"""Commas and full stops are smaller than this share of the pitch."""
SMALL = 0.78
"""Small kana are smaller than this share of the pitch."""
VALLEY = 0.2
"""Of the pitch: how far from its even place a cell's edge is looked for."""
SLACK = 0.12
"""Of the pitch: ink this far outside a line's first or last cell is that cell's own."""
MARGIN = 0.12
"""Of the pitch: ground around a row."""
LYING = 0.06
"""Of lying characters more than this share is left out …"""
LYING_LEAST = 4
"""… and at least so many."""
LONGEST_GAP = 6
"""Cells. A longer gap is no punctuation."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Cells of a lying line that have ink but no character. `at`: index of the character after them; `edges`: where
    each begins and, last, where the last ends, in pixels from the line's start; `pitch`: of the line's characters."""

    at: int
    edges: tuple[int, ...]
    pitch: float


def mended(lines: Sequence[Pixels], read: Sequence[ReadLine], recognizer: Recognizer) -> list[ReadLine]:
    """One result per lying line and what was read in it, in order. Gaps of all lines are read together: one or two rows
    of at least three cells for each gap."""
    found = [gaps_of(line, one) for line, one in zip(lines, read, strict=True)]
    ways = [[_ways(line, gap) for gap in gaps] for line, gaps in zip(lines, found, strict=True)]
    rows = [
        row(line, one, gap, lying=lying)
        for line, one, gaps, choices in zip(lines, read, found, ways, strict=True)
        for gap, choice in zip(gaps, choices, strict=True)
        for lying in choice
    ]
    answers = iter(recognizer.read(rows))
    filled = []
    for one, gaps, choices in zip(read, found, ways, strict=True):
        fillings = []
        for gap, choice in zip(gaps, choices, strict=True):
            answered = {lying: next(answers) for lying in choice}
            fillings.append(_filling(gap, answered[False], answered.get(True, ReadLine()), _previous(one, gap)))
        filled.append(_with(one, gaps, fillings))
    return filled


def are_lying(lines: Sequence[Pixels], read: Sequence[ReadLine]) -> bool:
    """Whether the rows of a page are its downward lines, because the page came turned: so much is left out of rows of
    lying characters only. `lines` and `read` are those of one page."""
    cells = sum(len(gap.edges) - 1 for line, one in zip(lines, read, strict=True) for gap in gaps_of(line, one))
    wide = sum(is_wide(character.text) for one in read for character in one.characters)
    return cells >= LYING_LEAST and cells > LYING * wide


# --- gaps --------------------------------------------------------------------------------------------------------


def gaps_of(line: Pixels, read: ReadLine) -> list[Gap]:
    """The gaps of a lying line, from its start. None in lines that are not mostly of wide characters."""
    wide = [character for character in read.characters if is_wide(character.text)]
    if not wide or 2 * len(wide) < len(read.characters):
        return []
    middles = [character.middle for character in read.characters]
    pitch = pitch_of(middles, line.shape[0])
    profile = ink_of(line).sum(axis=0)
    columns = np.flatnonzero(profile)
    if not len(columns):
        return []
    # Characters are imagined before the line's first ink and behind its last, as many whole cells away as are needed.
    lead = math.ceil((middles[0] - pitch / 2 - columns[0]) / pitch - SLACK)
    tail = math.ceil((columns[-1] + 1 - middles[-1] - pitch / 2) / pitch - SLACK)
    bounds = [middles[0] - (max(lead, 0) + 1) * pitch, *middles, middles[-1] + (max(tail, 0) + 1) * pitch]
    gaps = []
    for at, (left, right) in enumerate(pairwise(bounds)):
        count = round((right - left) / pitch) - 1
        if not 1 <= count <= LONGEST_GAP:
            continue
        edges = [_valley(profile, edge, pitch) for edge in np.linspace(left + pitch / 2, right - pitch / 2, count + 1)]
        inked = [profile[max(0, a) : max(0, b)].sum() > LEAST_INK * pitch * pitch for a, b in pairwise(edges)]
        if any(inked):
            first, last = inked.index(True), len(inked) - inked[::-1].index(True)
            gaps.append(Gap(at, tuple(edges[first : last + 1]), pitch))
    return gaps


def _valley(profile: npt.NDArray[np.int_], edge: float, pitch: float) -> int:
    """The column with the least ink near the edge; of several the one nearest to it. It may lie outside the line."""
    reach = round(VALLEY * pitch)
    places = np.arange(round(edge) - reach, round(edge) + reach + 1)
    inside = np.clip(places, 0, len(profile) - 1)
    ink = np.where(places == inside, profile[inside], 0)
    return int(places[np.lexsort((np.abs(places - edge), ink))[0]])


def pitch_of(middles: Sequence[float], height: int) -> float:
    """From one character's middle to the next, as most of them are: the mean around the median of what can be a pitch
    at the line's height (the median alone is as coarse as the network's steps)."""
    steps = np.diff(middles)
    steps = steps[(steps > 0.5 * height) & (steps < 1.3 * height)]
    if not len(steps):
        return 0.85 * height
    usual = float(np.quantile(steps, 0.5, method="nearest"))
    return float(np.mean(steps[np.abs(steps - usual) < 0.2 * height]))


def ink_of(line: Pixels) -> npt.NDArray[np.bool_]:
    """bool[height, width]: dark on light or light on dark, whichever is rarer."""
    grey = cv2.cvtColor(line, cv2.COLOR_BGR2GRAY)
    ranks = np.bincount(grey.ravel(), minlength=256).cumsum()
    low, middle, high = (int(np.searchsorted(ranks, share * grey.size)) for share in (0.02, 0.6, 0.98))
    if high - middle > middle - low:
        return np.asarray(grey > middle + INK * (high - middle))
    return np.asarray(grey < middle - INK * (middle - low))


# --- rows --------------------------------------------------------------------------------------------------------


def row(line: Pixels, read: ReadLine, gap: Gap, *, lying: bool) -> Pixels:
    """The gap's cells and one neighbour on each side as an upright row of cells one pitch wide. Where there is no
    neighbour, there is a blank cell."""
    middles = [character.middle for character in read.characters]
    half = gap.pitch / 2
    ground = _ground(line)

    def cell(start: float, end: float) -> Pixels:
        return _cell(line, round(start), round(end), round(gap.pitch), ground)

    before = cell(middles[gap.at - 1] - half, gap.edges[0]) if gap.at else cell(0, 0)
    after = cell(gap.edges[-1], middles[gap.at] + half) if gap.at < len(middles) else cell(0, 0)
    cells = [cell(start, end) for start, end in pairwise(gap.edges)]
    inner = cells if lying else [_placed_for_a_row(_upright(one)) for one in cells]
    flat = np.concatenate([_upright(before), *inner, _upright(after)], axis=1)
    margin = _margin(gap.pitch)
    framed = cv2.copyMakeBorder(flat, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=ground.tolist())
    return np.asarray(framed, dtype=np.uint8)


def _ways(line: Pixels, gap: Gap) -> tuple[bool, ...]:
    """Whether the gap's row is to be set standing (False), lying (True), or both."""
    ground = _ground(line)
    cells = (_cell(line, start, end, round(gap.pitch), ground) for start, end in pairwise(gap.edges))
    extents = [_ink_extent(_upright(cell)) for cell in cells]
    return (False,) if all(extent is None or extent.is_mark() for extent in extents) else (False, True)


def _ground(line: Pixels) -> Pixels:
    """uint8[3]: the colour beside the ink, of a sample of the pixels."""
    return np.asarray(np.median(line[::3, ::3], axis=(0, 1)), dtype=np.uint8)


def _margin(pitch: float) -> int:
    return max(1, round(MARGIN * pitch))


def _cell(line: Pixels, start: int, end: int, pitch: int, ground: Pixels) -> Pixels:
    """The columns from start to end of a lying line, in the middle of a square of a pitch's side on the ground; what
    goes beyond the line or the square is left out."""
    cell = np.empty((pitch, pitch, 3), dtype=np.uint8)
    cell[:] = ground
    height, width = line.shape[:2]
    surplus = max(0, end - start - pitch)
    start, end = start + surplus // 2, end - (surplus - surplus // 2)
    left = (pitch - (end - start)) // 2 + max(0, -start)
    start, end = max(0, start), min(width, end)
    low = max(0, (height - pitch) // 2)
    part = line[low : low + pitch, start : max(start, end)]
    top = (pitch - part.shape[0]) // 2
    cell[top : top + part.shape[0], left : left + part.shape[1]] = part
    return cell


def _upright(cell: Pixels) -> Pixels:
    return np.ascontiguousarray(np.rot90(cell, -1))


@dataclass(frozen=True, slots=True)
class _InkExtent:
    """Where a cell's ink is: its middle, its lower edge and the longer of its sides, as shares of the cell's side."""

    x: float
    y: float
    bottom: float
    size: float

    def is_mark(self) -> bool:
        """Whether it is a comma or full stop of a downward line: small, top-right."""
        return self.size < MARK and self.y < 0.5 and self.x > 0.5


def _ink_extent(cell: Pixels) -> _InkExtent | None:
    """None without ink."""
    pitch = cell.shape[0]
    rows, columns = np.nonzero(ink_of(cell))
    if not len(rows):
        return None
    top, bottom = float(rows.min()), float(rows.max() + 1)
    left, right = float(columns.min()), float(columns.max() + 1)
    size = max(bottom - top, right - left) / pitch
    return _InkExtent((left + right) / 2 / pitch, (top + bottom) / 2 / pitch, bottom / pitch, size)


def _placed_for_a_row(cell: Pixels) -> Pixels:
    """Small signs stand top-right in a downward line, and in a row bottom-left (marks) or on the ground line (small
    kana)."""
    pitch = cell.shape[0]
    ink = _ink_extent(cell)
    if ink is None:
        return cell
    if ink.is_mark():
        move = (0.25 - ink.x, 0.78 - ink.y)
    elif MARK <= ink.size < SMALL and ink.x > 0.5:
        move = (0.5 - ink.x, 0.9 - ink.bottom)
    else:
        return cell
    transform = np.array([[1, 0, round(move[0] * pitch)], [0, 1, round(move[1] * pitch)]], dtype=np.float32)
    ground = tuple(float(value) for value in np.median(cell, axis=(0, 1)))
    moved = cv2.warpAffine(cell, transform, (pitch, pitch), borderMode=cv2.BORDER_CONSTANT, borderValue=ground)
    return np.asarray(moved, dtype=np.uint8)


# --- choice ------------------------------------------------------------------------------------------------------


def _filling(gap: Gap, standing: ReadLine, lying: ReadLine, previous: str) -> list[ReadCharacter]:
    margin, pitch = _margin(gap.pitch), round(gap.pitch)
    filling = []
    for index, (start, end) in enumerate(pairwise(gap.edges)):
        left = margin + (index + 1) * pitch
        best = _best(_within(standing, left, pitch), _within(lying, left, pitch), previous)
        if best is not None:
            filling.append(ReadCharacter(best.text, best.confidence, (start + end) / 2))
            previous = best.text
    return filling


def _best(standing: Sequence[ReadCharacter], lying: Sequence[ReadCharacter], previous: str) -> ReadCharacter | None:
    """The surest sign that turns; if there is none, the surest other one."""
    latin = unicodedata.normalize("NFKC", previous).isascii() and previous.isalnum()
    turning = [c for c in lying if c.text in TURNING and c.text not in STROKES]
    strokes = [c for c in lying if c.text in STROKES and not latin]
    others = [c for c in standing if c.text.strip() and (c.text not in NEVER_STANDING or (latin and c.text.isalnum()))]
    for choices in (turning, strokes, others):
        best = max(choices, key=lambda character: character.confidence, default=None)
        if best is not None and best.confidence >= LEAST_CONFIDENCE:
            return _as_stroke(best, previous) if choices is strokes else best
    return None


def _within(read: ReadLine, left: int, pitch: int) -> list[ReadCharacter]:
    return [character for character in read.characters if left <= character.middle < left + pitch]


def _as_stroke(character: ReadCharacter, previous: str) -> ReadCharacter:
    """A long vowel mark after kana, a dash elsewhere."""
    kana = previous and unicodedata.name(previous[-1], "").startswith(("KATAKANA", "HIRAGANA"))
    return ReadCharacter("ー" if kana else "―", character.confidence, character.middle)


def _previous(read: ReadLine, gap: Gap) -> str:
    return read.characters[gap.at - 1].text if gap.at else ""


def _with(read: ReadLine, gaps: Sequence[Gap], fillings: Sequence[Sequence[ReadCharacter]]) -> ReadLine:
    parts: list[Sequence[ReadCharacter]] = []
    done = 0
    for gap, filling in zip(gaps, fillings, strict=True):
        parts += [read.characters[done : gap.at], filling]
        done = gap.at
    return ReadLine(tuple(chain(*parts, read.characters[done:])))
