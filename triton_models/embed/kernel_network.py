"""Runs the encoder by kernels of our own (`kernels/encoder.py`): on CPUs with AVX512-VNNI.

Weights are those of the prepared ONNX file, as they are: the word table in 4 bits, matrices in int8 with a scale per
output, the outlier inputs apart. Texts go through the layers without padding, and a text's vector is the same bits
whatever else is read along with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt

import kernels
from triton_models.embed.encoder_file import PARTS, EncoderFile
from triton_models.embed.networks import TokenNetwork
from triton_models.errors import ConversionFailed

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Mask = npt.NDArray[np.int32]

_ROWS = 128
"""Tokens of short texts that go through the layers together: what is between the layers stays in the second cache."""


def kernel_network(network: Path, threads: int) -> TokenNetwork:
    """An encoder of whole texts. Less than a second to load; the kernels some seconds when a machine runs them for the
    first time. Raises ConversionFailed for a network that neither `embed/network.py` nor `rerank/sentence_network.py`
    wrote."""
    weights = EncoderWeights(EncoderFile(network))

    def vectors(states: Floats, starts: Ids) -> Floats:
        found = np.empty((len(starts) - 1, states.shape[1]), np.float32)
        kernels.average_rows(states, starts, found)
        return found

    run = on_threads([TextStates(weights) for _ in range(threads)], vectors)
    return lambda ids, mask: np.concatenate([np.empty((0, weights.hidden), np.float32), *run(ids, mask)])


def by_token(file: EncoderFile, threads: int, head: Callable[[Floats], Floats]) -> Callable[[Ids, Mask], Floats]:
    """A function from ids and mask, int[n, length], to float32[n, length, k]: what `head` makes of the last layer's
    states, from float32[tokens, hidden] to float32[tokens, k]; zeros for padding. Several threads call `head` at once.
    Raises ConversionFailed."""
    weights = EncoderWeights(file)
    run = on_threads([TextStates(weights) for _ in range(threads)], lambda states, starts: head(states))

    def placed(ids: Ids, mask: Mask) -> Floats:
        found = np.concatenate(run(ids, mask))
        rows = np.zeros((*ids.shape, found.shape[1]), np.float32)
        rows[mask.astype(bool)] = found
        return rows

    return placed


class EncoderWeights:
    """Of a network's file, in the order in which kernels read them."""

    def __init__(self, file: EncoderFile) -> None:
        """Raises ConversionFailed for a network of which the file is not one of ours, or whose sizes the kernels do not
        take."""
        self.words = file.int8_words() if file.has_int8_words else kernels.PackedWords(*file.words())
        self.positions: Floats = file.constant("positions").astype(np.float32)
        self.hidden = self.positions.shape[1]
        self.first = kernels.Norm(
            *(file.constant("emb.ln" + part).astype(np.float32).reshape(1, -1) for part in (".w", ".b"))
        )
        self.epsilon = file.epsilon("x")
        if self.hidden % (file.heads * kernels.PANEL) or file.matrix("l0.fi").values.shape[1] % kernels.PANEL:
            raise ConversionFailed(f"heads and matrices are multiples of {kernels.PANEL} wide in what kernels can run")
        outliers = _outliers(file)
        self.layers = kernels.Layers(
            _weights(file, PARTS),
            _weights(file, ["ao"]),
            _weights(file, ["fi"]),
            _weights(file, ["fo"]),
            _norm(file, "aln"),
            _norm(file, "oln"),
            *outliers,
            file.heads,
            self.epsilon,
        )


class TextStates:
    """What the last layer gives for the tokens of texts. For one thread at a time; weights are shared."""

    def __init__(self, weights: EncoderWeights) -> None:
        self._weights = weights
        layers, hidden, longest = weights.layers, weights.hidden, len(weights.positions)
        self.longest = longest
        rows, inner, outliers = max(_ROWS, longest), layers.rising.scales.shape[1], layers.outliers.shape[1]
        self._scratch = kernels.Scratch(
            joint=np.empty((rows, 3 * hidden), np.float32),
            mixed=np.empty((rows, hidden), np.float32),
            moved=np.empty((rows, hidden), np.float32),
            inner=np.empty((kernels.INNER_ROWS, inner), np.float32),
            codes=np.empty((rows, hidden), np.uint8),
            inner_codes=np.empty((kernels.INNER_ROWS, inner), np.uint8),
            lows=np.empty(rows, np.float32),
            steps=np.empty(rows, np.float32),
            attention=kernels.attention_room(longest, hidden // layers.heads),
            apart=np.empty((kernels.INNER_ROWS, outliers), np.float32),
        )

    def states(self, ids: Ids, starts: Ids) -> Floats:
        """float32[n, hidden]. ids: int64[n], of texts one after the other, up to 128 or those of one text; starts:
        int64[texts + 1], where they begin, and n."""
        by = self._weights
        states = np.empty((len(ids), by.hidden), np.float32)
        if isinstance(by.words, kernels.PackedWords):
            kernels.embed_words(by.words, by.positions, by.first, by.epsilon, ids, starts, self._scratch, states)
        else:
            np.multiply(by.words.values[ids], by.words.scales[ids], out=states)
            places = by.positions[np.arange(len(ids)) - np.repeat(starts[:-1], np.diff(starts))]
            kernels.normalize_sums(states, places, by.first.weights[0], by.first.bias[0], by.epsilon)
        kernels.run_layers(states, starts, by.layers, self._scratch)
        return states


def on_threads(
    encoders: Sequence[TextStates], finish: Callable[[Floats, Ids], Floats]
) -> Callable[[Ids, Mask], list[Floats]]:
    """From ids int64[n, length] and mask int32[n, length] (1: token, 0: padding behind them) to what `finish` makes of
    states and starts (see `TextStates`), for a few texts at a time in their order. A thread for each encoder, of which
    one is the caller's if there is no other."""
    idle: SimpleQueue[TextStates] = SimpleQueue()
    for encoder in encoders:
        idle.put(encoder)
    pool = ThreadPoolExecutor(len(encoders), "encoder") if len(encoders) > 1 else None
    with kernels.compiled_once("encoder"):
        some = np.array([0, 1])
        finish(encoders[0].states(some[:1], some), some)

    def one(ids: Ids, starts: Ids) -> Floats:
        encoder = idle.get()
        try:
            return finish(encoder.states(ids, starts), starts)
        finally:
            idle.put(encoder)

    def run(ids: Ids, mask: Mask) -> list[Floats]:
        lengths = mask.sum(axis=1)
        if len(lengths) and lengths.max() > (longest := encoders[0].longest):
            raise ValueError(f"a text has {lengths.max()} tokens; the network has places for {longest}")
        flat = ids[mask.astype(bool)]
        ends = np.concatenate([[0], np.cumsum(lengths)])
        parts = [
            (flat[ends[first] : ends[last]], ends[first : last + 1] - ends[first]) for first, last in _runs(lengths)
        ]
        if pool is None or len(parts) == 1:
            return [one(*part) for part in parts]
        return list(pool.map(one, *zip(*parts, strict=True)))

    return run


def _runs(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Neighbours that have up to _ROWS tokens together; a longer text alone."""
    first, tokens = 0, 0
    for place, length in enumerate(lengths):
        if place > first and tokens + length > _ROWS:
            yield first, place
            first, tokens = place, 0
        tokens += length
    if first < len(lengths):
        yield first, len(lengths)


def _weights(file: EncoderFile, parts: Sequence[str]) -> kernels.Weights:
    """Of the products of those names side by side."""
    layers = [[file.matrix(f"l{layer}.{part}") for part in parts] for layer in range(file.layers)]
    codes = [np.concatenate([matrix.values for matrix in matrices], axis=1) for matrices in layers]
    return kernels.Weights(
        kernels.aligned(np.stack([kernels.pack_codes(each) for each in codes])),
        np.stack([each.sum(axis=0, dtype=np.int64) for each in codes]).astype(np.float32),
        np.stack([np.concatenate([matrix.scales for matrix in matrices]) for matrices in layers]),
        np.stack([np.concatenate([matrix.bias for matrix in matrices]) for matrices in layers]),
    )


def _norm(file: EncoderFile, name: str) -> kernels.Norm:
    weights, bias = (
        np.stack([file.constant(f"l{layer}.{name}{part}") for layer in range(file.layers)]).astype(np.float32)
        for part in (".w", ".b")
    )
    return kernels.Norm(weights, bias)


def _outliers(file: EncoderFile) -> tuple[npt.NDArray[np.int64], Floats]:
    """As in `kernels.Layers`."""
    found = [file.outliers(f"l{layer}.fo") for layer in range(file.layers)]
    most = max(len(each.columns) if each is not None else 0 for each in found)
    columns = np.full((file.layers, most), kernels.NO_COLUMN, np.int64)
    apart = np.zeros((file.layers, most, file.matrix("l0.fo").values.shape[1]), np.float32)
    for layer, each in enumerate(found):
        if each is not None:
            columns[layer, : len(each.columns)] = each.columns
            apart[layer, : len(each.columns)] = each.weights
    return columns, apart
