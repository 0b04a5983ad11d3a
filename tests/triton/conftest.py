"""The model adapters on a real Triton."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from server.adapters.triton_client import TritonConnection
from server.adapters.triton_generator import TritonGenerator
from server.adapters.triton_recognizer import TritonTextRecognizer
from server.domain.deadline import Deadline
from server.embedded.process import running
from server.embedded.triton import EmbeddedTriton
from tests.triton.small_catalogue import default_model, file_artifact
from tests.triton.tiny_e5 import FIRST, trained_state, write_tiny_e5
from tests.triton.tiny_hub import TinyBert, TinyRoberta
from triton_models.catalogue import Artifact, Catalogue, Model, Slot, load_catalogue
from triton_models.preparation import prepare
from triton_models.prepared import PreparedModels
from triton_models.read.weights import pack
from triton_models.rendering import render
from triton_models.rerank.head import Head

RERANKER, READER = "late@1", "tiny-reader@1"
HUB_ENCODER, HUB_RERANKER = "hub-encoder@1", "hub-reranker@1"
SCORE_WEIGHT = 0.75


@pytest.fixture
async def connection(triton_url: str) -> AsyncIterator[TritonConnection]:
    async with TritonConnection(triton_url) as connection:
        yield connection


@pytest.fixture
async def recognizer(connection: TritonConnection) -> TritonTextRecognizer:
    return await TritonTextRecognizer.connect(connection, default_model("ocr"), Deadline.after(10))


@pytest.fixture
async def generator(connection: TritonConnection) -> TritonGenerator:
    return await TritonGenerator.connect(connection, default_model("generate"), Deadline.after(10))


@dataclass(frozen=True, slots=True)
class PairTriton:
    """A Triton at `address`, host:port, that serves RERANKER, whose head is not trained, READER, of a tiny encoder with
    random weights, HUB_ENCODER (`tiny_hub.TinyRoberta`, its weights in a file of their own) and HUB_RERANKER
    (`tiny_hub.TinyBert`). `reader_files`: those of READER, by their roles."""

    address: str
    reader_files: dict[str, Path]


@pytest.fixture(scope="package")
def pair_triton(
    model_cache: Path, tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> Iterator[PairTriton]:
    folder = tmp_path_factory.mktemp("pairs")
    encoder = load_catalogue().artifacts["e5-small-q4"]
    Head.untrained(np.zeros(384, np.float32), rank=4, seed=1).save(folder / "head.npz")
    write_tiny_e5(folder / "tiny-e5.bin")
    pack(trained_state(), FIRST).save(folder / "trained.npz")
    own = {name: (folder / name).read_bytes() for name in ("head.npz", "tiny-e5.bin", "trained.npz")}
    rerank = {"weights": "e5-small-q4", "head": "head.npz"}
    read = {"weights": "tiny-e5.bin", "trained": "trained.npz"}
    hub_encoder = TinyRoberta().write(folder / "encoder", external=True)
    hub_reranker = TinyBert(labels=1).write(folder / "reranker")
    hub = _artifacts("encoder", hub_encoder) | _artifacts("reranker", hub_reranker)
    catalogue = Catalogue(
        artifacts={"e5-small-q4": encoder}
        | {name: file_artifact(folder / name, data) for name, data in own.items()}
        | hub,
        slots={
            "rerank": Slot(
                model="late", version=1, conversion="late-interaction", artifacts=rerank, score_weight=SCORE_WEIGHT
            ),
            "read": Slot(model="tiny-reader", version=1, conversion="reader", artifacts=read),
        },
        models={
            HUB_ENCODER: Model(
                slot="embed",
                conversion="hf-encoder",
                artifacts=_roles("encoder", hub_encoder),
                options={"query_prefix": "the "},
            ),
            HUB_RERANKER: Model(
                slot="rerank",
                conversion="hf-cross-encoder",
                artifacts=_roles("reranker", hub_reranker),
                options={"activation": "identity"},
            ),
        },
    )
    models = prepare(folder / "cache", catalogue=catalogue, local=model_cache / "artifacts" / encoder.sha256)
    repository = render("cpu", models, folder / "repository", cores=1)
    server = EmbeddedTriton(repository, folder / "data", environment)
    with running(server, folder / "triton.log"):
        yield PairTriton(server.address, PreparedModels.open(models).paths("read"))


def _artifacts(model: str, files: Mapping[str, Path]) -> dict[str, Artifact]:
    return {f"{model}-{role}": file_artifact(path, path.read_bytes()) for role, path in files.items()}


def _roles(model: str, files: Mapping[str, Path]) -> dict[str, str]:
    """The names of those artifacts by their role."""
    return {role: f"{model}-{role}" for role in files}
