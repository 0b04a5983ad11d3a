"""How long a scanned page takes until it can be searched, beside tesseract, in turns on the same pages.

Pinakes takes a PDF of images through all its stages; tesseract only reads the images. How right both read is measured
by the suite `models`.
"""

from __future__ import annotations

import asyncio
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench.loadgen import Operation, OperationFailed, alternating
from bench.metrics import median, paired_median_ratio
from bench.record import Findings, Series, SummaryRow
from bench.suites.base import row
from bench.suites.ingestion.workload import ScannedPlan
from bench.suites.models.typeset import WIDTH, TypesetPage, english_page, font_path, japanese_page, scanned, texts_of
from bench.targets import Endpoints
from pinakes import AsyncClient, PinakesError

GROUPS = ("English", "Japanese", "noisy")
_OURS, _PEER = "Pinakes", "tesseract"
_DPI = 300


@dataclass(frozen=True, slots=True)
class Scan:
    """One document: its pages, and what tesseract must be told of them."""

    pages: tuple[TypesetPage, ...]
    language: str

    def pdf(self) -> bytes:
        """A4 pages, whatever the scanner's resolution was."""
        images = [Image.open(io.BytesIO(page.image)).convert("L") for page in self.pages]
        resolution = _DPI * images[0].width / WIDTH
        out = io.BytesIO()
        images[0].save(out, "PDF", save_all=True, append_images=images[1:], resolution=resolution)
        return out.getvalue()


def scans(sets: Path, plan: ScannedPlan, seed: int) -> dict[str, list[Scan]]:
    """A document for each group and round, no page twice. Raises NoDataSets, ValueError for a missing font."""
    english = texts_of(sets, plan.english_set, seed, wide=False)
    japanese = texts_of(sets, plan.japanese_set, seed, wide=True)
    faces = font_path(plan.english_font), font_path(plan.japanese_font)
    made: dict[str, list[Scan]] = {group: [] for group in GROUPS}
    for number in range(plan.rounds):
        made[GROUPS[0]].append(Scan(tuple(english_page(english, faces[0]) for _ in range(plan.pages)), "eng"))
        pages = tuple(japanese_page(japanese, faces[1], "rows") for _ in range(plan.pages))
        made[GROUPS[1]].append(Scan(pages, "jpn"))
        clean = [english_page(english, faces[0]) for _ in range(plan.pages)]
        noisy = (scanned(page, seed + number, dpi=plan.noisy_dpi) for page in clean)
        made[GROUPS[2]].append(Scan(tuple(noisy), "eng"))
    return made


async def measure_scanned(endpoints: Endpoints, plan: ScannedPlan, sets: Path, seed: int) -> Findings:
    """A series for each engine and group, a sample a document; without tesseract on the machine, Pinakes alone."""
    documents = await asyncio.to_thread(scans, sets, plan, seed)
    program = shutil.which(plan.tesseract)
    found: list[Series] = []
    async with AsyncClient(endpoints.server, api_key=endpoints.api_key) as client:
        for group, members in documents.items():
            operations = {_name(group, _OURS): _pinakes(client, group, members, plan)}
            if program:
                operations[_name(group, _PEER)] = _tesseract(program, members, plan)
            taken = await alternating(operations, len(members), plan.limit_s)
            found += [Series(name, "alternating", samples) for name, samples in taken.items()]
    return Findings(tuple(found), {"scanned": {"pages": plan.pages}})


def _pinakes(client: AsyncClient, group: str, members: Sequence[Scan], plan: ScannedPlan) -> Operation:
    files = [scan.pdf() for scan in members]

    async def operation(number: int) -> Mapping[str, float]:
        try:
            upload = await client.documents.upload(
                files[number], name=f"scan-{group}-{number}.pdf", timeout_s=plan.deadline_s
            )
            await client.documents.wait(upload.job, timeout_s=plan.deadline_s)
        except PinakesError as error:
            raise OperationFailed(error.reason or type(error).__name__) from error
        return {}

    return operation


def _tesseract(program: str, members: Sequence[Scan], plan: ScannedPlan) -> Operation:
    async def read(page: TypesetPage, language: str, places: asyncio.Semaphore) -> None:
        async with places:
            process = await asyncio.create_subprocess_exec(
                *("env", "OMP_THREAD_LIMIT=1", program, "-", "-", "-l", language),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                await process.communicate(page.image)
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            if process.returncode:
                raise OperationFailed(f"EXIT_{process.returncode}")

    async def operation(number: int) -> Mapping[str, float]:
        scan, places = members[number], asyncio.Semaphore(plan.processes)
        try:
            async with asyncio.timeout(plan.deadline_s):
                await asyncio.gather(*(read(page, scan.language, places) for page in scan.pages))
        except TimeoutError as error:
            raise OperationFailed("DEADLINE") from error
        return {}

    return operation


def _name(group: str, who: str) -> str:
    return f"scanned, {group}: {who}"


def scanned_rows(findings: Findings, seed: int) -> list[SummaryRow]:
    """For each group seconds a page, and how many times as fast as tesseract that is; None where there is none."""
    facts = findings.facts.get("scanned")
    if not isinstance(facts, dict) or not isinstance(pages := facts["pages"], int):
        return []
    rng = np.random.default_rng(seed)
    series = {one.name: one for one in findings.series}
    rows: list[SummaryRow] = []
    for group in GROUPS:
        ours, peer = series.get(_name(group, _OURS)), series.get(_name(group, _PEER))
        if ours is None:
            continue
        rows.append(row(f"scanned, {group}: seconds a page", "s", median(ours.latencies_s()), scale=1 / pages))
        ratio = None if peer is None else paired_median_ratio(ours.latencies_s(), peer.latencies_s(), rng)
        rows.append(row(f"scanned, {group}: times as fast as tesseract", "x", ratio, better="higher"))
    return rows
