"""What looking for personal data costs: texts of our own, with some of it in each tenth sentence, through ScanText."""

from __future__ import annotations

import statistics
import time
from itertools import cycle

from pydantic import JsonValue, TypeAdapter

from bench.record import Findings, SummaryRow
from bench.suites.base import counted
from bench.suites.ingestion.workload import PrivacyPlan
from bench.targets import Endpoints
from pinakes import AsyncClient

_FACTS = "privacy"
_PAGE_CHARACTERS = {"English": 2_600, "Japanese": 1_000}
"""Of a full page: 650 tokens, as ingestion estimates them."""
_SENTENCES = {
    "English": (
        "The keeper walks the gallery twice a day and notes the state of the lamp in the log.",
        "On 2026-11-22 the harbour office counted 14 open items, of which 3 need parts for 1,250.00.",
        "Nobody may board the ferry while the ramp is moving, whatever the timetable says.",
    ),
    "Japanese": (
        "管理人は一日に二回、回廊を歩き、灯器の状態を日誌に書き留める。",
        "２０２６年１１月２２日現在、未処理の項目は14件、うち3件は部品待ちで、費用は1,250円である。",
        "時刻表がどうであれ、渡り板が動いている間は船に乗ってはならない。",
    ),
}
_PERSONAL = {
    "English": "Call the office at 212-555-0143 or write to office@example.org before noon.",
    "Japanese": "正午までに03-3581-4321へ電話するか、office@example.orgへ送ること。",
}


def text_of(language: str, characters: int) -> str:
    """So many characters, every tenth sentence with a telephone number and an address."""
    sentences = cycle((*(_SENTENCES[language] * 3), _PERSONAL[language]))
    parts: list[str] = []
    length = 0
    while length < characters:
        parts.append(next(sentences))
        length += len(parts[-1]) + 1
    return "\n".join(parts)[:characters]


async def measure_privacy(endpoints: Endpoints, plan: PrivacyPlan) -> Findings:
    """The languages in turns. Raises PinakesError."""
    texts = {language: text_of(language, plan.characters) for language in _SENTENCES}
    seconds: dict[str, list[JsonValue]] = {language: [] for language in texts}
    async with AsyncClient(endpoints.server, api_key=endpoints.api_key) as client:
        for number in range(plan.rounds + 1):
            for language, text in texts.items():
                began = time.perf_counter()
                scanned = await client.privacy.scan(text, timeout_s=plan.deadline_s)
                assert scanned.findings, "some of it is there"
                # The first round compiles nothing, but reads the numbering plans of countries.
                if number:
                    seconds[language].append(time.perf_counter() - began)
    return Findings((), {_FACTS: {"characters": plan.characters, "seconds": dict(seconds)}})


def privacy_rows(findings: Findings) -> list[SummaryRow]:
    facts = findings.facts.get(_FACTS)
    if not isinstance(facts, dict):
        return []
    characters = TypeAdapter(int).validate_python(facts["characters"])
    seconds = TypeAdapter(dict[str, list[float]]).validate_python(facts["seconds"])
    return [
        counted(
            f"personal data, {language}: a page of {_PAGE_CHARACTERS[language]:,} characters looked through",
            "ms",
            statistics.median(taken) * _PAGE_CHARACTERS[language] / characters * 1e3,
            len(taken),
        )
        for language, taken in seconds.items()
    ]
