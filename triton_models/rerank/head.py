"""What is trained of the reranker: how the encoder's token vectors are compared."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from triton_models.errors import ConversionFailed

Floats = npt.NDArray[np.float32]

_FLOAT16_FIELDS = ("center", "down", "up", "importance")
_LEAST_INFORMATION, _MOST_INFORMATION = 4.0, 14.0
_USUAL_INFORMATION = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The vector of a token with the encoder's output h is x + (x @ down) @ up, of length 1, where x = h - center. Its
    importance in a query is exp(x @ importance + information_weight * the logarithm of its piece's information).

    center, importance: float32[hidden]. down: float32[hidden, rank]. up: float32[rank, hidden].
    """

    center: Floats
    down: Floats
    up: Floats
    importance: Floats
    information_weight: float

    def save(self, path: Path) -> None:
        """In 16 bits, the same bytes for the same head."""
        arrays = {name: getattr(self, name).astype(np.float16) for name in _FLOAT16_FIELDS}
        np.savez(path, allow_pickle=False, **arrays, information_weight=np.float32(self.information_weight))

    @classmethod
    def load(cls, path: Path) -> Head:
        """Raises ConversionFailed."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                center, down, up, importance = (arrays[name].astype(np.float32) for name in _FLOAT16_FIELDS)
                head = cls(center, down, up, importance, float(arrays["information_weight"]))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as exc:
            raise ConversionFailed(f"{path.name} is not the head of a reranker: {exc}") from exc
        hidden, rank = head.down.shape if head.down.ndim == 2 else (-1, -1)
        if head.up.shape != (rank, hidden) or not head.center.shape == head.importance.shape == (hidden,):
            raise ConversionFailed(f"{path.name} holds matrices that do not fit together")
        return head

    @classmethod
    def untrained(cls, center: Floats, rank: int, seed: int) -> Head:
        """Compares what the encoder gives, every token alike. `down` is random and `up` zero, so that both learn
        (Hu et al., "LoRA", ICLR 2022, section 4.1)."""
        hidden = len(center)
        down = np.random.default_rng(seed).standard_normal((hidden, rank), np.float32) / np.sqrt(np.float32(hidden))
        return cls(center, down, np.zeros((rank, hidden), np.float32), np.zeros(hidden, np.float32), 0.0)


def log_information(scores: npt.ArrayLike) -> Floats:
    """float32[pieces]: the logarithm of each piece's information, as a share of a usual piece's.

    `scores` are the natural logarithms of the pieces' probabilities, by the tokenizer's unigram model: what a piece
    tells without any collection to count in, as the inverse document frequency would.
    """
    information = np.clip(-np.asarray(scores, np.float32), _LEAST_INFORMATION, _MOST_INFORMATION)
    result: Floats = np.log(information / np.float32(_USUAL_INFORMATION))
    return result
