"""Which networks a profile serves as engines, and with which shapes: the tables `[<slot>.networks.<role>]`."""

from __future__ import annotations

import tomllib
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from triton_models.embed.float_network import Precision
from triton_models.engines.errors import InvalidDeployment
from triton_models.engines.networks import BATCH, NETWORKS, Network
from triton_models.engines.toolkit import InputShapes, ShapeRange
from triton_models.rendering import PROFILES

Span = tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
"""Least, best and most."""


class NetworkDeployment(BaseModel):
    """`profiles`: for each optimization profile, the span of every axis that can change. `instances`: how often the
    engine is loaded into each GPU. `queue_delay_us`: how long a request may wait to be joined by others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    precision: Precision
    instances: Annotated[int, Field(gt=0)] = 1
    queue_delay_us: Annotated[int, Field(ge=0)] = 0
    profiles: Annotated[tuple[dict[str, Span], ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _in_order(self) -> NetworkDeployment:
        for profile in self.profiles:
            for axis, (least, best, most) in profile.items():
                if not least <= best <= most:
                    raise ValueError(f"{axis} goes from {least} over {best} to {most}")
        return self

    @property
    def max_batch(self) -> int:
        return max(profile[BATCH][2] for profile in self.profiles)


class Deployment:
    """The networks of a slot, by their role, as a profile deploys them."""

    def __init__(self, slot: str, networks: dict[str, NetworkDeployment]) -> None:
        self.slot = slot
        self.networks = networks

    @classmethod
    def read(cls, profile: str) -> list[Deployment]:
        """Those of all slots that have any. Raises InvalidDeployment."""
        tables = tomllib.loads((PROFILES / f"{profile}.toml").read_text(encoding="utf-8"))
        return [cls.parse(slot, table["networks"]) for slot, table in tables.items() if "networks" in table]

    @classmethod
    def parse(cls, slot: str, tables: dict[str, dict[str, Any]]) -> Deployment:
        """Raises InvalidDeployment."""
        parsed = {}
        for role, table in tables.items():
            name = f"{slot}.{role}"
            if (slot, role) not in NETWORKS:
                raise InvalidDeployment(name, "there is no such network")
            try:
                parsed[role] = NetworkDeployment.model_validate(table)
            except ValidationError as exc:
                raise InvalidDeployment(name, str(exc)) from exc
            _check_axes(name, NETWORKS[slot, role], parsed[role])
        return cls(slot, parsed)


def input_shapes(network: Network, profile: dict[str, Span]) -> InputShapes:
    """The shapes of each input, from the spans of the axes."""

    def dims(axes: tuple[str | int, ...], which: int) -> tuple[int, ...]:
        return tuple(axis if isinstance(axis, int) else profile[axis][which] for axis in axes)

    return {
        tensor.name: ShapeRange(dims(tensor.axes, 0), dims(tensor.axes, 1), dims(tensor.axes, 2))
        for tensor in network.inputs
    }


def _check_axes(name: str, network: Network, deployment: NetworkDeployment) -> None:
    if deployment.precision not in network.precisions:
        raise InvalidDeployment(name, f"it can be had in {', '.join(network.precisions)}")
    axes = {axis for tensor in network.inputs for axis in tensor.axes if isinstance(axis, str)}
    for profile in deployment.profiles:
        if profile.keys() != axes:
            raise InvalidDeployment(
                name, f"a profile spans {', '.join(sorted(axes))}, not {', '.join(sorted(profile))}"
            )
        for axis, (least, best, most) in profile.items():
            step = network.steps.get(axis, 1)
            if least % step or best % step or most % step:
                raise InvalidDeployment(name, f"{axis} comes in steps of {step}")
