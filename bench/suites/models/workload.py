"""What the suite does, as typed tables of its TOML file."""

from __future__ import annotations

from pydantic import Field

from bench.suites.base import Strict, Workload


class GenerationPlan(Strict):
    """`threads`, `slots` and `context_tokens` are the peer's, and should be what the stack has."""

    deadline_s: float
    warm_up: int
    rounds: int = Field(gt=0)
    prompt_tokens: int = Field(gt=0)
    max_tokens: int = Field(gt=1)
    threads: int = Field(gt=0)
    slots: int = Field(gt=0)
    context_tokens: int = Field(gt=0)


class OcrPlan(Strict):
    """Pages of each group are typeset from the named retrieval sets, in the fonts in turn. `tesseract` is a program,
    which finds its languages (eng, jpn, jpn_vert) as its environment says; `threads` are its."""

    deadline_s: float
    limit_s: float
    warm_up: int
    pages: int = Field(gt=0)
    english_set: str
    japanese_set: str
    english_fonts: tuple[str, ...] = Field(min_length=1)
    japanese_fonts: tuple[str, ...] = Field(min_length=1)
    noisy_dpi: tuple[int, ...] = Field(min_length=1)
    tesseract: str
    threads: int = Field(gt=0)


class ModelsWorkload(Workload):
    ocr: OcrPlan
    generation: GenerationPlan
