"""`pinakes tune models`: measures on this machine how many processes, of how many threads, serve models of texts best.

Every layout is rendered, loaded into a Triton of its own and called as the server calls it. What is found is read when
Triton is started the next time (`triton_models.layouts`). Beside `app.py` the only place that knows adapters and the
embedded parts.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from index.storage import replace_file
from server.adapters.triton_client import TritonConnection
from server.adapters.triton_control import TritonModelControl
from server.adapters.triton_embedder import TritonEmbedder
from server.adapters.triton_reader import TritonReader
from server.adapters.triton_reranker import TritonReranker
from server.application.model_ports import EmbeddingKind
from server.domain.deadline import Deadline
from server.domain.models import CatalogueModel
from server.embedded.process import running
from server.embedded.triton import EmbeddedTriton
from triton_models.catalogue import load_catalogue
from triton_models.layouts import TUNED_SLOTS, Layout, Timing, layouts_text, read_layouts, search
from triton_models.preparation import prepared_so_far
from triton_models.prepared import PreparedModels
from triton_models.rendering import profile_layout, render

_LOAD_S = 300.0
_CALL_S = 60.0
_ROUNDS = 3
_SINGLES = 5
"""Of a round, which has one bulk."""
_WORDS = (
    "the keeper of the harbour watches the ferry until it has left the northern quay and writes it down in his log "
)
_TOKENS_OF_WORDS = 24
_LENGTHS = (12, 20, 33, 50, 75, 100, 130, 170, 220, 280, 350, 430)
"""In tokens, about: every text of a bulk has one of them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`catalogue`: a file with models beside the package's, if it is there. For each slot no layout is begun when
    `limit_s` are over."""

    profile: str
    cache: Path
    catalogue: Path
    environment: Mapping[str, str]
    cores: int
    slots: tuple[str, ...] = TUNED_SLOTS
    limit_s: float = 180.0


@dataclass(frozen=True, slots=True)
class Tuned:
    """Of the default model `model` of a slot: what was measured, in order, and the best."""

    slot: str
    model: str
    measured: Mapping[Layout, Timing]
    best: Layout


async def tune_models(plan: Plan, on_measured: Callable[[str, Layout, Timing], None]) -> list[Tuned]:
    """One for each slot that has a model. Raises ModelFilesError if one is not prepared or the profile's networks are
    engines; EmbeddedError, PinakesError if Triton does not start or a model cannot be loaded or called."""
    catalogue = load_catalogue(additions=plan.catalogue if plan.catalogue.exists() else None)
    slots = {slot: catalogue.slots[slot] for slot in plan.slots if slot in catalogue.slots}
    prepared = prepared_so_far(plan.cache, catalogue.model_copy(update={"slots": slots, "models": {}}))
    found = []
    for slot in slots:
        async with _trials(plan, prepared, slot) as trials:
            found.append(await trials.search(plan, on_measured))
    return found


def write_layouts(file: Path, tuned: Sequence[Tuned], cores: int) -> None:
    """Beside what the file has of other slots. A crash leaves the old file or the new one. Raises InvalidCatalogue,
    OSError."""
    layouts = read_layouts(file, cores) | {each.slot: each.best for each in tuned}
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, layouts_text(layouts, cores).encode())


@asynccontextmanager
async def _trials(plan: Plan, prepared: PreparedModels, slot: str) -> AsyncIterator[_Trials]:
    """With a Triton that has loaded nothing yet."""
    with tempfile.TemporaryDirectory(prefix="pinakes-tune-") as name:
        folder = Path(name)
        repository = folder / "repository"
        repository.mkdir()
        server = EmbeddedTriton(repository, folder / "triton", plan.environment, load=())
        with running(server, folder / "triton.log"):
            async with TritonConnection(server.address) as connection:
                control = TritonModelControl(connection, dict([server.admin_header]))
                yield _Trials(connection, control, prepared, slot, repository)


class _Trials:
    """Layouts of one slot's default model, one after the other in the same Triton."""

    def __init__(
        self,
        connection: TritonConnection,
        control: TritonModelControl,
        prepared: PreparedModels,
        slot: str,
        repository: Path,
    ) -> None:
        self._connection = connection
        self._control = control
        self._prepared = prepared
        self._slot = slot
        self._repository = repository
        name = prepared.slots[slot].model
        self._model = CatalogueModel(name, slot, prepared.models[name].fingerprint, ())

    async def search(self, plan: Plan, on_measured: Callable[[str, Layout, Timing], None]) -> Tuned:
        until = time.monotonic() + plan.limit_s

        async def measure(layout: Layout) -> Timing:
            timing = await self._measured(plan, layout)
            on_measured(self._slot, layout, timing)
            return timing

        start = profile_layout(plan.profile, self._slot, plan.cores)
        measured, best = await search(start, plan.cores, measure, lambda: time.monotonic() < until)
        return Tuned(self._slot, self._model.name, measured, best)

    async def _measured(self, plan: Plan, layout: Layout) -> Timing:
        render(
            plan.profile,
            self._prepared,
            self._repository,
            cores=plan.cores,
            slots=[self._slot],
            layouts={self._slot: layout},
        )
        await self._control.load(self._model, Deadline.after(_LOAD_S))
        try:
            single, bulk = await _CALLS[self._slot](self._connection, self._model.name)
            # Also the shapes of batches that warming up does not meet.
            await bulk()
            bulks: list[float] = []
            singles: list[float] = []
            # In turns, so that a busy moment of the machine does not fall upon one of them.
            for _ in range(_ROUNDS):
                bulks.append(await _taken_s(bulk))
                singles += [await _taken_s(single) for _ in range(_SINGLES)]
            return Timing(statistics.median(bulks), statistics.median(singles))
        finally:
            await self._control.unload(self._model.name, Deadline.after(_LOAD_S))


Call = Callable[[], Awaitable[object]]


async def _taken_s(call: Call) -> float:
    began = time.monotonic()
    await call()
    return time.monotonic() - began


async def _embedding(connection: TritonConnection, model: str) -> tuple[Call, Call]:
    """A query, and passages of mixed lengths."""
    embedder = await TritonEmbedder.connect(connection, model, Deadline.after(_CALL_S))
    passages = [_text(length) for length in _LENGTHS * 2]
    return (
        lambda: embedder.embed([_text(20)], EmbeddingKind.QUERY, Deadline.after(_CALL_S)),
        lambda: embedder.embed(passages, EmbeddingKind.PASSAGE, Deadline.after(_CALL_S)),
    )


async def _reranking(connection: TritonConnection, model: str) -> tuple[Call, Call]:
    """The candidates of a search, and those of a long one."""
    reranker = await TritonReranker.connect(connection, model, Deadline.after(_CALL_S))
    # Of equal texts only one would be read.
    passages = [f"{number} {_text(160)}" for number in range(20)]
    return (
        lambda: reranker.rerank(_text(20), passages[:8], Deadline.after(_CALL_S)),
        lambda: reranker.rerank(_text(20), passages, Deadline.after(_CALL_S)),
    )


async def _reading(connection: TritonConnection, model: str) -> tuple[Call, Call]:
    """A passage, and those that an answer is looked for in."""
    reader = await TritonReader.connect(connection, model, Deadline.after(_CALL_S))
    passages = [_text(160)] * 5
    return (
        lambda: reader.read(_text(20), passages[:1], Deadline.after(_CALL_S)),
        lambda: reader.read(_text(20), passages, Deadline.after(_CALL_S)),
    )


_CALLS: Mapping[str, Callable[[TritonConnection, str], Awaitable[tuple[Call, Call]]]] = {
    "embed": _embedding,
    "rerank": _reranking,
    "read": _reading,
}


def _text(tokens: int) -> str:
    words = (_WORDS * (1 + tokens // _TOKENS_OF_WORDS)).split()
    return " ".join(words[: max(1, round(tokens * len(_WORDS.split()) / _TOKENS_OF_WORDS))])
