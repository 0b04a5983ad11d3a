"""`pinakes models`."""

from __future__ import annotations

import json

import grpc
import pytest

from pinakes.v1 import model_service_pb2 as models
from tests.contract import scripted_server as server
from tests.contract.cli.runner import Pinakes
from tests.contract.scripted_server import Script


@pytest.fixture
def qwen() -> models.Model:
    return models.Model(
        name="qwen@1",
        slot="generate",
        fingerprint="qwen@1+ab",
        state=models.MODEL_STATE_READY,
        memory_bytes=736_000_000,
        memory_source=models.MEMORY_SOURCE_MEASURED,
        aliases=["generate.default"],
    )


async def test_list_and_describe(pinakes: Pinakes, script: Script, qwen: models.Model) -> None:
    failed = models.Model(
        name="e5@2",
        slot="embed",
        state=models.MODEL_STATE_FAILED,
        problem="no [such] weights",
        memory_bytes=91_000_000,
        memory_source=models.MEMORY_SOURCE_ESTIMATED,
    )
    script.on("ListModels", server.returns(models.ListModelsResponse(models=[qwen, failed])))
    output = (await pinakes("models", "list")).output
    assert "qwen@1  generate  ready   736 MB          generate.default" in output
    assert "e5@2    embed     failed  at least 91 MB" in output
    assert "e5@2: no [such] weights" in output
    lines = (await pinakes("models", "list", "--slot", "embed", "--json")).stdout.splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["qwen@1", "e5@2"]
    assert script.seen("ListModels")[-1].request.slot == "embed"
    artifact = models.ModelArtifact(role="weights", file="qwen.gguf", size_bytes=491_400_064, licence="Apache-2.0")
    script.on("DescribeModel", server.returns(models.DescribeModelResponse(model=qwen, artifacts=[artifact])))
    output = (await pinakes("models", "describe", "qwen@1")).output
    assert "qwen@1  ready  generate, 736 MB, qwen@1+ab, generate.default" in output
    assert "weights: qwen.gguf, 491.4 MB, Apache-2.0." in output


async def test_load_warm_and_unload(pinakes: Pinakes, script: Script, qwen: models.Model) -> None:
    script.on("LoadModel", server.returns(models.LoadModelResponse(model=qwen)))
    assert "qwen@1  ready" in (await pinakes("models", "load", "qwen@1")).output
    warm = models.WarmModelResponse(rounds=2)
    warm.first.FromMilliseconds(1_500)
    warm.last.FromMilliseconds(250)
    script.on("WarmModel", server.returns(warm))
    output = (await pinakes("models", "warm", "qwen@1")).output
    assert output == "qwen@1 is warm: first round 1.50 s, last round 0.25 s\n"
    used = server.reason("MODEL_IN_USE", alias="generate.default")
    message = "the alias generate.default names the model qwen@1"
    script.on(
        "UnloadModel",
        server.fails(grpc.StatusCode.FAILED_PRECONDITION, message, used),
        server.returns(models.UnloadModelResponse(model=qwen)),
    )
    result = await pinakes("models", "unload", "qwen@1")
    assert (result.exit_code, result.stderr) == (1, f"pinakes: {message} (MODEL_IN_USE)\n")
    assert (await pinakes("models", "unload", "qwen@1", "--force")).exit_code == 0
    assert [call.request.force for call in script.seen("UnloadModel")] == [False, True]


async def test_aliases(pinakes: Pinakes, script: Script) -> None:
    served = models.Alias(name="embed.default", models=["e5@1"], serving="e5@1", by_default=True)
    degraded = models.Alias(name="generate.default", models=["qwen@2", "qwen@1"], serving="qwen@1")
    empty = models.Alias(name="rerank.default", by_default=True)
    fixed = models.Alias(name="ocr.default", serving="https://api.example.org/v1#ocr", by_default=True)
    script.on("GetAliases", server.returns(models.GetAliasesResponse(aliases=[served, degraded, empty, fixed])))
    assert (await pinakes("models", "aliases")).output.splitlines() == [
        "embed.default -> e5@1 (by default)",
        "generate.default -> qwen@2, qwen@1; serving: qwen@1",
        "rerank.default -> none (by default)",
        "ocr.default -> https://api.example.org/v1#ocr (by the server's settings)",
    ]
    changed = models.SetAliasResponse(alias=degraded, previous=["qwen@1"])
    script.on("SetAlias", server.returns(changed))
    output = (await pinakes("models", "set-alias", "generate.default", "qwen@2", "qwen@1")).output
    assert output == "generate.default -> qwen@2, qwen@1; serving: qwen@1; before: qwen@1\n"
    await pinakes("models", "set-alias", "generate.default")
    assert [list(call.request.models) for call in script.seen("SetAlias")] == [["qwen@2", "qwen@1"], []]
