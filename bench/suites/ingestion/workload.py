"""What the suite does, as typed tables of its TOML file."""

from __future__ import annotations

from pydantic import Field

from bench.suites.base import Strict, Workload


class BornDigitalPlan(Strict):
    """`documents` of `pages` pages each, from the paragraphs of a retrieval set, `parallel` uploads at a time."""

    deadline_s: float
    documents: int = Field(gt=0)
    pages: int = Field(gt=0)
    parallel: int = Field(gt=0)
    text_set: str


class ScannedPlan(Strict):
    """In each round and group a document of `pages` pages, by Pinakes and by tesseract. The latter reads `processes`
    pages at a time, each with one thread, which is how it is fastest."""

    deadline_s: float
    limit_s: float
    rounds: int = Field(gt=0)
    pages: int = Field(gt=0)
    english_set: str
    japanese_set: str
    english_font: str
    japanese_font: str
    noisy_dpi: int = Field(gt=0)
    tesseract: str
    processes: int = Field(gt=0)


class TablesPlan(Strict):
    deadline_s: float
    tables: int = Field(gt=0)
    rows: int = Field(gt=1)
    columns: int = Field(gt=1)


class EventsPlan(Strict):
    """`events` are published, `together` of them at a time, while one subscriber reads."""

    deadline_s: float
    events: int = Field(gt=0)
    together: int = Field(gt=0, le=1_000)


class PrivacyPlan(Strict):
    """In each round a text of so many characters in each language is looked through."""

    deadline_s: float
    characters: int = Field(gt=0, le=1_000_000)
    rounds: int = Field(gt=0)


class IngestionWorkload(Workload):
    born_digital: BornDigitalPlan
    scanned: ScannedPlan
    tables: TablesPlan
    events: EventsPlan
    privacy: PrivacyPlan
