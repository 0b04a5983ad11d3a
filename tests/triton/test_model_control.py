"""Models loaded, replaced and unloaded in a real Triton."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template

import pytest

from server.adapters.model_memory import StubMemory
from server.adapters.served_slot import ServedSlot
from server.adapters.triton_batches import BatchOptions
from server.adapters.triton_client import TritonConnection
from server.adapters.triton_control import TritonModelControl
from server.adapters.triton_reranker import TritonReranker
from server.application.follow_aliases import AliasOptions, FollowAliases
from server.application.load_models import LoadModels, LoadOptions
from server.application.look_after_models import LookAfterModels
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, ModelLoadFailed
from server.domain.models import CatalogueModel, MemorySource, ModelState
from server.embedded.process import running
from server.embedded.triton import EmbeddedTriton
from tests.server.application.announcements import Announcements
from tests.server.application.model_doubles import MemoryAliases, MemoryCatalogue, OneGeneration
from triton_models.rendering import REPOSITORY

pytestmark = pytest.mark.stack

OVERLAP = (Path(__file__).with_name("word_overlap") / "model.py").read_text(encoding="utf-8")
BROKEN = "raise RuntimeError('no such weights')\n"
DYING = "import os\n\n\nclass TritonPythonModel:\n    def initialize(self, args):\n        os._exit(3)\n"
SLOW = OVERLAP.replace("from typing", "import time\nfrom typing").replace(
    "        return [_answer(_strings", "        time.sleep(0.3)\n        return [_answer(_strings"
)
MODELS = {
    "overlap@1": OVERLAP,
    "slow@1": SLOW,
    "overlap@2": OVERLAP,
    "broken@1": BROKEN,
    "dying@1": DYING,
    "other@1": OVERLAP,
}


def known(name: str) -> CatalogueModel:
    fingerprint = f"{name}+catalogue" if name == "other@1" else f"{name}+0"
    return CatalogueModel(name, "rerank", fingerprint, (), declared_bytes=1)


@dataclass
class Controlled:
    """A Triton that has loaded nothing, and what controls it."""

    connection: TritonConnection
    control: TritonModelControl
    slot: ServedSlot[TritonReranker]
    aliases: FollowAliases
    loads: LoadModels
    care: LookAfterModels


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[EmbeddedTriton]:
    folder = tmp_path_factory.mktemp("control")
    template = Template((REPOSITORY / "rerank" / "config.pbtxt.template").read_text(encoding="utf-8"))
    for name, program in MODELS.items():
        slot = folder / "repository" / name
        (slot / "1").mkdir(parents=True)
        (slot / "1" / "model.py").write_text(program, encoding="utf-8")
        config = template.safe_substitute(
            name=name, kind="KIND_CPU", queue_delay_us=0, instances=1, threads=1, fingerprint=f"{name}+0"
        )
        (slot / "config.pbtxt").write_text(config, encoding="utf-8")
    server = EmbeddedTriton(folder / "repository", folder / "data", environment, load=())
    with running(server, folder / "triton.log"):
        yield server


@pytest.fixture
async def controlled(triton: EmbeddedTriton, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Controlled]:
    async with TritonConnection(triton.address) as connection:
        control = TritonModelControl(connection, dict([triton.admin_header]))

        async def connect(model: str, deadline: Deadline) -> TritonReranker:
            return await TritonReranker.connect(connection, model, deadline)

        slot = ServedSlot("rerank", connection, connect)
        catalogue = MemoryCatalogue({name: known(name) for name in MODELS}, {})
        store = MemoryAliases()
        aliases = FollowAliases(
            store, catalogue, connection, {"rerank": slot}, AliasOptions(poll_s=0.02, look_limit_s=0.5)
        )
        memory = StubMemory(tmp_path_factory.getbasetemp() / "control0" / "repository")
        loads = LoadModels(catalogue, control, memory, aliases, Announcements(), LoadOptions(idle_s=0.0))
        care = LookAfterModels(loads, aliases, store, catalogue, control, OneGeneration("none"))
        yield Controlled(connection, control, slot, aliases, loads, care)
        await loads.close()
        # The one that most tests begin with stays.
        for name in MODELS.keys() - {"overlap@1"}:
            await control.unload(name, soon())


def soon() -> Deadline:
    return Deadline.after(60.0)


async def state(controlled: Controlled, name: str) -> ModelState:
    return (await controlled.care.describe(name)).state


async def test_a_model_is_loaded_measured_warmed_used_and_unloaded(controlled: Controlled) -> None:
    before = await controlled.care.describe("overlap@2")
    assert (before.state, before.memory.source) == (ModelState.UNLOADED, MemorySource.DECLARED)
    loaded = await controlled.care.load("overlap@2", soon())
    assert (loaded.state, loaded.memory.source, loaded.last_use_time) == (ModelState.READY, MemorySource.MEASURED, None)
    assert loaded.memory.size_bytes > 10_000_000, "a Python process with NumPy"
    assert (await controlled.care.warm("overlap@2", soon())).rounds == 2
    assert (await controlled.care.describe("overlap@2")).last_use_time is not None
    assert (await controlled.care.unload("overlap@2", soon(), force=False)).state is ModelState.UNLOADED
    with pytest.raises(DependencyUnavailable):
        await controlled.care.warm("overlap@2", soon())


async def test_a_model_that_cannot_be_loaded_takes_nothing_down(controlled: Controlled) -> None:
    await controlled.care.set_alias("rerank.default", ["overlap@1"], soon())
    reasons = {
        "broken@1": "RuntimeError: no such weights$",
        "dying@1": "not healthy",
        "other@1": r"catalogue has other@1\+catalogue, and Triton: other@1\+0",
    }
    loading = {name: asyncio.create_task(controlled.care.load(name, soon())) for name in reasons}
    answered = 0
    while not all(task.done() for task in loading.values()):
        await controlled.slot.model().rerank("keeper", ["the keeper"], soon())
        answered += 1
    for name, reason in reasons.items():
        with pytest.raises(ModelLoadFailed, match=reason):
            await loading[name]
        assert await state(controlled, name) in (ModelState.FAILED, ModelState.UNLOADED)
    assert answered > 0
    assert await state(controlled, "overlap@1") is ModelState.READY
    with pytest.raises(ModelLoadFailed, match="no such weights"):
        await controlled.care.set_alias("rerank.default", ["broken@1"], soon())
    assert controlled.slot.serving == "overlap@1"


async def test_what_the_repository_does_not_have_says_what_to_do(controlled: Controlled) -> None:
    with pytest.raises(ModelLoadFailed, match="triton_models render"):
        await controlled.control.load(CatalogueModel("none@1", "rerank", "none@1+0", ()), soon())


async def test_a_version_takes_another_one_s_place_without_a_failed_call(controlled: Controlled) -> None:
    await controlled.care.set_alias("rerank.default", ["overlap@1"], soon())
    answered: Counter[str] = Counter()
    done = False

    async def ask() -> None:
        while not done:
            model = controlled.slot.model()
            scores = await model.rerank("the keeper", ["the keeper", "a lamp"], soon())
            assert scores.tolist() == [1.0, 0.0]
            answered[model.fingerprint] += 1

    async with asyncio.TaskGroup() as asking:
        for _ in range(4):
            asking.create_task(ask())
        await until_answered(answered, "overlap@1+0")
        await controlled.care.set_alias("rerank.default", ["overlap@2", "overlap@1"], soon())
        before = answered["overlap@2+0"]
        await until_answered(answered, "overlap@2+0", before + 20)
        # The way back, and out of memory with what was replaced.
        await controlled.care.set_alias("rerank.default", ["overlap@1"], soon())
        await controlled.loads.unload("overlap@2", soon())
        await until_answered(answered, "overlap@1+0", answered["overlap@1+0"] + 20)
        done = True
    assert await state(controlled, "overlap@2") is ModelState.UNLOADED
    assert await state(controlled, "overlap@1") is ModelState.READY


async def until_answered(answered: Counter[str], fingerprint: str, count: int = 1) -> None:
    async with asyncio.timeout(30):
        while answered[fingerprint] < count:  # noqa: ASYNC110 - what is waited for are calls
            await asyncio.sleep(0.01)


async def test_a_load_that_is_given_up_leaves_no_process(controlled: Controlled) -> None:
    loading = asyncio.create_task(controlled.loads.load("overlap@2", soon()))
    async with asyncio.timeout(30):
        while await state(controlled, "overlap@2") is not ModelState.LOADING:  # noqa: ASYNC110 - Triton's
            await asyncio.sleep(0)
    loading.cancel()
    await asyncio.wait((loading,))
    async with asyncio.timeout(30):
        while await state(controlled, "overlap@2") is not ModelState.UNLOADED:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_what_a_model_was_asked_it_answers_before_it_goes(controlled: Controlled) -> None:
    await controlled.loads.load("slow@1", soon())
    model = await TritonReranker.connect(controlled.connection, "slow@1", soon(), BatchOptions(concurrent=3))
    asked = [asyncio.create_task(model.rerank("the keeper", ["the keeper"], soon())) for _ in range(3)]
    async with asyncio.timeout(30):
        while not (await controlled.control.last_uses(soon())).get("slow@1"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    unloading = asyncio.create_task(controlled.loads.unload("slow@1", soon()))
    async with asyncio.timeout(30):
        while await controlled.connection.ready("slow@1", soon()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    with pytest.raises(DependencyUnavailable):
        await model.rerank("the keeper", ["the keeper"], soon())
    await unloading
    assert [task.result().tolist() for task in asked] == [[1.0]] * 3, "all of them before it was gone"
