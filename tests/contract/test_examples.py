"""The example that uses the stubs alone runs as it is written."""

from __future__ import annotations

import ast
import asyncio
import sys
from pathlib import Path

import grpc
from google.rpc import error_details_pb2

from pinakes.v1 import answer_service_pb2 as answers
from pinakes.v1 import search_service_pb2 as searches
from tests.contract import scripted_server as server
from tests.contract.scripted_server import Script
from tests.contract.test_calls import COMPLETION, Received, delta, job_is

EXAMPLE = Path(__file__).parents[2] / "clients/python/examples/stubs_only.py"


def test_it_knows_nothing_but_grpc_and_the_stubs() -> None:
    modules = set()
    for node in ast.walk(ast.parse(EXAMPLE.read_text())):
        if isinstance(node, ast.ImportFrom):
            modules.add(node.module)
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
    ours = {module for module in modules if module and module.startswith("pinakes")}
    assert ours == {"pinakes.v1"}
    assert {module.split(".")[0] for module in modules - ours if module} <= {
        *sys.stdlib_module_names,
        "grpc",
        "google",
        "grpc_status",
    }


async def test_it_runs(script: Script, address: str, tmp_path: Path) -> None:
    violation = error_details_pb2.BadRequest.FieldViolation(field="query", description="1 to 500 characters")
    refusal = server.fails(
        grpc.StatusCode.INVALID_ARGUMENT,
        "query: 1 to 500 characters",
        server.reason("INVALID_FIELD"),
        error_details_pb2.BadRequest(field_violations=[violation]),
    )
    cited = answers.AnswerResponse(citation=answers.Citation(start=0, end=4, document_name="r.pdf", quote="a quote"))
    script.on("UploadDocument", Received().store)
    script.on("WatchJob", server.streams(job_is("RUNNING"), job_is("SUCCEEDED")))
    script.on("Search", server.returns(searches.SearchResponse()), refusal)
    script.on("Answer", server.streams(delta("One."), cited, COMPLETION), server.hangs(delta("One")))
    report = tmp_path / "r.pdf"
    report.write_bytes(b"x" * 300_000)
    key = tmp_path / "key"
    key.write_text("pinakes.id.secret\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, EXAMPLE, address, report, "why?", key),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    lines = out.decode().splitlines()
    assert "  'One.' <- r.pdf: 'a quote', 0 boxes" in lines
    assert lines[-4:] == [
        "error",
        "  INVALID_ARGUMENT: query: 1 to 500 characters",
        "  reason INVALID_FIELD of pinakes",
        "  field query: 1 to 500 characters",
    ]
    assert lines[lines.index("cancel") + 1] == "  CANCELLED"
    assert script.seen("Search")[0].request.consistency_token == "9"
    for method in ("UploadDocument", "WatchJob", "Search", "Answer"):
        assert {each.metadata["authorization"] for each in script.seen(method)} == {"Bearer pinakes.id.secret"}
    cancelled = script.seen("Answer")[1]
    await asyncio.wait_for(cancelled.ended.wait(), 5)
    assert cancelled.cancelled
