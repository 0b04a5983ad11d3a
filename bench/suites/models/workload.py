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


class ModelsWorkload(Workload):
    generation: GenerationPlan
