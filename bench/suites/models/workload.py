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


class EmbeddingPlan(Strict):
    """A round is one call with `texts` texts of `least_tokens` to `most_tokens` tokens each. Bare engines get them in
    their order, so many of `batches` at a time (the best counts), with `threads`. `peers` is the interpreter, from the
    project's folder on, of an environment with sentence-transformers; without one that engine is left out."""

    deadline_s: float
    limit_s: float
    warm_up: int = Field(gt=0)
    rounds: int = Field(gt=0)
    texts: int = Field(gt=0, le=256)
    least_tokens: int = Field(gt=5)
    most_tokens: int = Field(le=512)
    batches: tuple[int, ...] = Field(min_length=1)
    english_set: str
    japanese_set: str
    threads: int = Field(gt=0)
    peers: str


class QueryPlan(Strict):
    """`tokens` with what the model adds."""

    deadline_s: float
    limit_s: float
    warm_up: int
    rounds: int = Field(gt=0)
    tokens: int = Field(gt=8)
    threads: int = Field(gt=0)


class RerankPlan(Strict):
    deadline_s: float
    limit_s: float
    warm_up: int
    rounds: int = Field(gt=0)
    passages: int = Field(gt=0, le=256)
    passage_tokens: int = Field(gt=5)
    query_tokens: int = Field(gt=5)


class ModelsWorkload(Workload):
    embedding: EmbeddingPlan
    query: QueryPlan
    rerank: RerankPlan
    ocr: OcrPlan
    generation: GenerationPlan
