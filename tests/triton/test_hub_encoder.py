"""Encoders of the hub, against the same network in NumPy and pooling by its definition."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from tests.triton.tiny_hub import WORDS, Floats, Ints, TinyBert, TinyRoberta
from triton_models.catalogue import Option
from triton_models.hub.conversion import convert_encoder
from triton_models.hub.description import EncoderDescription, Pooling
from triton_models.hub.encoder import HubEncoder, pooled
from triton_models.hub.networks import Batch, batch_of
from triton_models.hub.openvino_network import openvino_network
from triton_models.hub.served import served_encoder
from triton_models.hub.tokenizer import HubTokenizer
from triton_models.progress import silent

BERT, ROBERTA = TinyBert(), TinyRoberta()
_TEXTS = st.lists(st.sampled_from(WORDS[:8]), max_size=12).map(" ".join)


def served(
    artifacts: Mapping[str, Path], folder: Path, batch_tokens: int = 64, **options: Option
) -> tuple[HubEncoder, EncoderDescription]:
    """What Triton's process makes of what is prepared, with the network in float32."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    made = convert_encoder(artifacts, options, folder, silent)
    files = {role: str(folder / path) for role, path in made.files.items()}
    settings = {**made.parameters, **files, "threads": "1", "batch_tokens": str(batch_tokens), "openvino": "False"}
    return served_encoder(settings), EncoderDescription.read(made.parameters)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Pooling, HubEncoder]]:
    """By their pooling."""
    folder = tmp_path_factory.mktemp("bert")
    artifacts = BERT.write(folder / "repository")
    yield {
        pooling: served(artifacts, folder / pooling, pooling=pooling.value)[0]
        for pooling in Pooling
        if pooling is not Pooling.DONE
    }


def ids_of(text: str) -> Ints:
    """Of words of the vocabulary, which come apart at blanks."""
    rows = {piece: row for row, piece in enumerate((*BERT.marks, *WORDS))}
    return np.array([rows[piece] for piece in ("[CLS]", *text.split(), "[SEP]")])


def by_definition(states: Floats, pooling: Pooling) -> Floats:
    """Of the tokens of one text."""
    found = {
        Pooling.MEAN: states.mean(axis=0),
        Pooling.CLS: states[0],
        Pooling.MAX: states.max(axis=0),
        Pooling.LAST: states[-1],
    }[pooling]
    direction: Floats = found / np.linalg.norm(found)
    return direction


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(_TEXTS, max_size=7), pooling=st.sampled_from(sorted(set(Pooling) - {Pooling.DONE})))
def test_a_vector_is_the_text_s_whatever_is_beside_it(
    bert: dict[Pooling, HubEncoder], texts: list[str], pooling: Pooling
) -> None:
    encoded = bert[pooling].encode(texts, ["query"] * len(texts))
    assert encoded.vectors.shape == (len(texts), BERT.hidden) and encoded.vectors.dtype == np.float32
    assert encoded.token_counts.tolist() == [len(ids_of(text)) for text in texts]
    for text, vector in zip(texts, encoded.vectors, strict=True):
        ids = ids_of(text)
        expected = by_definition(BERT.states(ids, np.zeros_like(ids)), pooling)
        np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_a_model_whose_positions_begin_behind_the_padding(tmp_path: Path) -> None:
    encoder, description = served(ROBERTA.write(tmp_path / "repository", external=True), tmp_path / "model")
    assert (description.pooling, description.max_tokens, description.pad_token) == (Pooling.MEAN, 38, 1)
    texts = ["the keeper", "lamp", "a lamp, and the keeper of it", ("the keeper " * 50).strip()]
    encoded = encoder.encode(texts, ["passage"] * 4)
    assert encoded.truncated.tolist() == [False, False, False, True]
    assert encoded.token_counts.tolist() == [4, 3, encoded.token_counts[2], 102]
    pieces = {piece: row for row, piece in enumerate(ROBERTA.pieces)}
    for row, words in ((0, ["▁the", "▁keeper"]), (1, ["▁lamp"]), (3, ["▁the", "▁keeper"] * 18)):
        ids = np.array([pieces[piece] for piece in ("<s>", *words, "</s>")])
        np.testing.assert_allclose(encoded.vectors[row], by_definition(ROBERTA.states(ids), Pooling.MEAN), atol=1e-5)


def test_prefixes_are_read_and_counted(tmp_path: Path, bert: dict[Pooling, HubEncoder]) -> None:
    artifacts = BERT.write(tmp_path / "repository")
    told, _ = served(artifacts, tmp_path / "m", pooling="mean", query_prefix="the keeper wrote\n", passage_prefix="a ")
    found = told.encode(["lamp", "lamp"], ["query", "passage"])
    plain = bert[Pooling.MEAN].encode(["the keeper wrote lamp", "a lamp"], ["query", "passage"])
    np.testing.assert_allclose(found.vectors, plain.vectors, atol=1e-6)
    assert found.token_counts.tolist() == [6, 4]


def test_prefixes_of_sentence_transformers_are_read_unless_the_entry_has_others(tmp_path: Path) -> None:
    told = tmp_path / "config_sentence_transformers.json"
    told.write_text(json.dumps({"prompts": {"query": "the ", "document": "a "}, "default_prompt_name": None}))
    artifacts = BERT.write(tmp_path / "repository") | {"sentence_transformers": told}
    _, description = served(artifacts, tmp_path / "model", pooling="mean")
    assert description.prefixes == {"query": "the ", "passage": "a "}
    _, description = served(artifacts, tmp_path / "model", pooling="mean", query_prefix="lamp ", passage_prefix="")
    assert description.prefixes == {"query": "lamp ", "passage": ""}


def test_a_long_text_is_cut_before_its_last_mark_and_says_so(tmp_path: Path) -> None:
    encoder, _ = served(BERT.write(tmp_path / "repository"), tmp_path / "model", pooling="mean", max_tokens=16)
    text = "lamp " * 14
    encoded = encoder.encode([text, text + "ferry " * 1_000], ["passage"] * 2)
    assert encoded.token_counts.tolist() == [16, 1_016]
    assert encoded.truncated.tolist() == [False, True]
    np.testing.assert_allclose(encoded.vectors[0], encoded.vectors[1], atol=1e-6)


def test_no_texts_and_texts_of_nothing(bert: dict[Pooling, HubEncoder]) -> None:
    assert bert[Pooling.CLS].encode([], []).vectors.shape == (0, BERT.hidden)
    blank = bert[Pooling.MEAN].encode(["", " \n", "\x00"], ["passage"] * 3)
    np.testing.assert_allclose(np.linalg.norm(blank.vectors, axis=1), 1, atol=1e-5)
    assert blank.token_counts.tolist() == [2, 2, 2]


def test_what_a_text_says_never_becomes_a_mark(tmp_path: Path) -> None:
    tokenizer = HubTokenizer(BERT.write(tmp_path)["tokenizer"], 16)
    rows = {piece: row for row, piece in enumerate((*BERT.marks, *WORDS))}
    assert tokenizer.text("[SEP]").ids == [rows[piece] for piece in ("[CLS]", "[", "sep", "]", "[SEP]")]


def test_a_network_that_pools_by_itself(tmp_path: Path, bert: dict[Pooling, HubEncoder]) -> None:
    """As sentence-transformers exports it: both outputs, of which the second is the text's."""
    artifacts = BERT.write(tmp_path / "repository")
    model = onnx.load(str(artifacts["network"]))
    graph = model.graph
    graph.node.append(helper.make_node("Gather", ["last_hidden_state", "first"], ["sentence_embedding"], axis=1))
    graph.output.append(helper.make_tensor_value_info("sentence_embedding", onnx.TensorProto.FLOAT, ["batch", 24]))
    onnx.save(model, artifacts["network"])
    encoder, description = served(artifacts, tmp_path / "model")
    assert description.pooling is Pooling.DONE
    texts = ["the keeper", "a lamp ."]
    expected = bert[Pooling.CLS].encode(texts, ["query"] * 2).vectors
    np.testing.assert_allclose(encoder.encode(texts, ["query"] * 2).vectors, expected, atol=1e-6)
    mean, _ = served(artifacts, tmp_path / "mean", pooling="mean")
    expected = bert[Pooling.MEAN].encode(texts, ["query"] * 2).vectors
    np.testing.assert_allclose(mean.encode(texts, ["query"] * 2).vectors, expected, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_vector_that_is_no_direction_is_told(tmp_path: Path, value: float) -> None:
    tokenizer = HubTokenizer(BERT.write(tmp_path)["tokenizer"], 16)
    description = EncoderDescription(
        output="",
        openvino=False,
        max_tokens=16,
        pad_token=0,
        pooling=Pooling.MEAN,
        query_prefix="",
        passage_prefix="",
        dimension=3,
    )

    def network(batch: Batch) -> Floats:
        return np.full((*batch.ids.shape, 3), value, np.float32)

    with pytest.raises(ArithmeticError, match="no direction"):
        HubEncoder(network, tokenizer, description, 64).encode(["lamp"], ["query"])


def test_openvino_gives_what_onnx_runtime_does(tmp_path: Path, bert: dict[Pooling, HubEncoder]) -> None:
    """In bfloat16, where the CPU has it."""
    artifacts = BERT.write(tmp_path / "repository", external=True)
    _, description = served(artifacts, tmp_path / "model", pooling="mean")
    assert description.openvino
    network = openvino_network(tmp_path / "model" / "model.onnx", description.output, threads=1)
    encoder = HubEncoder(network, HubTokenizer(artifacts["tokenizer"], 16), description, batch_tokens=64)
    texts = ["the keeper", "a lamp . the ferry", "apple"]
    exact = bert[Pooling.MEAN].encode(texts, ["query"] * 3).vectors
    assert ((encoder.encode(texts, ["query"] * 3).vectors * exact).sum(axis=1) > 0.999).all()


def test_padding_is_behind_and_nothing_has_a_token() -> None:
    batch = batch_of([([5, 6, 7], [0, 1, 1]), ([], []), ([8], [0])], pad_token=9)
    assert batch.ids.tolist() == [[5, 6, 7], [9, 9, 9], [8, 9, 9]]
    assert batch.mask.tolist() == [[1, 1, 1], [1, 0, 0], [1, 0, 0]]
    assert batch.types.tolist() == [[0, 1, 1], [0, 0, 0], [0, 0, 0]]


def test_what_padding_gives_is_not_pooled() -> None:
    states = np.random.default_rng(3).normal(size=(2, 4, 5)).astype(np.float32)
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 1]])
    changed = states.copy()
    changed[0, 2:] = np.inf
    for pooling in set(Pooling) - {Pooling.DONE, Pooling.MEAN}:
        np.testing.assert_array_equal(pooled(states, mask, pooling), pooled(changed, mask, pooling))
    changed[0, 2:] = 1e6
    np.testing.assert_allclose(
        pooled(states, mask, Pooling.MEAN), pooled(changed, mask, Pooling.MEAN), rtol=1e-5, atol=1e-5
    )
