"""Texts and pairs of texts to tokens, by a `tokenizer.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tokenizers import Encoding, Tokenizer

from triton_models.errors import ConversionFailed
from triton_models.rerank.pairs import PairTokens

_CHARACTERS_OF_TOKEN = 16
"""Of a text that is read only as far as a model goes, so many are looked at for each token that it takes: none has more
in the mean."""


class TextTokens(NamedTuple):
    """`ids` and `types` of what is read, marks included; without the limit there would be `total`."""

    ids: list[int]
    types: list[int]
    total: int


class HubTokenizer:
    """With the marks that the file puts around and between texts. Safe to share between threads."""

    def __init__(self, file: Path, max_tokens: int) -> None:
        """Raises ConversionFailed."""
        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as exc:  # the package raises nothing narrower
            raise ConversionFailed(
                f"{file.name} is no tokenizer.json of the package `tokenizers` ({exc}); save it again with "
                "AutoTokenizer.from_pretrained(…).save_pretrained(…)"
            ) from exc
        self.pad_token: int | None = (self._tokenizer.padding or {}).get("pad_id")
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        # What a document says can never become a mark.
        self._tokenizer.encode_special_tokens = True
        self._room = max_tokens - self._tokenizer.num_special_tokens_to_add(is_pair=False)
        self._pair_marks = self._tokenizer.num_special_tokens_to_add(is_pair=True)
        self._pair_room = max_tokens - self._pair_marks

    @property
    def separates_pairs(self) -> bool:
        """Whether there is a mark between two texts."""
        return bool(self._pair_marks)

    @property
    def pieces(self) -> int:
        """Of the vocabulary, marks included."""
        size: int = self._tokenizer.get_vocab_size(with_added_tokens=True)
        return size

    def text(self, text: str) -> TextTokens:
        """As far as the limit. About 1 microsecond a character."""
        own = self._encoded(text)
        whole = len(own.ids)
        marks = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        if whole > self._room:
            own.truncate(self._room)
        read = self._tokenizer.post_process(own)
        return TextTokens(read.ids, read.type_ids, whole + marks)

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> list[PairTokens]:
        """See `PairTokenizer`. A query is read as far as half of the limit, a passage as far as that leaves room."""
        limit = _CHARACTERS_OF_TOKEN * self._pair_room
        queries: dict[str, Encoding] = {}
        found = []
        for query, passage in pairs:
            if query not in queries:
                queries[query] = self._encoded(query[:limit])
                if len(queries[query].ids) > self._pair_room // 2:
                    queries[query].truncate(self._pair_room // 2)
            own, room = self._encoded(passage[:limit]), self._pair_room - len(queries[query].ids)
            if len(own.ids) > room:
                own.truncate(room)
            both = self._tokenizer.post_process(queries[query], own)
            found.append(PairTokens(both.ids, both.type_ids))
        return found

    def _encoded(self, text: str) -> Encoding:
        """Without marks."""
        return self._tokenizer.encode(text, add_special_tokens=False)
