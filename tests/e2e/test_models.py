"""Models looked after in the whole stack: a version of the text recognizer replaced by another one, and back; a slot
that is empty by default, filled."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pinakes import AsyncClient, Degradation, MemorySource, ModelState
from pinakes.errors import EmbeddingMismatch, ModelInUse, ModelLoadFailed, ModelNotInstalled
from tests.whole_stack import SAMPLES, WholeStack
from triton_models.catalogue import load_catalogue
from triton_models.preparation import prepare
from triton_models.prepared import PreparedModels
from triton_models.rendering import render_missing

pytestmark = [pytest.mark.stack, pytest.mark.models]

PAGE = (SAMPLES / "okinami-terminal.jpg").read_bytes()
RERANKER = "all-minilm-l6-v2@1"


@pytest.fixture
async def client(stack: WholeStack) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client:
        yield client


@pytest.fixture
def versions(stack: WholeStack, tmp_path: Path, model_cache: Path) -> tuple[str, str, str]:
    """Names: what serves the slot `ocr`, its files as another version, and one whose files Triton does not have."""
    slot = load_catalogue().slot("ocr")
    later, absent = f"{slot.model}@{slot.version + 1}", f"{slot.model}@{slot.version + 2}"
    roles = ", ".join(f'{role} = "{artifact}"' for role, artifact in slot.artifacts.items())
    conversion = f'conversion = "{slot.conversion}"' if slot.conversion else ""
    own = stack.data / "models.toml"
    own.write_text(
        "".join(
            f'[models."{name}"]\nslot = "ocr"\nartifacts = {{ {roles} }}\n{conversion}\n' for name in (later, absent)
        )
    )
    files = PreparedModels.open(prepare(model_cache)).folder(slot.name)
    prepared = prepare(tmp_path / "cache", only=[later], catalogue=load_catalogue(additions=own), local=files)
    assert render_missing("cpu", prepared, stack.data / "triton" / "repository", cores=2) == [later]
    return slot.name, later, absent


async def test_another_version_takes_over_in_every_process_and_the_first_one_again(
    client: AsyncClient, stack: WholeStack, versions: tuple[str, str, str]
) -> None:
    serving, later, absent = versions
    listed = {model.name: model async for model in client.models.list()}
    assert (listed[serving].state, listed[later].state) == (ModelState.READY, ModelState.UNLOADED)
    assert listed[serving].memory_source is MemorySource.MEASURED
    assert (await client.recognize_text(PAGE)).model == listed[serving].fingerprint
    with pytest.raises(ModelLoadFailed, match="render"):
        await client.models.set_alias("ocr.default", absent)
    change = await client.models.set_alias("ocr.default", later, serving)
    assert (change.alias.serving, change.previous) == (later, (serving,))
    assert (await client.recognize_text(PAGE)).model == listed[later].fingerprint
    await until_worker_follows(stack, later)
    with pytest.raises(ModelInUse):
        await client.models.unload(later)
    # What fails while it serves is replaced by the next one of the chain.
    await client.models.unload(later, force=True)
    async with asyncio.timeout(20):
        while (await client.recognize_text(PAGE)).model != listed[serving].fingerprint:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    reset = await client.models.set_alias("ocr.default")
    assert reset.alias.by_default and reset.alias.serving == serving
    (stack.data / "models.toml").unlink()


async def test_the_index_keeps_its_embedding_model(client: AsyncClient, stack: WholeStack, tmp_path: Path) -> None:
    slot = load_catalogue().slot("embed")
    later = f"{slot.model}@{slot.version + 1}"
    roles = ", ".join(f'{role} = "{artifact}"' for role, artifact in slot.artifacts.items())
    own = stack.data / "models.toml"
    own.write_text(f'[models."{later}"]\nslot = "embed"\nconversion = "{slot.conversion}"\nartifacts = {{ {roles} }}\n')
    with pytest.raises(EmbeddingMismatch, match="ingest the documents anew") as refused:
        await client.models.set_alias("embed.default", later)
    own.unlink()
    assert refused.value.held == (await client.embed(["text"])).model


async def test_each_slot_has_a_health_of_its_own(stack: WholeStack) -> None:
    async with grpc.aio.insecure_channel(stack.endpoints.server) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)  # its types know no methods
        for alias in ("embed.default", "generate.default", "ocr.default"):
            state = await health.Check(health_pb2.HealthCheckRequest(service=alias))
            assert state.status == health_pb2.HealthCheckResponse.SERVING, alias


async def test_an_answer_names_the_models_that_made_it(client: AsyncClient) -> None:
    upload = await client.documents.upload(b"# Quay\n\nThe quay master is Ines Roth.", name="quay.md")
    job = await client.documents.wait(upload.job)
    assert job.success is not None
    token = job.success.consistency_token
    completion = (await client.answer_text("Tell me about the quay master.", consistency_token=token)).completion
    names = {alias.slot: alias.serving for alias in await client.models.aliases()}
    assert completion.embedder.startswith(names["embed"].split("@")[0])
    assert completion.generator.startswith(names["generate"].split("@")[0])
    await client.documents.delete(upload.document.document_id)


async def test_the_reranker_is_asked_while_an_alias_names_it(client: AsyncClient) -> None:
    upload = await client.documents.upload(b"# Log\n\nThe lighthouse keeper wrote the weather into it.", name="log.md")
    job = await client.documents.wait(upload.job)
    assert job.success is not None
    token = job.success.consistency_token
    change = await client.models.set_alias("rerank.default", RERANKER)
    assert change.alias.serving == RERANKER
    found = await client.search("Who recorded the storms?", consistency_token=token)
    assert found.passages[0].rerank_score is not None and 0 < found.passages[0].rerank_score < 1
    completion = (await client.answer_text("Who wrote the weather into the log?", consistency_token=token)).completion
    assert completion.reranker.startswith(RERANKER) and Degradation.NO_RERANKER not in completion.degradations
    reset = await client.models.set_alias("rerank.default")
    assert reset.alias.by_default and not reset.alias.serving
    with pytest.raises(ModelNotInstalled):
        await client.rerank("query", ["text"])
    await client.documents.delete(upload.document.document_id)


async def until_worker_follows(stack: WholeStack, model: str) -> None:
    log = stack.data / "log" / "worker.log"
    async with asyncio.timeout(20):
        while True:
            lines = await asyncio.to_thread(log.read_text, "utf-8")
            told = [json.loads(line) for line in lines.splitlines() if '"model_serves"' in line]
            if [each["model"] for each in told if each["slot"] == "ocr"][-1:] == [model]:
                return
            await asyncio.sleep(0.1)
