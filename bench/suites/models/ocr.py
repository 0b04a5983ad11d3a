"""How well and how fast pages are read, beside tesseract, in turns on the same pages.

Pages are typeset from the texts of retrieval sets, so their text is known. An error is a character inserted, left out
or changed (Levenshtein distance), after NFKC; in Japanese white space does not count, in English a run of it counts as
one.
"""

from __future__ import annotations

import asyncio
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import JsonValue, TypeAdapter

from bench.loadgen import Operation, OperationFailed, alternating
from bench.metrics import median, paired_median_ratio
from bench.record import Findings, Series, SummaryRow
from bench.suites.base import counted, row
from bench.suites.models.typeset import TypesetPage, english_page, font_path, japanese_page, scanned, texts_of
from bench.suites.models.workload import OcrPlan
from bench.targets import Endpoints
from pinakes import AsyncClient, ClientOptions, PinakesError, RetryPolicy

T = TypeVar("T")
GROUPS = ("English", "Japanese rows", "Japanese columns", "noisy")
_OURS, _PEER = "Pinakes", "tesseract"
_ONCE = ClientOptions(retry=RetryPolicy(attempts=1))
# One block of columns, for the language of columns; otherwise tesseract finds the layout.
_COLUMNS = ("jpn_vert", "--psm", "5")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A page and what tesseract must be told of it."""

    group: str
    page: TypesetPage
    language: tuple[str, ...]

    @property
    def is_japanese(self) -> bool:
        return self.language[0] != "eng"


@dataclass(slots=True)
class _Tally:
    """Errors and characters of each page that was read, by its number."""

    errors: dict[int, int] = field(default_factory=dict)
    characters: dict[int, int] = field(default_factory=dict)


def leaves(sets: Path, plan: OcrPlan, seed: int) -> list[Leaf]:
    """`pages` of each group. The noisy ones take turns among the three ways of writing. Raises NoDataSets, ValueError
    for a font that is not there."""
    english = texts_of(sets, plan.english_set, seed, wide=False)
    japanese = texts_of(sets, plan.japanese_set, seed, wide=True)
    faces = {name: font_path(name) for name in (*plan.english_fonts, *plan.japanese_fonts)}

    def page(group: str, number: int) -> Leaf:
        if group == GROUPS[0]:
            return Leaf(group, english_page(english, faces[_in_turn(plan.english_fonts, number)]), ("eng",))
        font = faces[_in_turn(plan.japanese_fonts, number)]
        if group == GROUPS[1]:
            return Leaf(group, japanese_page(japanese, font, "rows"), ("jpn",))
        return Leaf(group, japanese_page(japanese, font, "columns"), _COLUMNS)

    made = [page(group, number) for group in GROUPS[:3] for number in range(plan.pages)]
    for number in range(plan.pages):
        clean = page(_in_turn(GROUPS[:3], number), number)
        scan = scanned(clean.page, seed + number, dpi=_in_turn(plan.noisy_dpi, number))
        made.append(replace(clean, group=GROUPS[3], page=scan))
    return made


def _in_turn(values: Sequence[T], number: int) -> T:
    return values[number % len(values)]


async def measure_ocr(endpoints: Endpoints, plan: OcrPlan, sets: Path, seed: int) -> Findings:
    """A series for each engine and group; without tesseract on the machine, Pinakes alone."""
    pages = await asyncio.to_thread(leaves, sets, plan, seed)
    program = shutil.which(plan.tesseract)
    tallies: dict[str, _Tally] = {}
    found: list[Series] = []
    async with AsyncClient(endpoints.server, options=_ONCE) as client:
        for group in GROUPS:
            members = [leaf for leaf in pages if leaf.group == group]
            operations: dict[str, Operation] = {}
            for who in (_OURS, _PEER) if program else (_OURS,):
                tally = tallies[_name(group, who)] = _Tally()
                operations[_name(group, who)] = (
                    _pinakes(client, members, plan, tally)
                    if who == _OURS
                    else _tesseract(str(program), members, plan, tally)
                )
            for number in range(plan.warm_up):
                for operation in operations.values():
                    with suppress(OperationFailed):  # what fails fails again where it is counted
                        await operation(number % len(members))
            taken = await alternating(operations, len(members), plan.limit_s)
            found += [Series(name, "alternating", samples, warm_up=plan.warm_up) for name, samples in taken.items()]
    facts: dict[str, JsonValue] = {
        name: {"errors": sum(tally.errors.values()), "characters": sum(tally.characters.values())}
        for name, tally in tallies.items()
    }
    return Findings(tuple(found), {"ocr": facts})


def _name(group: str, who: str) -> str:
    return f"OCR, {group}: {who}"


def _pinakes(client: AsyncClient, pages: Sequence[Leaf], plan: OcrPlan, tally: _Tally) -> Operation:
    async def operation(number: int) -> Mapping[str, float]:
        leaf = pages[number]
        try:
            read = await client.recognize_text(leaf.page.image, timeout_s=plan.deadline_s)
        except PinakesError as exc:
            raise OperationFailed(exc.reason or type(exc).__name__) from exc
        _count(tally, number, leaf, "\n".join(line.text for line in read.lines))
        return {}

    return operation


def _tesseract(program: str, pages: Sequence[Leaf], plan: OcrPlan, tally: _Tally) -> Operation:
    async def operation(number: int) -> Mapping[str, float]:
        leaf = pages[number]
        process = await asyncio.create_subprocess_exec(
            *("env", f"OMP_THREAD_LIMIT={plan.threads}"),
            *(program, "-", "-", "-l", *leaf.language),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(plan.deadline_s):
                text, _ = await process.communicate(leaf.page.image)
        except TimeoutError as exc:
            raise OperationFailed("DEADLINE") from exc
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise OperationFailed(f"EXIT_{process.returncode}")
        _count(tally, number, leaf, text.decode())
        return {}

    return operation


def _count(tally: _Tally, number: int, leaf: Leaf, text: str) -> None:
    truth, read = (normal_form(each, japanese=leaf.is_japanese) for each in (leaf.page.text, text))
    tally.errors[number], tally.characters[number] = distance(truth, read), len(truth)


def normal_form(text: str, *, japanese: bool) -> str:
    words = unicodedata.normalize("NFKC", text).split()
    return ("" if japanese else " ").join(words)


def distance(one: str, other: str) -> int:
    """Levenshtein's, a row of the table at a time: within a row, what insertions carry on is a running minimum."""
    columns = np.arange(len(other) + 1)
    letters = np.array([ord(character) for character in other], dtype=np.int64)
    above = columns.copy()
    for number, character in enumerate(one, start=1):
        beside = np.minimum(above[:-1] + (letters != ord(character)), above[1:] + 1)
        above = np.minimum.accumulate(np.concatenate([[number], beside]) - columns) + columns
    return int(above[-1])


def ocr_rows(findings: Findings, seed: int) -> list[SummaryRow]:
    """For each group: both error rates and ours over tesseract's, both times and how many times as fast we are. None
    where tesseract is not there or made no errors."""
    if "ocr" not in findings.facts:
        return []
    rng = np.random.default_rng(seed)
    facts = TypeAdapter(dict[str, dict[str, int]]).validate_python(findings.facts["ocr"])
    series = {one.name: one for one in findings.series}
    rows: list[SummaryRow] = []
    for group in GROUPS:
        ours, peer = (series.get(_name(group, who)) for who in (_OURS, _PEER))
        if ours is None:
            continue
        our_rate, peer_rate = (_rate(facts.get(_name(group, who))) for who in (_OURS, _PEER))
        count = len(ours.samples)
        rows += [
            counted(f"OCR, {group}: character error rate", "share", our_rate, count),
            counted(f"OCR, {group}: character error rate, tesseract", "share", peer_rate, count),
            counted(f"OCR, {group}: errors beside tesseract's", "x", _beside(our_rate, peer_rate), count),
            row(f"OCR, {group}: page p50", "s", median(ours.latencies_s())),
            row(f"OCR, {group}: page p50, tesseract", "s", median(peer.latencies_s()) if peer else None),
            row(
                f"OCR, {group}: times as fast as tesseract",
                "x",
                paired_median_ratio(ours.latencies_s(), peer.latencies_s(), rng) if peer else None,
                better="higher",
            ),
        ]
    own = [one for one in findings.series if one.name.startswith("OCR, ")]
    failures = sum(one.failures() for one in own)
    return [*rows, counted("OCR failures", "calls", failures, sum(len(one.samples) for one in own))]


def _rate(fact: Mapping[str, int] | None) -> float | None:
    return fact["errors"] / fact["characters"] if fact and fact["characters"] else None


def _beside(ours: float | None, peer: float | None) -> float | None:
    """No errors beside none is equal."""
    if ours is None or peer is None:
        return None
    if peer == 0:
        return 1.0 if ours == 0 else None
    return ours / peer
