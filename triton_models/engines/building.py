"""Builds the engines of a profile: exported, built, compared with ONNX Runtime, and only then kept."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from triton_models.catalogue import Artifact, Catalogue, load_catalogue
from triton_models.digests import sha256_of
from triton_models.engines.acceptance import accept
from triton_models.engines.cache import AcceptedEngine, EngineCache, EngineKey
from triton_models.engines.deployment import Deployment, NetworkDeployment, input_shapes
from triton_models.engines.networks import NETWORKS, Network
from triton_models.engines.toolkit import EngineToolkit
from triton_models.errors import NotEnoughSpace
from triton_models.fetching import ArtifactStore, free_bytes
from triton_models.progress import OnProgress, Progress, silent

_SPACE_FACTOR = 16
"""A 4-bit artifact becomes 8 times as large in float32, and half of that again in float16, and the plan."""
_SPARE_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class PlannedEngine:
    """A network of a slot, as a profile deploys it."""

    slot: str
    role: str
    network: Network
    deployment: NetworkDeployment
    artifacts: dict[str, tuple[str, Artifact]]
    """What it is made from: by role, the name in the catalogue and the artifact."""

    @property
    def name(self) -> str:
        return f"{self.slot}.{self.role}"

    def key(self, toolkit: EngineToolkit) -> EngineKey:
        return EngineKey(
            network=self.name,
            source_sha256={role: artifact.sha256 for role, (_, artifact) in self.artifacts.items()},
            source_version=self.network.version,
            precision=self.deployment.precision,
            profiles=self.deployment.profiles,
            toolkit=toolkit.version,
            gpu=toolkit.gpu,
        )


def planned_engines(profile: str, catalogue: Catalogue | None = None) -> Iterator[PlannedEngine]:
    """The engines that `profile` serves; none for a model that is made from other artifacts than an engine is, and runs
    on the CPU. Raises InvalidDeployment, UnknownName."""
    known = catalogue or load_catalogue()
    for deployment in Deployment.read(profile):
        if deployment.slot not in known.slots:
            continue
        names = known.slot(deployment.slot).artifacts
        for role, each in deployment.networks.items():
            network = NETWORKS[deployment.slot, role]
            if not names.keys() >= set(network.sources):
                continue
            artifacts = {source: (names[source], known.artifacts[names[source]]) for source in network.sources}
            yield PlannedEngine(deployment.slot, role, network, each, artifacts)


def find_engine(planned: PlannedEngine, toolkit: EngineToolkit, cache: Path) -> AcceptedEngine | None:
    """None if there is none that is whole, or none that agrees as well as is asked for by now."""
    found = EngineCache(cache).find(planned.key(toolkit))
    return found if found is not None and found.agreement >= planned.network.least_agreement else None


def build_engine(
    planned: PlannedEngine, toolkit: EngineToolkit, cache: Path, on_progress: OnProgress = silent
) -> AcceptedEngine:
    """The engine in the cache, built if it is not there: minutes, and a GPU that nothing else uses meanwhile (TensorRT
    chooses by measuring).

    Of two builders of one engine the second waits for the first, and takes what it built. Nothing is left of a build
    that failed or was killed. Raises EngineError, NotEnoughSpace, SourceFailed.
    """
    engines, key = EngineCache(cache), planned.key(toolkit)
    found = find_engine(planned, toolkit, cache)
    if found is not None:
        return found
    waiting = Progress(f"waiting for another builder of {planned.name}", 0, 0, "steps")
    with engines.building(key, lambda: on_progress(waiting)):
        found = find_engine(planned, toolkit, cache)
        if found is not None:
            return found
        try:
            return _build(planned, toolkit, cache, on_progress)
        except OSError as exc:
            if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise NotEnoughSpace(engines.folder, _needed_bytes(planned), free_bytes(engines.folder)) from exc


def _build(planned: PlannedEngine, toolkit: EngineToolkit, cache: Path, on_progress: OnProgress) -> AcceptedEngine:
    engines, key = EngineCache(cache), planned.key(toolkit)
    needed, free = _needed_bytes(planned), free_bytes(engines.folder)
    if free < needed:
        raise NotEnoughSpace(engines.folder, needed, free)
    steps = iter(range(1, 5))

    def done() -> None:
        on_progress(Progress(f"building {planned.name}", next(steps), 4, "steps"))

    store = ArtifactStore(cache)
    files = {role: store.fetch(*named, on_progress) for role, named in planned.artifacts.items()}
    with engines.scratch(key) as scratch:
        network, reference = scratch / f"{planned.name}.onnx", scratch / "reference.onnx"
        planned.network.write(files, network, planned.deployment.precision)
        done()
        profiles = [input_shapes(planned.network, profile) for profile in planned.deployment.profiles]
        built = toolkit.build(network, profiles, engines.timings(key))
        plan = scratch / "model.plan"
        plan.write_bytes(built.plan)
        done()
        planned.network.write(files, reference, "fp32")
        # From the file, since that is what Triton will read.
        engine = toolkit.load(plan.read_bytes())
        agreement = accept(planned.name, planned.network, planned.deployment, reference, engine)
        done()
        accepted = AcceptedEngine(
            key=key,
            plan_sha256=sha256_of(plan),
            plan_bytes=plan.stat().st_size,
            agreement=agreement.least,
            samples=agreement.samples,
        )
        engines.publish(accepted, plan)
        engines.keep_timings(key, built.timings)
        done()
    return accepted


def _needed_bytes(planned: PlannedEngine) -> int:
    return _SPACE_FACTOR * sum(artifact.size_bytes for _, artifact in planned.artifacts.values()) + _SPARE_BYTES
