"""The file of a reader's trained layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.triton.tiny_e5 import FIRST, OUTLIER, SHAPE, trained_state
from triton_models.errors import ConversionFailed
from triton_models.read.weights import ReaderWeights, StoredMatrix, pack

OUTER = f"l{FIRST}.fo.w"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    pack(trained_state(), FIRST).save(tmp_path / "trained.npz")
    return tmp_path / "trained.npz"


def test_the_file_says_what_was_packed_and_the_same_weights_are_the_same_bytes(file: Path, tmp_path: Path) -> None:
    packed, loaded = pack(trained_state(), FIRST), ReaderWeights.load(file)
    assert loaded.first == FIRST
    assert loaded.vectors.keys() == packed.vectors.keys() and loaded.matrices.keys() == packed.matrices.keys()
    for name, values in packed.vectors.items():
        np.testing.assert_array_equal(loaded.vectors[name], values)
    for name, matrix in packed.matrices.items():
        np.testing.assert_array_equal(loaded.matrices[name].dequantized(), matrix.dequantized())
    loaded.save(tmp_path / "again.npz")
    assert file.read_bytes() == (tmp_path / "again.npz").read_bytes()
    loaded.require(SHAPE)


def test_a_matrix_is_within_half_a_step_of_its_row_and_outliers_are_exact() -> None:
    state, packed = trained_state(), pack(trained_state(), FIRST)
    joint = np.split(state["upper.1.joint.weight"], 3)
    for part, expected in zip("qkv", joint, strict=True):
        found = packed.matrices[f"l{FIRST + 1}.{part}.w"].dequantized()
        assert (np.abs(found - expected) <= 0.501 * np.abs(expected).max(axis=1, keepdims=True) / 127).all()
    outer, stored = state["upper.0.outer.weight"], packed.matrices[OUTER]
    assert stored.columns.tolist() == [OUTLIER]
    np.testing.assert_array_equal(stored.dequantized()[:, OUTLIER], outer[:, OUTLIER])
    # With the outlier in it a row would have steps forty times as large.
    rest = np.delete(np.abs(stored.dequantized() - outer), OUTLIER, axis=1)
    assert rest.max() <= 0.501 * np.delete(np.abs(outer), OUTLIER, axis=1).max() / 127
    assert not len(packed.matrices[f"l{FIRST + 1}.fo.w"].columns)


def test_what_was_quantized_is_quantized_to_itself() -> None:
    for name, matrix in pack(trained_state(), FIRST).matrices.items():
        again = StoredMatrix.quantized(matrix.dequantized(), outliers=bool(len(matrix.columns)))
        np.testing.assert_array_equal(again.values, matrix.values, err_msg=name)
        np.testing.assert_array_equal(again.apart, matrix.apart)


@pytest.mark.parametrize(
    "name", ["upper.0.middle.weight", "lower.0.inner.weight", "head", "upper.x.inner.bias", "optimizer"]
)
def test_another_parameter_is_refused(name: str) -> None:
    with pytest.raises(ConversionFailed, match=name):
        pack(trained_state() | {name: np.zeros(4, np.float32)}, FIRST)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"something else"])
def test_something_else_is_no_reader(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "trained.npz").write_bytes(content)
    with pytest.raises(ConversionFailed, match=r"trained\.npz"):
        ReaderWeights.load(tmp_path / "trained.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"first": None},
        {f"{OUTER}.scale": np.ones(3, np.float32)},
        {f"{OUTER}.columns": np.array([1_000])},
        {f"{OUTER}.apart": np.ones((2, 1), np.float32)},
        {"head.w": np.full((2, 64), np.nan, np.float32)},
        {"head.b": np.zeros(2, np.float64)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_parts_that_do_not_fit_together_are_refused(file: Path, change: dict[str, Any]) -> None:
    with np.load(file) as archive:
        arrays = dict(archive) | change
    np.savez(file, **{name: values for name, values in arrays.items() if values is not None})
    with pytest.raises(ConversionFailed, match=r"trained\.npz does not hold the weights of a reader"):
        ReaderWeights.load(file)


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        (replace(SHAPE, layers=4), r"l3\.aln\.b"),
        (replace(SHAPE, layers=1), "are no upper layers"),
        (replace(SHAPE, hidden=32), r"head\.w"),
        (replace(SHAPE, feed_forward=256), r"l1\.fi\.b"),
    ],
)
def test_layers_of_another_encoder_are_refused(shape: Any, problem: str) -> None:
    with pytest.raises(ConversionFailed, match=problem):
        pack(trained_state(), FIRST).require(shape)
