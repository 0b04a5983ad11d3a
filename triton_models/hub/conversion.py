"""Makes models of what repositories of the hub hold. The files stay as they are: they are looked at, linked, and tried.

Artifacts by their role: `network` (`onnx/model.onnx`), `network_data` and others whose role begins so (the files that a
network beyond 2 GB keeps its weights in, under the names that it has for them), `tokenizer` (`tokenizer.json`),
`config` (`config.json`), and if they are there `sentence_transformers` (`config_sentence_transformers.json`) and of an
encoder `pooling` (`1_Pooling/config.json`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError

from triton_models.catalogue import Option
from triton_models.conversions import DATA_ROLE, Converted
from triton_models.errors import ConversionFailed
from triton_models.hub.cross_encoder import pair_network
from triton_models.hub.description import (
    Config,
    CrossEncoderDescription,
    CrossEncoderOptions,
    EncoderDescription,
    EncoderOptions,
    Pooling,
    SentenceTransformers,
    read_options,
    told_pooling,
)
from triton_models.hub.encoder import HubEncoder
from triton_models.hub.entry import external_files
from triton_models.hub.networks import INPUTS, TYPES, ExportedNetwork, Network, batch_of
from triton_models.hub.tokenizer import HubTokenizer
from triton_models.progress import OnProgress, Progress
from triton_models.publishing import link
from triton_models.rerank.pairs import PairReranker

_NETWORK, _TOKENIZER = "model.onnx", "tokenizer.json"
_TOKEN_VECTORS, _TEXT_VECTORS = ("last_hidden_state", "token_embeddings"), "sentence_embedding"
_LOGITS = "logits"
_THREADS = 2
_SHORT = "The keeper lit the lamp."
_LONGER = "The keeper of the lighthouse wrote into the log when the ferry had left, and lit the lamp."
_MOST_APART = 0.2
"""What a network gives for a text alone and beside a longer one, and in OpenVINO: vectors with a cosine of .98,
log-odds as far apart as that, or by that share of them. In int8 it is never quite the same."""
_FUSED = "com.microsoft"
_INTEGER = frozenset(
    {"ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearMatMul", "QuantizeLinear"}
)
"""What quantized networks are made of."""
_ADVICE = "take the repository's onnx/model.onnx, or export it with `optimum-cli export onnx`"


def convert_encoder(
    artifacts: Mapping[str, Path], options: Mapping[str, Option], folder: Path, on_progress: OnProgress
) -> Converted:
    """A model of the slot `embed`, in `folder`. Takes as long as loading the network. Raises ConversionFailed."""
    own = read_options(EncoderOptions, options)
    with _shown(on_progress):
        parts = _Parts(artifacts, own.max_tokens, folder)
        query, passage = parts.told.prefix("query"), parts.told.prefix("passage", "document")
        output, pooling = _vectors(parts.network.outputs, own.pooling, artifacts.get("pooling"))
        network = parts.network.giving(output)
        with parts.trial():
            dimension = network(batch_of([parts.tokenizer.text(_SHORT)[:2]], parts.pad_token)).shape[-1]
        description = EncoderDescription(
            output=output,
            openvino=False,
            max_tokens=parts.max_tokens,
            pad_token=parts.pad_token,
            pooling=pooling,
            query_prefix=query if own.query_prefix is None else own.query_prefix,
            passage_prefix=passage if own.passage_prefix is None else own.passage_prefix,
            dimension=dimension,
        )
        trial = partial(_directions, parts.tokenizer, description)
        parts.try_out(trial, network)
        description = description.model_copy(update={"openvino": parts.openvino_agrees(trial, network, output)})
    return Converted(parts.files, description.parameters())


def convert_cross_encoder(
    artifacts: Mapping[str, Path], options: Mapping[str, Option], folder: Path, on_progress: OnProgress
) -> Converted:
    """A model of the slot `rerank`, in `folder`. Takes as long as loading the network. Raises ConversionFailed."""
    own = read_options(CrossEncoderOptions, options)
    with _shown(on_progress):
        parts = _Parts(artifacts, own.max_tokens, folder)
        if not parts.tokenizer.separates_pairs:
            raise ConversionFailed(
                f"{artifacts['tokenizer'].name} puts no mark between query and passage: it is of no cross-encoder"
            )
        output = _logits(parts.network.outputs)
        network = parts.network.giving(output)
        with parts.trial():
            [pair] = parts.tokenizer.pairs([(_SHORT, _LONGER)])
            label = _label(network(batch_of([pair], parts.pad_token)).shape[1], own.label)
        if parts.told.prompted:
            raise ConversionFailed(
                f"by its {artifacts['sentence_transformers'].name} pairs have a prompt before them, which is not done "
                "here"
            )
        activation = own.activation or parts.told.activation() or parts.config.activation() or "sigmoid"
        if activation.lower() not in ("sigmoid", "identity"):
            raise ConversionFailed(
                f"by its configs scores go through {activation}; say in `activation` sigmoid or identity"
            )
        description = CrossEncoderDescription(
            output=output,
            openvino=False,
            max_tokens=parts.max_tokens,
            pad_token=parts.pad_token,
            label=label,
            sigmoid=activation.lower() == "sigmoid",
        )
        trial = partial(_log_odds, parts.tokenizer, description)
        parts.try_out(trial, network)
        description = description.model_copy(update={"openvino": parts.openvino_agrees(trial, network, output)})
    return Converted(parts.files, description.parameters() | {"score_weight": str(description.score_weight)})


class _Parts:
    """The files that both kinds have, linked into `folder`. Raises ConversionFailed."""

    def __init__(self, artifacts: Mapping[str, Path], wanted_tokens: int | None, folder: Path) -> None:
        self._name = artifacts["network"].name
        self.config = Config(artifacts["config"])
        self.told = SentenceTransformers(artifacts.get("sentence_transformers"))
        self.max_tokens = self.config.max_tokens(wanted_tokens)
        self.tokenizer = HubTokenizer(artifacts["tokenizer"], self.max_tokens)
        self.config.require_pieces(self.tokenizer.pieces)
        self.pad_token = self.config.pad_token(self.tokenizer.pad_token)
        data = {role: path for role, path in artifacts.items() if role.startswith(DATA_ROLE)}
        graph = _graph(artifacts["network"])
        _require_data(self._name, graph, data)
        self._quantized = any(node.domain == _FUSED or node.op_type in _INTEGER for node in graph.node)
        self._file = folder / _NETWORK
        self.files = {"network": _NETWORK, "tokenizer": _TOKENIZER}
        self.files |= {role: path.name for role, path in data.items()}
        for role, name in self.files.items():
            link(artifacts[role], folder / name)
        with self.trial():
            self.network = ExportedNetwork(folder / _NETWORK, _THREADS)
        _check_inputs(self._name, self.network)

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Whatever a foreign network trips over is its file's fault."""
        try:
            yield
        except ConversionFailed:
            raise
        except Exception as exc:  # ONNX Runtime's have no class of their own
            raise ConversionFailed(f"{self._name} cannot be run: {exc}; {_ADVICE}") from exc

    def try_out(self, run: _Trial, network: Network) -> None:
        """Whether it gives the same for a text in whatever batch, and reads as far as it should."""
        with self.trial():
            beside, alone = run(network, [_SHORT, _LONGER])[:1], run(network, [_SHORT])
        if not _alike(beside, alone):
            raise ConversionFailed(
                f"{self._name} gives another result for a text beside a longer one than alone: it does not heed its "
                f"attention_mask; {_ADVICE}"
            )
        try:
            run(network, [" ".join([_LONGER] * self.max_tokens)])
        except Exception as exc:
            raise ConversionFailed(
                f"{self._name} fails with {self.max_tokens:,} tokens ({exc}); say fewer in `max_tokens`"
            ) from exc

    def openvino_agrees(self, run: _Trial, network: Network, output: str) -> bool:
        """Whether OpenVINO can run it, too, and gives the same. Integers are left to ONNX Runtime."""
        if self._quantized:
            return False
        # Takes a second to import.
        from triton_models.hub.openvino_network import openvino_network

        try:
            found = run(openvino_network(self._file, output, _THREADS), [_SHORT, _LONGER])
        except Exception:  # noqa: BLE001 - a network that it does not know
            return False
        return _alike(found, run(network, [_SHORT, _LONGER]))


_Trial = Callable[[Network, Sequence[str]], npt.NDArray[np.float32]]
"""From texts to float32[n, dimension]."""


def _alike(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> bool:
    """Row by row."""
    apart, size = np.linalg.norm(found - expected, axis=1), np.linalg.norm(expected, axis=1)
    return bool((apart <= _MOST_APART * np.maximum(1.0, size)).all())


@contextmanager
def _shown(on_progress: OnProgress) -> Iterator[None]:
    on_progress(Progress("trying the network", 0, 1, "steps"))
    yield
    on_progress(Progress("trying the network", 1, 1, "steps"))


def _graph(network: Path) -> onnx.GraphProto:
    try:
        return onnx.load(str(network), load_external_data=False).graph
    except DecodeError as exc:
        raise ConversionFailed(f"{network.name} is no ONNX file: {exc}; {_ADVICE}") from exc


def _require_data(name: str, graph: onnx.GraphProto, data: Mapping[str, Path]) -> None:
    """That the files in which the network keeps weights are those that there are."""
    named = external_files(graph)
    given = {path.name for path in data.values()}
    if named - given:
        raise ConversionFailed(
            f"{name} keeps weights in {_listed(named - given)}: give each such file as an artifact of that "
            f"name, with a role that begins with {DATA_ROLE}"
        )
    if given - named or len(given) < len(data):
        raise ConversionFailed(f"{name} does not read {_listed(given - named or given)}, or not twice")


def _check_inputs(name: str, network: ExportedNetwork) -> None:
    strange = network.inputs.keys() - set(INPUTS)
    if strange:
        raise ConversionFailed(f"{name} wants {_listed(strange)}, which no text has; {_ADVICE}")
    lacking = set(INPUTS[:2]) - network.inputs.keys()
    if lacking:
        raise ConversionFailed(f"{name} has no input {_listed(lacking)}; {_ADVICE}")
    if network.fixed_axes or not set(network.inputs.values()) <= TYPES.keys():
        raise ConversionFailed(
            f"{name} takes only inputs of one size or of another type than integers of 32 or 64 bits; {_ADVICE}"
        )


def _vectors(outputs: Mapping[str, int], wanted: str | None, pooling: Path | None) -> tuple[str, Pooling]:
    """The output to take vectors from, and how."""
    tokens = _output(outputs, _TOKEN_VECTORS, 3)
    if wanted is None and outputs.get(_TEXT_VECTORS) == 2:
        return _TEXT_VECTORS, Pooling.DONE
    if tokens is None:
        raise ConversionFailed(
            f"the network has no output {' or '.join(_TOKEN_VECTORS)}, with a vector for each token, but "
            f"{_listed(outputs)}; {_ADVICE} for the task feature-extraction"
        )
    if wanted is not None:
        return tokens, Pooling(wanted)
    if pooling is None:
        raise ConversionFailed(
            "how tokens' vectors become a text's is said nowhere: give the repository's 1_Pooling/config.json as the "
            "artifact `pooling`, or say the option `pooling`: mean, cls, max or last"
        )
    return tokens, told_pooling(pooling)


def _logits(outputs: Mapping[str, int]) -> str:
    found = _output(outputs, (_LOGITS,), 2)
    if found is None:
        raise ConversionFailed(
            f"the network has no output {_LOGITS}, with one or more for each text, but {_listed(outputs)}: it is no "
            "cross-encoder, or was not exported for the task text-classification"
        )
    return found


def _output(outputs: Mapping[str, int], names: Sequence[str], axes: int) -> str | None:
    """One of these names, or else the only one with so many axes."""
    fitting = [name for name, count in outputs.items() if count == axes]
    named = [name for name in names if name in fitting]
    if named:
        return named[0]
    return fitting[0] if len(fitting) == 1 else None


def _label(labels: int, wanted: int | None) -> int:
    if wanted is None and labels > 1:
        raise ConversionFailed(f"the network tells {labels} labels apart: say in `label` which one means that it fits")
    if wanted is not None and wanted >= labels:
        raise ConversionFailed(f"`label` is {wanted}, and the network's labels are 0 to {labels - 1}")
    return wanted or 0


def _directions(
    tokenizer: HubTokenizer, description: EncoderDescription, network: Network, texts: Sequence[str]
) -> npt.NDArray[np.float32]:
    whole = len(texts) * description.max_tokens
    return HubEncoder(network, tokenizer, description, whole).encode(texts, ["passage"] * len(texts)).vectors


def _log_odds(
    tokenizer: HubTokenizer, description: CrossEncoderDescription, network: Network, texts: Sequence[str]
) -> npt.NDArray[np.float32]:
    scoring = pair_network(network, description.model_copy(update={"sigmoid": False}))
    whole = len(texts) * description.max_tokens
    return PairReranker(scoring, tokenizer, whole).scores([_SHORT] * len(texts), texts)[:, None]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
