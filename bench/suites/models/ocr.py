"""How well and how fast pages are read, beside tesseract, in turns on the same pages.

Pages are typeset from the texts of retrieval sets, so their text is known, or come from a folder with their text. An
error is a character inserted, left out or changed (Levenshtein distance), after NFKC; in Japanese white space does not
count, elsewhere a run of it counts as one. Where the order of the text is not sure, an error is a word (in Japanese a
character) that is missing or too many.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import unicodedata
from collections import Counter
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
_LANGUAGES = {"en": "eng", "ja": "jpn"}
_TYPESET, _FOLDER = "OCR", "pages"
MANIFEST = "manifest.jsonl"


class NoPages(Exception):
    """The folder holds no pages with their text."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} holds no {MANIFEST}: name the folder of pages with --pages")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A page and what tesseract must be told of it. `ordered`: the order of its text is sure."""

    group: str
    page: TypesetPage
    language: tuple[str, ...]
    ordered: bool = True

    @property
    def is_japanese(self) -> bool:
        return self.language[0].startswith("jpn")


@dataclass(slots=True)
class _Tally:
    """Errors of each page that was read, and what they are out of (characters, or words), by its number."""

    errors: dict[int, int] = field(default_factory=dict)
    out_of: dict[int, int] = field(default_factory=dict)


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


def leaves_of(folder: Path) -> list[Leaf]:
    """The pages of a folder whose `manifest.jsonl` names, in each row, an `id`, the files of the `image` and its text
    (`gt`), the language (`lang`: en, ja or another, read as English), and whether the text's order is sure
    (`order_reliable`). Their groups are what their ids begin with, as far as the second underscore. Raises
    NoPages."""
    manifest = folder / MANIFEST
    if not manifest.exists():
        raise NoPages(folder)
    pages = [json.loads(line) for line in manifest.read_text().splitlines()]
    return [
        Leaf(
            "_".join(page["id"].split("_")[:2]),
            TypesetPage((folder / page["image"]).read_bytes(), (folder / page["gt"]).read_text()),
            (_LANGUAGES.get(page["lang"], "eng"),),
            ordered=page["order_reliable"],
        )
        for page in pages
    ]


async def measure_ocr(endpoints: Endpoints, plan: OcrPlan, sets: Path, seed: int) -> Findings:
    """A series for each engine and group; without tesseract on the machine, Pinakes alone."""
    return await _measured(endpoints, plan, await asyncio.to_thread(leaves, sets, plan, seed), _TYPESET)


async def measure_pages(endpoints: Endpoints, plan: OcrPlan, folder: Path) -> Findings:
    """The same on the pages of a folder. Tesseract finds their layout itself, in the language that is told."""
    return await _measured(endpoints, plan, await asyncio.to_thread(leaves_of, folder), _FOLDER)


async def _measured(endpoints: Endpoints, plan: OcrPlan, pages: Sequence[Leaf], what: str) -> Findings:
    program = shutil.which(plan.tesseract)
    facts: dict[str, JsonValue] = {}
    found: list[Series] = []
    async with AsyncClient(endpoints.server, api_key=endpoints.api_key, options=_ONCE) as client:
        for group in dict.fromkeys(leaf.group for leaf in pages):
            # One group with two kinds of errors is counted in words.
            ordered = all(leaf.ordered for leaf in pages if leaf.group == group)
            members = [replace(leaf, ordered=ordered) for leaf in pages if leaf.group == group]
            tallies: dict[str, _Tally] = {}
            operations: dict[str, Operation] = {}
            for who in (_OURS, _PEER) if program else (_OURS,):
                tally = tallies[who] = _Tally()
                operations[_name(what, group, who)] = (
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
            facts |= {
                _name(what, group, who): {
                    "errors": sum(tally.errors.values()),
                    ("characters" if ordered else "words"): sum(tally.out_of.values()),
                }
                for who, tally in tallies.items()
            }
    return Findings(tuple(found), {_fact(what): facts})


def _fact(what: str) -> str:
    return what.lower()


def _name(what: str, group: str, who: str) -> str:
    return f"{what}, {group}: {who}"


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
    tally.errors[number], tally.out_of[number] = errors_of(leaf, text)


def errors_of(leaf: Leaf, text: str) -> tuple[int, int]:
    """Errors in what was read of a page, and what they are out of."""
    truth, read = (normal_form(each, japanese=leaf.is_japanese) for each in (leaf.page.text, text))
    if leaf.ordered:
        return distance(truth, read), len(truth)
    words, found = (Counter(each if leaf.is_japanese else each.split()) for each in (truth, read))
    return (words - found).total() + (found - words).total(), words.total()


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
    """For each group both error rates and ours over tesseract's, both times and how many times as fast we are. None
    where tesseract is not there or made no errors."""
    return [row for what in (_TYPESET, _FOLDER) for row in _rows(findings, what, seed)]


def _rows(findings: Findings, what: str, seed: int) -> list[SummaryRow]:
    if _fact(what) not in findings.facts:
        return []
    rng = np.random.default_rng(seed)
    facts = TypeAdapter(dict[str, dict[str, int]]).validate_python(findings.facts[_fact(what)])
    series = {one.name: one for one in findings.series}
    rows: list[SummaryRow] = []
    for group in dict.fromkeys(name.removeprefix(f"{what}, ").rsplit(": ", 1)[0] for name in facts):
        ours, peer = (series.get(_name(what, group, who)) for who in (_OURS, _PEER))
        if ours is None:
            continue
        our_fact, peer_fact = (facts.get(_name(what, group, who)) for who in (_OURS, _PEER))
        our_rate, peer_rate = _rate(our_fact), _rate(peer_fact)
        kind = "word" if our_fact and "words" in our_fact else "character"
        count = len(ours.samples)
        rows += [
            counted(f"{what}, {group}: {kind} error rate", "share", our_rate, count),
            counted(f"{what}, {group}: {kind} error rate, tesseract", "share", peer_rate, count),
            counted(f"{what}, {group}: errors beside tesseract's", "x", _beside(our_rate, peer_rate), count),
            row(f"{what}, {group}: page p50", "s", median(ours.latencies_s())),
            row(f"{what}, {group}: page p50, tesseract", "s", median(peer.latencies_s()) if peer else None),
            row(
                f"{what}, {group}: times as fast as tesseract",
                "x",
                paired_median_ratio(ours.latencies_s(), peer.latencies_s(), rng) if peer else None,
                better="higher",
            ),
        ]
    own = [one for one in findings.series if one.name.startswith(f"{what}, ")]
    failures = sum(one.failures() for one in own)
    return [*rows, counted(f"{what} failures", "calls", failures, sum(len(one.samples) for one in own))]


def _rate(fact: Mapping[str, int] | None) -> float | None:
    out_of = fact.get("characters", fact.get("words", 0)) if fact else 0
    return fact["errors"] / out_of if fact and out_of else None


def _beside(ours: float | None, peer: float | None) -> float | None:
    """No errors beside none is equal."""
    if ours is None or peer is None:
        return None
    if peer == 0:
        return 1.0 if ours == 0 else None
    return ours / peer
