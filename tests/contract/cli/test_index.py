"""`pinakes index`."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest

from pinakes.v1 import index_service_pb2 as indexes
from tests.contract import scripted_server as server
from tests.contract.cli.runner import Pinakes
from tests.contract.scripted_server import Script


@pytest.fixture
def serving() -> indexes.Generation:
    return indexes.Generation(
        name="generation-1",
        state=indexes.GENERATION_STATE_SERVING,
        position="log-9",
        fingerprint="model@1",
        segments=[indexes.IndexSegment(name="segment-1", rows=12_000, removed=7, graph=True)],
    )


def other(state: indexes.GenerationState.ValueType, **more: Any) -> indexes.Generation:
    return indexes.Generation(name="generation-2", state=state, position="log-4", **more)


async def test_status(pinakes: Pinakes, script: Script, serving: indexes.Generation) -> None:
    failed = other(indexes.GENERATION_STATE_FAILED, failure="the disk is full")
    response = indexes.GetIndexResponse(generations=[serving, failed], log_position="log-9")
    script.on("GetIndex", server.returns(response))
    output = (await pinakes("index", "status")).output
    assert "generation-1  serving  at log-9 of log-9, model@1" in output
    assert "segment-1  12,000    7        yes" in output
    assert "the disk is full" in output
    told = json.loads((await pinakes("index", "status", "--json")).stdout)
    assert told["generations"][0]["segments"][0]["removed"] == 7


async def test_build_and_wait(pinakes: Pinakes, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinakes.cli.index._LOOK_EVERY_S", 0.001)
    building = other(indexes.GENERATION_STATE_BUILDING)
    ready = other(indexes.GENERATION_STATE_READY)
    script.on("BuildGeneration", server.returns(indexes.BuildGenerationResponse(generation=building)))
    script.on(
        "GetIndex",
        server.returns(indexes.GetIndexResponse(generations=[building])),
        server.returns(indexes.GetIndexResponse(generations=[ready])),
    )
    result = await pinakes("index", "build", "--graph-degree", "16", "--wait")
    assert "generation-2  ready" in result.output
    options = script.seen("BuildGeneration")[0].request.options
    assert (options.graph_degree, options.HasField("build_effort")) == (16, False)
    failed = other(indexes.GENERATION_STATE_FAILED, failure="no")
    script.on("GetIndex", server.returns(indexes.GetIndexResponse(generations=[failed])))
    assert (await pinakes("index", "build", "--wait")).exit_code == 1


async def test_compare_activate_delete_and_snapshot(
    pinakes: Pinakes, script: Script, serving: indexes.Generation
) -> None:
    compared = indexes.CompareGenerationsResponse(serving_recall=0.99, other_recall=0.985, overlap=0.98, samples=50)
    script.on("CompareGenerations", server.returns(compared))
    output = (await pinakes("index", "compare", "generation-2", "--samples", "50")).output
    assert "recall@10 of generation-2     0.9850" in output
    assert script.seen("CompareGenerations")[0].request.samples == 50
    done = indexes.ActivateGenerationResponse(generation=serving, previous="generation-2")
    script.on("ActivateGeneration", server.returns(done))
    output = (await pinakes("index", "activate", "generation-1")).output
    assert output == "generation-1 serves; before: generation-2\n"
    script.on("DeleteGeneration", server.returns(indexes.DeleteGenerationResponse()))
    assert (await pinakes("index", "delete", "generation-2")).output == "deleted generation-2\n"
    copy = indexes.CreateSnapshotResponse(path="/data/snapshots/monday", position="log-9", size_bytes=1_234)
    script.on("CreateSnapshot", server.returns(copy))
    output = (await pinakes("index", "snapshot", "monday")).output
    assert output == "/data/snapshots/monday: 1,234 bytes, at log-9\n"
    exists = server.reason("SNAPSHOT_EXISTS", snapshot="monday")
    script.on("CreateSnapshot", server.fails(grpc.StatusCode.ALREADY_EXISTS, "a copy named monday exists", exists))
    result = await pinakes("index", "snapshot", "monday")
    assert (result.exit_code, result.stderr) == (1, "pinakes: a copy named monday exists (SNAPSHOT_EXISTS)\n")
