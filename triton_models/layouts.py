"""How many processes serve a slot's models, and how: measured on a machine (`pinakes tune models`), and read when the
repository is rendered, where it takes the place of what the profile says.

The file is TOML: `cores`, of the machine that it was measured on (elsewhere it is not heeded), and a table for each
slot.
"""

from __future__ import annotations

import tomllib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from triton_models.errors import InvalidCatalogue

LAYOUTS_FILE = "tuned-models.toml"
"""In the data directory."""
TUNED_SLOTS = ("embed", "rerank", "read")
"""Whose templates have all that a layout says."""
_BATCH_TOKENS = (512, 1_024, 2_048, 4_096)
_QUEUE_DELAYS_US = (0, 500, 2_000)
_LEAST_GAIN = 0.97
"""Another layout takes the place of the best so far if it costs that share of it at most: less is noise."""


@dataclass(frozen=True, slots=True)
class Layout:
    """`instances` processes with `threads` threads each. Texts go through the network in batches of `batch_tokens`
    tokens, and a request waits up to `queue_delay_us` for others to be joined with."""

    instances: int
    threads: int
    batch_tokens: int
    queue_delay_us: int


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one layout. `bulk_s`: of many texts of mixed lengths; `single_s`: of what somebody waits for (a query)."""

    bulk_s: float
    single_s: float

    @property
    def cost(self) -> float:
        """Both count alike: half the time of one makes up for twice that of the other."""
        return self.bulk_s * self.single_s


async def search(
    start: Layout, cores: int, measure: Callable[[Layout], Awaitable[Timing]], more: Callable[[], bool]
) -> tuple[dict[Layout, Timing], Layout]:
    """What was measured, in that order, and the best of it.

    One thing after another is changed in the best layout so far: the division of the cores, the batch, the delay. Ends
    early when `more` says so; `start` is always measured.
    """
    measured = {start: await measure(start)}
    best = start
    for candidates in (_divisions, _batches, _delays):
        for layout in list(candidates(best, cores)):
            if layout in measured:
                continue
            if not more():
                return measured, best
            measured[layout] = await measure(layout)
            if measured[layout].cost < _LEAST_GAIN * measured[best].cost:
                best = layout
    return measured, best


def _divisions(best: Layout, cores: int) -> Iterator[Layout]:
    """Among 1, 2, 4, … instances, and one for each core."""
    counts = {1 << power for power in range(cores.bit_length()) if 1 << power <= cores} | {cores}
    for instances in sorted(counts):
        yield replace(best, instances=instances, threads=cores // instances)


def _batches(best: Layout, cores: int) -> Iterator[Layout]:
    return (replace(best, batch_tokens=tokens) for tokens in _BATCH_TOKENS)


def _delays(best: Layout, cores: int) -> Iterator[Layout]:
    return (replace(best, queue_delay_us=delay) for delay in _QUEUE_DELAYS_US)


class _Table(BaseModel):
    """A slot's layout in the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instances: int = Field(gt=0, le=1_024)
    threads: int = Field(gt=0, le=1_024)
    batch_tokens: int = Field(ge=64, le=1 << 20)
    queue_delay_us: int = Field(ge=0, le=1_000_000)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    cores: int = Field(gt=0)
    slots: dict[str, _Table] = {}


def read_layouts(path: Path, cores: int) -> dict[str, Layout]:
    """By slot; none if there is no such file, or it was measured with another number of cores. Raises
    InvalidCatalogue."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        file = _File.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as exc:
        raise InvalidCatalogue(
            path, f"{exc}; `pinakes tune models` writes it anew, without it the profile holds"
        ) from exc
    if file.cores != cores:
        return {}
    return {slot: Layout(**table.model_dump()) for slot, table in file.slots.items()}


def layouts_text(layouts: Mapping[str, Layout], cores: int) -> str:
    """What `read_layouts` reads."""
    lines = [
        "# Measured by `pinakes tune models`, read when Triton is started. Without it the profile's values hold.",
        f"cores = {cores}",
    ]
    for slot, layout in sorted(layouts.items()):
        lines += ["", f"[slots.{slot}]", *(f"{each.name} = {getattr(layout, each.name)}" for each in fields(layout))]
    return "\n".join(lines) + "\n"
