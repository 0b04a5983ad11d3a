"""The five steps of the README, as they are written there, with a tiny encoder, on a real Triton and PostgreSQL."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pinakes.cli.main import app as pinakes_app
from pinakes.v1 import model_service_pb2_grpc
from server.adapters.model_catalogue import CatalogueFiles
from server.adapters.model_memory import StubMemory
from server.adapters.postgres.events import PostgresEventOutbox
from server.adapters.postgres.model_aliases import PostgresModelAliases
from server.adapters.postgres.pool import PostgresPool
from server.adapters.served_slot import ServedSlot
from server.adapters.triton_client import TritonConnection
from server.adapters.triton_control import TritonModelControl
from server.adapters.triton_embedder import TritonEmbedder
from server.application.announcing import OutboxAnnouncer
from server.application.follow_aliases import AliasOptions, FollowAliases
from server.application.load_models import LoadModels, LoadOptions
from server.application.look_after_models import LookAfterModels
from server.application.model_ports import EmbeddingKind
from server.domain.deadline import Deadline
from server.embedded.process import running
from server.embedded.triton import EmbeddedTriton
from server.transport.interceptors import CallInterceptor
from server.transport.model_servicer import ModelServicer
from tests.server.application.audit_doubles import UnrecordedCalls
from tests.server.application.model_doubles import OneGeneration
from tests.server.transport.callers import OPEN
from tests.triton.small_catalogue import default_model, sha256
from tests.triton.tiny_hub import TinyBert
from triton_models.__main__ import app as models_app
from triton_models.catalogue import load_catalogue
from triton_models.preparation import fingerprints

pytestmark = pytest.mark.stack

README = Path(__file__).parents[2] / "triton_models" / "README.md"
NAME = "tiny-encoder@1"


def five_steps() -> tuple[str, list[str]]:
    """The catalogue file of the first step, and the commands of the others."""
    section = README.read_text(encoding="utf-8").split("## Add a model in five steps")[1].split("\n## ")[0]
    [catalogue] = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    steps = re.findall(r"(?m)^(\d)\. .*(?:\n   .*)*", section)
    assert steps == list("12345")
    commands = re.findall(r"(?m)^\d\. .*`((?:python|pinakes) .*)`$", section)
    assert len(commands) == 4
    return re.sub(r"(?m)^   ", "", catalogue), commands


def with_real_files(catalogue: str, folder: Path) -> str:
    """The catalogue with the digests and sizes of the files that it names."""

    def real(artifact: re.Match[str]) -> str:
        content = (folder / artifact["path"]).read_bytes()
        told = re.sub(r'sha256 = ".*"', f'sha256 = "{sha256(content)}"', artifact[0])
        return re.sub(r"size_bytes = .*", f"size_bytes = {len(content)}", told)

    return re.sub(r'\[artifacts[^\[]*sources = \[ \{ file = "(?P<path>.*)" \} \]', real, catalogue)


@dataclass
class Installation:
    """A server's model care over a Triton that has loaded nothing. Only its index is played."""

    data: Path
    address: str
    index: OneGeneration
    slot: ServedSlot[TritonEmbedder]
    store: PostgresModelAliases

    async def pinakes(self, *arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, pinakes_app, ["--server", self.address, *arguments])

    async def models(self, *arguments: str) -> Result:
        # The rest of the catalogue is prepared already, where people run this.
        where = ("--cache", str(self.data / "cache"), "--only", NAME)
        return await asyncio.to_thread(CliRunner().invoke, models_app, [*arguments, *where])

    async def run(self, command: str) -> Result:
        program, *words = shlex.split(command.replace("var/", f"{self.data}/"))
        if program == "pinakes":
            return await self.pinakes(*words)
        assert words[:2] == ["-m", "triton_models"]
        return await self.models(*words[2:])


@pytest.fixture
def triton(tmp_path: Path, environment: dict[str, str]) -> Iterator[EmbeddedTriton]:
    repository = tmp_path / "triton" / "repository"
    repository.mkdir(parents=True)
    server = EmbeddedTriton(repository, tmp_path / "triton", environment, load=())
    with running(server, tmp_path / "triton.log"):
        yield server


@pytest.fixture
async def installation(tmp_path: Path, triton: EmbeddedTriton, pool: PostgresPool) -> AsyncIterator[Installation]:
    index = OneGeneration("none yet")
    server = grpc.aio.server(interceptors=[CallInterceptor(OPEN, UnrecordedCalls(), concurrent_calls=8)])
    async with TritonConnection(triton.address) as connection:

        async def connect(model: str, deadline: Deadline) -> TritonEmbedder:
            return await TritonEmbedder.connect(connection, model, deadline)

        slot = ServedSlot("embed", connection, connect)
        catalogue, store = CatalogueFiles(tmp_path / "models.toml"), PostgresModelAliases(pool)
        aliases = FollowAliases(store, catalogue, connection, {"embed": slot}, AliasOptions())
        control = TritonModelControl(connection, dict([triton.admin_header]))
        memory = StubMemory(tmp_path / "triton" / "repository")
        announcer = OutboxAnnouncer(PostgresEventOutbox(pool))
        loads = LoadModels(catalogue, control, memory, aliases, announcer, LoadOptions())
        care = LookAfterModels(loads, aliases, store, catalogue, control, index)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(care), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        yield Installation(tmp_path, f"127.0.0.1:{port}", index, slot, store)
        await server.stop(None)
        await loads.close()


async def test_a_model_is_added_in_five_steps(installation: Installation) -> None:
    assert NAME not in (await installation.pinakes("models", "list")).output
    catalogue, commands = five_steps()
    tiny = TinyBert()
    tiny.write_repository(installation.data / "tiny", {"pooling_mode_mean_tokens": True})
    own = installation.data / "models.toml"
    own.write_text(with_real_files(catalogue, installation.data), encoding="utf-8")
    # An installation that begins with this model: nothing is in its index.
    fingerprint = fingerprints(load_catalogue(additions=own))[NAME]
    installation.index.generations = OneGeneration(fingerprint).generations
    for command in commands:
        done = await installation.run(command)
        assert done.exit_code == 0, f"{command}\n{done.output}"
    listed = (await installation.pinakes("models", "list")).output
    assert re.search(rf"{NAME}\s+embed\s+ready\s+[\d,]+ MB\s+embed\.default", listed)
    assert await installation.store.chains() == {"embed": (NAME,)}
    embedder = installation.slot.model()
    assert (embedder.fingerprint, embedder.dimension) == (fingerprint, tiny.hidden)
    found = await embedder.embed(["keeper", "keepers", "lamp"], EmbeddingKind.QUERY, Deadline.after(30))
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)
    near, far = found.vectors[0] @ found.vectors[1], found.vectors[0] @ found.vectors[2]
    assert near > far
    back = await installation.pinakes("models", "set-alias", "embed.default", default_model("embed"))
    assert back.exit_code == 1 and "EMBEDDING_MISMATCH" in back.output
    assert installation.slot.serving == NAME
