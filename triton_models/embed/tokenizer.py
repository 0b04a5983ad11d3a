"""Texts to the token ids of XLM-RoBERTa's SentencePiece model."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import Unigram

from triton_models.embed.weights import Vocabulary

BOS, PAD, EOS = 0, 1, 2
_SPACES = re.compile(" {2,}")


class E5Tokenizer:
    """Safe to share between threads. `folder` holds what `write_tokenizer` wrote."""

    def __init__(self, pieces: Path, normalization: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(pieces))
        table = json.loads(normalization.read_text(encoding="utf-8"))
        self._table = {int(code_point): replacement for code_point, replacement in table.items()}

    def encode(self, text: str) -> list[int]:
        """Ids of the text between the marks of beginning and end; not truncated.

        About 1 microsecond a character for a text of new words.
        """
        ids: list[int] = self._tokenizer.encode(self.normalize(text), add_special_tokens=False).ids
        return [BOS, *ids, EOS]

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
