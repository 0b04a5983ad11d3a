"""What turns fetched weights into the files that a runtime reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from triton_models.catalogue import Option
from triton_models.errors import ConversionFailed, UnknownName
from triton_models.progress import OnProgress


@dataclass(frozen=True, slots=True)
class Converted:
    """`files`: paths in the folder by their role. `parameters` are what the model's configuration says besides them."""

    files: dict[str, str]
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Conversion:
    """`version` grows with every change that changes the results; with it, what was converted before is not used.
    `roles` are those of the artifacts that it reads, `others` of those that may be missing; with `data` there may be
    any number whose role begins with DATA_ROLE. With `options` it reads those of the entry."""

    slot: str
    version: int
    roles: frozenset[str]
    others: frozenset[str] = frozenset()
    data: bool = False
    options: bool = False

    def reads(self, roles: Iterable[str]) -> bool:
        own = {role for role in roles if not (self.data and role.startswith(DATA_ROLE))}
        return self.roles <= own <= self.roles | self.others


DATA_ROLE = "network_data"
"""What the roles of files begin with that a network keeps its weights in."""
_HUB_ROLES = frozenset({"network", "tokenizer", "config"})
_SENTENCE_TRANSFORMERS = "sentence_transformers"
_CONVERSIONS = {
    "e5": _Conversion("embed", 2, frozenset({"weights"})),
    "late-interaction": _Conversion("rerank", 1, frozenset({"weights", "head"})),
    "reader": _Conversion("read", 1, frozenset({"weights", "trained"})),
    "sentences": _Conversion("rerank", 1, frozenset({"weights", "tokenizer"})),
    "hf-encoder": _Conversion(
        "embed", 1, _HUB_ROLES, frozenset({"pooling", _SENTENCE_TRANSFORMERS}), data=True, options=True
    ),
    "hf-cross-encoder": _Conversion(
        "rerank", 1, _HUB_ROLES, frozenset({_SENTENCE_TRANSFORMERS}), data=True, options=True
    ),
}


def conversion_version(name: str) -> int:
    """Raises UnknownName."""
    return _conversion(name).version


def convert(
    name: str,
    slot: str,
    artifacts: Mapping[str, Path],
    options: Mapping[str, Option],
    folder: Path,
    on_progress: OnProgress,
) -> Converted:
    """Writes a model of `slot` into `folder`, from artifacts by their role.

    Raises UnknownName, ConversionFailed; the latter also for another slot, other artifacts or other options than the
    conversion knows.
    """
    conversion = _conversion(name)
    if slot != conversion.slot:
        raise ConversionFailed(f"the conversion {name} makes models of the slot {conversion.slot}, not of {slot}")
    if not conversion.reads(artifacts):
        more = f" (and {_listed(conversion.others)})" if conversion.others else ""
        raise ConversionFailed(
            f"the conversion {name} reads the artifacts {_listed(conversion.roles)}{more}, and was given "
            f"{_listed(artifacts)}"
        )
    if options and not conversion.options:
        raise ConversionFailed(f"the conversion {name} has no options, and was given {_listed(options)}")
    # Imported here: the converters need packages that take long to import, and are rarely wanted.
    if name == "late-interaction":
        from triton_models.rerank.conversion import convert_reranker

        return Converted(convert_reranker(artifacts["weights"], artifacts["head"], folder, on_progress))
    if name == "reader":
        from triton_models.read.conversion import convert_reader

        return Converted(convert_reader(artifacts["weights"], artifacts["trained"], folder, on_progress))
    if name == "sentences":
        from triton_models.rerank.conversion import convert_sentences

        return Converted(convert_sentences(artifacts["weights"], artifacts["tokenizer"], folder, on_progress))
    if name == "hf-encoder":
        from triton_models.hub.conversion import convert_encoder

        return convert_encoder(artifacts, options, folder, on_progress)
    if name == "hf-cross-encoder":
        from triton_models.hub.conversion import convert_cross_encoder

        return convert_cross_encoder(artifacts, options, folder, on_progress)
    from triton_models.embed.conversion import convert_e5

    return Converted(convert_e5(artifacts["weights"], folder, on_progress))


def _conversion(name: str) -> _Conversion:
    if name not in _CONVERSIONS:
        raise UnknownName("conversion", name, _CONVERSIONS)
    return _CONVERSIONS[name]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
