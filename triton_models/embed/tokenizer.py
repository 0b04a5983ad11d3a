"""Texts to the token ids of XLM-RoBERTa's SentencePiece model."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import Unigram

from triton_models.embed.alignment import Aligner, blanks
from triton_models.embed.weights import Vocabulary

BOS, PAD, EOS = 0, 1, 2
_SPACES = re.compile(" {2,}")


class PlacedTokens(NamedTuple):
    """places: int32[tokens, 2]: token i stands for the characters of the given text from places[i, 0] to before
    places[i, 1]; those are equal for a token that stands for none, or for a blank."""

    ids: list[int]
    places: npt.NDArray[np.int32]


class E5Tokenizer:
    """Safe to share between threads. `folder` holds what `write_tokenizer` wrote."""

    def __init__(self, pieces: Path, normalization: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(pieces))
        table = json.loads(normalization.read_text(encoding="utf-8"))
        self._table = {int(code_point): replacement for code_point, replacement in table.items()}
        self._aligner = Aligner(self._table, self.normalize)

    def encode(self, text: str) -> list[int]:
        """Ids of the text between the marks of beginning and end; not truncated.

        About 1 microsecond a character for a text of new words.
        """
        ids: list[int] = self._tokenizer.encode(self.normalize(text), add_special_tokens=False).ids
        return [BOS, *ids, EOS]

    def encode_with_places(self, text: str) -> PlacedTokens:
        """Ids of the text without marks, and where in it each comes from.

        A character that normalization makes several of (`㍿`) can stand for several tokens, and belongs to each.
        """
        aligned = self._aligner.align(text)
        encoding = self._tokenizer.encode(aligned.text, add_special_tokens=False)
        offsets = np.array(encoding.offsets, np.int64).reshape(-1, 2)
        first, last = offsets[:, 0], offsets[:, 1]
        # A token begins with at most one blank, which is none of its characters.
        blank = np.append(blanks(aligned.text), False)
        first = np.minimum(first + blank[first], last)
        starts, ends = np.append(aligned.starts, len(text)), np.append(aligned.ends, len(text))
        places = np.stack([starts[first], np.where(last > first, ends[last - 1], starts[first])], axis=1)
        return PlacedTokens(encoding.ids, places.astype(np.int32))

    def normalize(self, text: str) -> str:
        """What SentencePiece's nmt_nfkc does: composed characters, compatibility forms replaced, controls removed."""
        # The table knows single characters only; what they become, such as half-width ガ in halves, is composed after.
        composed = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).translate(self._table))
        return _SPACES.sub(" ", composed)


def write_tokenizer(vocabulary: Vocabulary, folder: Path) -> dict[str, str]:
    """Writes the two files of a tokenizer; returns their paths in `folder` by role."""
    marks = {vocabulary.bos, vocabulary.eos, vocabulary.pad, vocabulary.unknown, len(vocabulary.pieces) - 1}
    # Marks get names with a control character, which normalization removes from every text: what a document says can
    # never become a mark.
    pieces = [f"\x01{i}" if i in marks else piece for i, piece in enumerate(vocabulary.pieces)]
    scored = list(zip(pieces, vocabulary.scores, strict=True))
    tokenizer = Tokenizer(Unigram(scored, unk_id=vocabulary.unknown, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    table = json.dumps(vocabulary.normalization, ensure_ascii=True)
    (folder / "normalization.json").write_text(table, encoding="utf-8")
    return {"tokenizer": "tokenizer.json", "normalization": "normalization.json"}
