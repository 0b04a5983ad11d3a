"""Models in Triton that read texts with one question in mind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from server.adapters.triton_batches import BatchCalls, BatchOptions, TextInput, shares, split, text_input
from server.adapters.triton_client import TritonConnection, instances_of
from server.domain.deadline import Deadline

_CALL_BYTES = 16_384
"""Of texts in a call at most: each call reads the question once more."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as Triton has it: `parameters` are those of its configuration, `instances` processes serve it."""

    name: str
    parameters: Mapping[str, str]
    instances: int


class PairModel:
    """`slot` is named by errors and deadlines, `question_input` and `text_input` are the model's tensors."""

    slot: ClassVar[str]
    question_input: ClassVar[str]
    text_input: ClassVar[str]

    def __init__(self, connection: TritonConnection, model: ServedModel, options: BatchOptions) -> None:
        """Raises DependencyUnavailable for a parameter that means nothing."""
        self._fingerprint = model.parameters["fingerprint"]
        self._instances = model.instances
        self._options = options
        concurrent = options.concurrent * model.instances
        self._calls = BatchCalls(connection, self.slot, model.name, replace(options, concurrent=concurrent))

    @classmethod
    async def connect(
        cls, connection: TritonConnection, model: str, deadline: Deadline, options: BatchOptions | None = None
    ) -> Self:
        """Asks Triton for `model`'s fingerprint and instances. The texts of a call are divided among these, each of
        which gets `options.concurrent` at once. Raises DependencyUnavailable, StageDeadline."""
        fingerprint = await connection.fingerprint(model, deadline)
        config = await connection.config(model, deadline)
        parameters = {name: parameter.string_value for name, parameter in config.parameters.items()}
        served = ServedModel(model, parameters | {"fingerprint": fingerprint}, instances_of(config))
        return cls(connection, served, options or BatchOptions(bytes=_CALL_BYTES))

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    async def asked(
        self, question: str, texts: Sequence[str], outputs: Sequence[str], deadline: Deadline
    ) -> list[npt.NDArray[Any]]:
        """For each of the model's `outputs` a row for each text, of which there is at least one. Raises StageDeadline,
        DependencyUnavailable, Overloaded."""
        batches: list[list[TextInput]] = []
        order: list[int] = []
        for places in shares(texts, self._instances):
            order += places
            for batch in split([texts[place] for place in places], self._options):
                questions = text_input(self.question_input, [question] * len(batch))
                batches.append([questions, text_input(self.text_input, batch)])
        results = await self._calls.run(batches, deadline)
        found = []
        for output in outputs:
            rows = np.concatenate([result.as_numpy(output) for result in results])
            in_order = np.empty_like(rows)
            in_order[order] = rows
            found.append(in_order)
        return found
