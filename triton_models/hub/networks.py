"""Runs networks that were exported from the hub's models (`onnx/model.onnx`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from triton_models.embed.networks import onnxruntime_session

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""Those that an exported network can have, in the order of `Batch`."""
TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
"""That inputs can have, by ONNX Runtime's names."""


class Batch(NamedTuple):
    """ids, mask (1: token, 0: padding), types: int64[n, length]. Padding is behind the tokens."""

    ids: npt.NDArray[np.int64]
    mask: npt.NDArray[np.int64]
    types: npt.NDArray[np.int64]


Network = Callable[[Batch], npt.NDArray[np.float32]]
"""To one output of the network, whose first axis is n. For one thread at a time."""


def batch_of(rows: Sequence[tuple[list[int], list[int]]], pad_token: int) -> Batch:
    """Of ids and types, at least one row; as long as the longest. A row without a token gets one of padding, since no
    network knows what nothing is."""
    length = max(1, *(len(ids) for ids, _ in rows))
    batch = Batch(*(np.zeros((len(rows), length), np.int64) for _ in INPUTS))
    batch.ids[:] = pad_token
    for row, (ids, types) in enumerate(rows):
        batch.ids[row, : len(ids)] = ids
        batch.mask[row, : max(1, len(ids))] = 1
        batch.types[row, : len(types)] = types
    return batch


class ExportedNetwork:
    """The file in ONNX Runtime on the CPU. `inputs`: their types, `outputs`: how many axes they have; by name."""

    def __init__(self, file: Path, threads: int) -> None:
        """Raises what ONNX Runtime raises for a file that it cannot load."""
        self._session = onnxruntime_session(file, threads)
        self.inputs: dict[str, str] = {each.name: each.type for each in self._session.get_inputs()}
        self.fixed_axes: list[int] = [
            axis for each in self._session.get_inputs() for axis in each.shape if isinstance(axis, int)
        ]
        self.outputs: dict[str, int] = {each.name: len(each.shape) for each in self._session.get_outputs()}

    def giving(self, output: str) -> Network:
        """The function from a batch to that output. It raises what ONNX Runtime raises."""

        def run(batch: Batch) -> npt.NDArray[np.float32]:
            given = dict(zip(INPUTS, batch, strict=True))
            [found] = self._session.run(
                [output], {name: given[name].astype(TYPES[kind], copy=False) for name, kind in self.inputs.items()}
            )
            result: npt.NDArray[np.float32] = np.asarray(found, np.float32)
            return result

        return run
