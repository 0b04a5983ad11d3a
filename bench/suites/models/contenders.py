"""The engines that embedding is measured beside, and the files that each reads, made once from the same weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.suites.bare_models import encoders
from bench.suites.bare_models.encoders import BareEncoder
from bench.suites.bare_models.hub_folder import write_hub_folder
from bench.suites.index.processes import OWN_PYTHON, Worker, WorkerFailed
from triton_models.catalogue import load_catalogue
from triton_models.embed.float_network import write_float_network
from triton_models.embed.networks import kernels_are_faster, openvino_is_faster
from triton_models.embed.weights import E5Weights
from triton_models.fetching import ArtifactStore
from triton_models.preparation import default_cache, prepare
from triton_models.prepared import PreparedModels
from triton_models.progress import silent
from triton_models.publishing import replacing_folder

FLOAT = "ONNX Runtime float32"
INT8 = "ONNX Runtime int8"
OWN = "int8, as Pinakes runs it"
"""Kernels of our own: no engine to be compared with, but what gRPC and Triton are measured beside."""
OPENVINO_INT8 = "OpenVINO int8"
BFLOAT16 = "OpenVINO bfloat16"
SENTENCE_TRANSFORMERS = "sentence-transformers"
_WEIGHTS = "e5-small-q4"
_FLOATS, _HUB = "float32.onnx", "hub"


@dataclass(frozen=True, slots=True)
class Files:
    """`floats`: the encoder in float32, of standard operators. `hub`: for Hugging Face's libraries."""

    tokenizer: tuple[Path, Path]
    network: Path
    floats: Path
    hub: Path

    @classmethod
    def made(cls, cache: Path) -> Files:
        """Seconds, and 940 MB under `cache`, the first time."""
        models = PreparedModels.open(prepare(default_cache(), only=["embed"]))
        paths = models.paths("embed")
        folder = cache / "encoders" / models.slots["embed"].fingerprint
        if not folder.exists():
            weights = ArtifactStore(default_cache()).fetch(_WEIGHTS, load_catalogue().artifacts[_WEIGHTS], silent)
            parsed = E5Weights(weights)
            with replacing_folder(folder) as unfinished:
                write_float_network(parsed, unfinished / _FLOATS, "fp32")
                write_hub_folder(parsed, paths["tokenizer"], unfinished / _HUB)
        return cls((paths["tokenizer"], paths["normalization"]), paths["network"], folder / _FLOATS, folder / _HUB)


@contextmanager
def bare_encoders(
    files: Files, threads: int, peers_python: Path | None
) -> Iterator[tuple[Mapping[str, Worker[BareEncoder]], dict[str, str]]]:
    """A process for each engine that is there, and why the others are not. `peers_python` has the engines that Pinakes
    needs none of; None leaves these out."""
    own = {
        FLOAT: partial(encoders.onnxruntime_float, files.tokenizer, files.floats, threads),
        INT8: partial(encoders.onnxruntime_int8, files.tokenizer, files.network, threads),
        BFLOAT16: partial(encoders.openvino_bfloat16, files.tokenizer, files.floats, threads),
    }
    if openvino_is_faster():
        own[OPENVINO_INT8] = partial(encoders.openvino_int8, files.tokenizer, files.network, threads)
    if kernels_are_faster():
        own[OWN] = partial(encoders.as_pinakes, files.tokenizer, files.network, threads)
    peers = {SENTENCE_TRANSFORMERS: partial(encoders.sentence_transformers_float, files.hub, threads)}
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        found: dict[str, Worker[BareEncoder]] = {}
        environments = [(OWN_PYTHON, own)] if peers_python is None else [(OWN_PYTHON, own), (peers_python, peers)]
        for python, makers in environments:
            for name, make in makers.items():
                try:
                    found[name] = stack.enter_context(Worker(python, make))
                except (WorkerFailed, OSError) as exc:
                    absent[name] = str(exc).strip().splitlines()[-1]
        yield found, absent
