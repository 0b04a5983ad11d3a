"""A packed e5 of some hundred kilobytes with random weights, in the format that `embed/weights.py` reads, and what a
training of its upper layers could give."""

from __future__ import annotations

import string
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from triton_models.embed.weights import BLOCK, Shape

Floats = npt.NDArray[np.float32]

SHAPE = Shape(hidden=64, layers=3, heads=2, feed_forward=128, positions=512, epsilon=1e-6)
FIRST = 1
"""The first layer that is trained."""
OUTLIER = 5
"""A neuron of the first trained layer's feed-forward network that has weights far larger than the others'."""
_MARKS = ["<s>", "<pad>", "</s>", "<unk>"]
PIECES = [*_MARKS, "▁", *string.ascii_letters, *string.digits, *string.punctuation, *"灯台守は毎晩日誌", "<mask>"]
_PARTS = {"q": (64, 64), "k": (64, 64), "v": (64, 64), "ao": (64, 64), "fi": (128, 64), "fo": (64, 128)}


def write_tiny_e5(path: Path) -> None:
    """The same bytes every time. Full-width letters are normalized to usual ones."""
    random = np.random.default_rng(11)
    hidden, layers = SHAPE.hidden, SHAPE.layers

    def noise(size: int, around: float = 0.0) -> bytes:
        return (around + random.normal(0, 0.1, size)).astype("<f4").tobytes()

    def packed(rows: int, columns: int) -> bytes:
        count = rows * columns // BLOCK
        blocks = np.empty((count, 2 + BLOCK // 2), np.uint8)
        blocks[:, :2] = np.full((count, 1), 0.04, "<f2").view(np.uint8)
        blocks[:, 2:] = random.integers(0, 256, (count, BLOCK // 2))
        return blocks.tobytes()

    tensors: dict[str, tuple[int, int, bytes]] = {
        "emb.word": (1, len(PIECES) * hidden, packed(len(PIECES), hidden)),
        "emb.pos": (0, SHAPE.positions * hidden, noise(SHAPE.positions * hidden)),
        "emb.type": (0, hidden, noise(hidden)),
    }
    norms = ["emb.ln", *(f"l{layer}.{norm}" for layer in range(layers) for norm in ("aln", "oln"))]
    tensors |= {f"{name}.w": (0, hidden, noise(hidden, 1.0)) for name in norms}
    tensors |= {f"{name}.b": (0, hidden, noise(hidden)) for name in norms}
    for layer in range(layers):
        for part, (rows, columns) in _PARTS.items():
            tensors[f"l{layer}.{part}.w"] = (1, rows * columns, packed(rows, columns))
            tensors[f"l{layer}.{part}.b"] = (0, rows, noise(rows))

    head = b"E5S1" + struct.pack("<I", 1)
    head += struct.pack("<7ifi", hidden, layers, SHAPE.heads, SHAPE.feed_forward, 0, SHAPE.positions, 0, 1e-6, BLOCK)
    encoded = [piece.encode() for piece in PIECES]
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, sum(map(len, encoded)))
    head += np.cumsum([0, *map(len, encoded)]).astype("<u4").tobytes()
    head += np.full(len(PIECES), -float(len(PIECES)), "<f4").tobytes() + b"".join(encoded)
    wide = {0xFEE0 + ord(letter): ord(letter) for letter in string.ascii_letters}
    head += struct.pack("<iI", len(wide), 0)
    head += b"".join(struct.pack("<IBI", code_point, 1, usual) for code_point, usual in wide.items())
    head += struct.pack("<i", len(tensors))
    offset = len(head) + sum(2 + len(name) + struct.calcsize("<BIQQ") for name in tensors)
    for name, (kind, count, data) in tensors.items():
        head += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", kind, count, offset, len(data))
        offset += len(data)
    path.write_bytes(head + b"".join(data for _, _, data in tensors.values()))


def trained_state(first: int = FIRST) -> dict[str, Floats]:
    """A reader's parameters as training names them, random: layers from `first` on, and the head."""
    random = np.random.default_rng(12)

    def noise(*shape: int, around: float = 0.0) -> Floats:
        return (around + random.normal(0, 0.15, shape)).astype(np.float32)

    state = {"head.weight": 4 * noise(2, SHAPE.hidden), "head.bias": noise(2)}
    for layer in range(SHAPE.layers - first):
        place = f"upper.{layer}."
        state |= {
            f"{place}joint.weight": noise(3 * SHAPE.hidden, SHAPE.hidden),
            f"{place}output.weight": noise(SHAPE.hidden, SHAPE.hidden),
            f"{place}inner.weight": noise(SHAPE.feed_forward, SHAPE.hidden),
            f"{place}outer.weight": noise(SHAPE.hidden, SHAPE.feed_forward),
        }
        for part, size in (("joint", 3), ("output", 1), ("inner", 2), ("outer", 1)):
            state[f"{place}{part}.bias"] = noise(size * SHAPE.hidden)
        for norm in ("an", "on"):
            state |= {f"{place}{norm}.weight": noise(64, around=1.0), f"{place}{norm}.bias": noise(64)}
    state["upper.0.outer.weight"][:8, OUTLIER] *= 40
    return state
