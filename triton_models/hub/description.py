"""What is known of a model of the hub besides its network: from its files, and from its catalogue entry.

Files: `config.json` (transformers), and of sentence-transformers `config_sentence_transformers.json` and an encoder's
`1_Pooling/config.json`. A description is written into the model's configuration, and read there by its process.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from triton_models.catalogue import Option
from triton_models.errors import ConversionFailed

ENGINE = "hub"
"""The parameter `engine` of such a model's configuration."""
_USUAL_TOKENS = 512
"""Are read where the entry says nothing, also by models that can read more: 8,192 tokens take gigabytes."""
_LEAST_TOKENS = 16
_PADDING_BEFORE_POSITIONS = frozenset(
    {"camembert", "data2vec-text", "ibert", "longformer", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta"}
    | {"xlm-roberta-xl", "xmod"}
)
"""Families whose first position comes after the padding's id: they read that many tokens fewer than they have
positions."""
_SIGMOID_WEIGHT, _LOGIT_WEIGHT = 1.0, 0.1
"""Of scores in a search. What a likely and an unlikely passage lie apart (.5, and 5 to 10) then counts about as much as
with cosines and their weight of 4."""


class Pooling(StrEnum):
    """How the vectors of a text's tokens become the text's."""

    MEAN = "mean"
    CLS = "cls"
    MAX = "max"
    LAST = "last"
    DONE = "done"
    """The network does it."""


_POOLING_FLAGS = {
    "pooling_mode_mean_tokens": Pooling.MEAN,
    "pooling_mode_cls_token": Pooling.CLS,
    "pooling_mode_max_tokens": Pooling.MAX,
    "pooling_mode_lasttoken": Pooling.LAST,
}
_POOLING_NAMES = {"mean": Pooling.MEAN, "cls": Pooling.CLS, "max": Pooling.MAX, "lasttoken": Pooling.LAST}


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    max_tokens: Annotated[int, Field(ge=_LEAST_TOKENS)] | None = None


_Prefix = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x09\x0b-\x1f]*$")]


class EncoderOptions(_Entry):
    """Of an entry. `pooling`: one of mean, cls, max and last."""

    pooling: str | None = Field(None, pattern="^(mean|cls|max|last)$")
    query_prefix: _Prefix | None = None
    passage_prefix: _Prefix | None = None


class CrossEncoderOptions(_Entry):
    """Of an entry. `activation`: sigmoid or identity. `label`: of several, the one for what fits, counted from 0."""

    activation: str | None = Field(None, pattern="^(sigmoid|identity)$")
    label: Annotated[int, Field(ge=0)] | None = None


_O = TypeVar("_O", bound=_Entry)


def read_options(kind: type[_O], told: Mapping[str, Option]) -> _O:
    """Raises ConversionFailed."""
    try:
        return kind.model_validate(dict(told))
    except ValidationError as exc:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in exc.errors())
        raise ConversionFailed(f"options that are not understood: {wrong}; there is {_fields(kind)}") from exc


class _Description(BaseModel):
    """`output` of the network is used, `max_tokens` are read, marks included, and `pad_token` fills batches. With
    `openvino`, OpenVINO was tried and gives what ONNX Runtime does."""

    model_config = ConfigDict(frozen=True)

    output: str
    openvino: bool
    max_tokens: int
    pad_token: int

    def parameters(self) -> dict[str, str]:
        """Of a model's configuration."""
        return {"engine": ENGINE} | {key: str(value) for key, value in self.model_dump().items()}

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> Self:
        """What `parameters` gave. Raises ValueError."""
        return cls.model_validate_strings({key: parameters[key] for key in cls.model_fields if key in parameters})


class EncoderDescription(_Description):
    """Vectors have `dimension` components. The prefixes are put before texts of each kind."""

    pooling: Pooling
    query_prefix: str
    passage_prefix: str
    dimension: int

    @property
    def prefixes(self) -> dict[str, str]:
        """By the kind of a text."""
        return {"query": self.query_prefix, "passage": self.passage_prefix}


class CrossEncoderDescription(_Description):
    """A score is the log-odds of `label`, or with `sigmoid` its probability."""

    label: int
    sigmoid: bool

    @property
    def score_weight(self) -> float:
        """In a search, where the entry says nothing."""
        return _SIGMOID_WEIGHT if self.sigmoid else _LOGIT_WEIGHT


class Config:
    """`config.json`. Raises ConversionFailed."""

    def __init__(self, file: Path) -> None:
        self._file = file.name
        self._told = read_object(file)

    def max_tokens(self, wanted: int | None) -> int:
        """How many tokens are read, of which the model can read no more. Raises ConversionFailed."""
        most = self._most_tokens()
        if wanted is not None and most is not None and wanted > most:
            raise ConversionFailed(f"max_tokens is {wanted:,}, and by its {self._file} the model reads {most:,}")
        return wanted or min(_USUAL_TOKENS, _USUAL_TOKENS if most is None else most)

    def require_pieces(self, pieces: int) -> None:
        """That the model has a vector for each piece of the tokenizer. Raises ConversionFailed."""
        known = self._number("vocab_size")
        if known is not None and pieces > known:
            raise ConversionFailed(
                f"the tokenizer has {pieces:,} pieces, and by its {self._file} the model knows {known:,}: they are of "
                "different models"
            )

    def pad_token(self, of_the_tokenizer: int | None) -> int:
        """The tokenizer's own, or that of the config; 0 if neither says."""
        told = self._number("pad_token_id") if of_the_tokenizer is None else of_the_tokenizer
        return told or 0

    def activation(self) -> str | None:
        """The name of PyTorch's class, as older versions of sentence-transformers write it into a cross-encoder's."""
        own = self._told.get("sentence_transformers")
        told = own.get("activation_fn") if isinstance(own, dict) else None
        return _class_name(told or self._told.get("sbert_ce_default_activation_function"))

    def _most_tokens(self) -> int | None:
        positions = self._number("max_position_embeddings") or self._number("n_positions")
        if positions is None or self._told.get("position_embedding_type", "absolute") not in ("absolute", None):
            return positions
        before = self._told.get("model_type") in _PADDING_BEFORE_POSITIONS
        return positions - (1 + (self._number("pad_token_id") or 0) if before else 0)

    def _number(self, key: str) -> int | None:
        told = self._told.get(key)
        return told if isinstance(told, int) and told >= 0 else None


class SentenceTransformers:
    """`config_sentence_transformers.json`; None: there is none. Raises ConversionFailed."""

    def __init__(self, file: Path | None) -> None:
        self._told = {} if file is None else read_object(file)
        prompts = self._told.get("prompts")
        self._prompts = prompts if isinstance(prompts, dict) else {}

    def prefix(self, *names: str) -> str:
        """The prompt of the first of these names that has one; empty if none has."""
        return next((str(self._prompts[name]) for name in names if self._prompts.get(name)), "")

    def activation(self) -> str | None:
        """The name of PyTorch's class."""
        return _class_name(self._told.get("activation_fn"))

    @property
    def prompted(self) -> bool:
        """Whether something is put before every text unless somebody says otherwise."""
        return bool(self._prompts.get(self._told.get("default_prompt_name")))


def told_pooling(file: Path) -> Pooling:
    """What `1_Pooling/config.json` says. Raises ConversionFailed."""
    told = read_object(file)
    if told.get("include_prompt") is False:
        raise ConversionFailed(f"by its {file.name} the pooling leaves out the prefix, which is not done here")
    named = told.get("pooling_mode")
    if named is not None:
        modes = [_POOLING_NAMES[named]] if isinstance(named, str) and named in _POOLING_NAMES else []
        others = [] if modes else [str(named)]
    else:
        on = [key for key, value in told.items() if key.startswith("pooling_mode_") and value is True]
        modes = [_POOLING_FLAGS[key] for key in on if key in _POOLING_FLAGS]
        others = [key for key in on if key not in _POOLING_FLAGS]
    if len(modes) != 1 or others:
        raise ConversionFailed(
            f"{file.name} does not say one pooling of mean, cls, max and last token, but {', '.join(modes + others)}"
        )
    return modes[0]


def read_object(file: Path) -> dict[str, Any]:
    """Of a JSON file. Raises ConversionFailed."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise ConversionFailed(f"{file.name} is no JSON: {exc}") from exc
    if not isinstance(told, dict):
        raise ConversionFailed(f"{file.name} holds no object of JSON")
    return told


def _class_name(told: object) -> str | None:
    return told.rpartition(".")[2] if isinstance(told, str) else None


def _fields(kind: type[BaseModel]) -> str:
    return ", ".join(sorted(kind.model_fields))
