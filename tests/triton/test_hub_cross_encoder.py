"""Cross-encoders of the hub, against the same network in NumPy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.triton.tiny_hub import WORDS, Floats, TinyBert, TinyRoberta
from triton_models.catalogue import Option
from triton_models.hub.conversion import convert_cross_encoder
from triton_models.hub.cross_encoder import log_odds, sigmoid
from triton_models.hub.served import served_cross_encoder
from triton_models.hub.tokenizer import HubTokenizer
from triton_models.progress import silent
from triton_models.rerank.pairs import PairReranker, PairTokens

ONE, THREE = TinyBert(labels=1), TinyBert(labels=3, seed=4)
ROWS = {piece: row for row, piece in enumerate((*ONE.marks, *WORDS))}
_TEXTS = st.lists(st.sampled_from(WORDS[:8]), min_size=1, max_size=9).map(" ".join)


def served(
    artifacts: Mapping[str, Path], folder: Path, options: Mapping[str, Option]
) -> tuple[PairReranker, dict[str, str]]:
    """What Triton's process makes of what is prepared, with the network in float32, and its parameters."""
    folder.mkdir()
    made = convert_cross_encoder(artifacts, options, folder, silent)
    files = {role: str(folder / path) for role, path in made.files.items()}
    settings = {**made.parameters, **files, "threads": "1", "batch_tokens": "64", "openvino": "False"}
    return served_cross_encoder(settings), made.parameters


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> PairReranker:
    """Whose scores are logits."""
    folder = tmp_path_factory.mktemp("pairs")
    return served(ONE.write(folder / "repository"), folder / "model", {"activation": "identity"})[0]


def logits(model: TinyBert, query: str, passage: str) -> Floats:
    """Of texts of words of the vocabulary, by the definition: [CLS] query [SEP] passage [SEP]."""
    first, second = ("[CLS]", *query.split(), "[SEP]"), (*passage.split(), "[SEP]")
    ids = np.array([ROWS[piece] for piece in (*first, *second)])
    return model.logits(ids, np.array([0] * len(first) + [1] * len(second)))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(_TEXTS, _TEXTS), max_size=9))
def test_scores_are_the_network_s_in_the_order_of_the_pairs(
    reranker: PairReranker, pairs: list[tuple[str, str]]
) -> None:
    scores = reranker.scores([query for query, _ in pairs], [passage for _, passage in pairs])
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [logits(ONE, *pair)[0] for pair in pairs], rtol=1e-4, atol=1e-5)


def test_which_text_a_token_is_of_counts(reranker: PairReranker) -> None:
    there, back = reranker.scores(["keeper", "lamp"], ["lamp", "keeper"])
    assert abs(there - back) > 1e-3


def test_blank_texts(reranker: PairReranker) -> None:
    scores = reranker.scores(["keeper", "keeper", " ", ""], [" \n", "lamp", "lamp", ""])
    assert scores[0] == -100.0 < scores[1]
    assert np.isnan(scores[2:]).all()
    assert reranker.scores([], []).shape == (0,)


def test_a_long_query_leaves_half_to_the_passage(tmp_path: Path) -> None:
    tokenizer = HubTokenizer(ONE.write(tmp_path)["tokenizer"], 23)
    long, short = "ferry " * 10_000, "lamp keeper"
    [both, query, passage, neither] = tokenizer.pairs([(long, long), (long, short), (short, long), (short, short)])
    assert both.types == [0] * 12 + [1] * 11 and len(both.ids) == 23
    assert query.types == [0] * 12 + [1] * 3
    assert passage.types == [0] * 4 + [1] * 19
    assert neither.ids == [ROWS[each] for each in ("[CLS]", "lamp", "keeper", "[SEP]", "lamp", "keeper", "[SEP]")]
    for each in (both, query, passage):
        assert each.ids.count(ROWS["[SEP]"]) == 2 and each.ids[-1] == ROWS["[SEP]"]


def test_a_family_without_types_has_two_marks_between(tmp_path: Path) -> None:
    tokenizer = HubTokenizer(TinyRoberta().write(tmp_path)["tokenizer"], 32)
    pieces = TinyRoberta().pieces
    [pair] = tokenizer.pairs([("the keeper", "lamp")])
    assert [pieces[row] for row in pair.ids] == ["<s>", "▁the", "▁keeper", "</s>", "</s>", "▁lamp", "</s>"]


class Counting:
    """A network that gives each pair its length, and counts."""

    def __init__(self, value: float | None = None) -> None:
        self.read: list[int] = []
        self.value = value

    def __call__(self, pairs: Sequence[PairTokens]) -> Floats:
        self.read.append(len(pairs))
        return np.array([len(pair.ids) if self.value is None else self.value for pair in pairs], np.float32)


def test_each_pair_goes_through_the_network_once_in_batches_of_tokens(tmp_path: Path) -> None:
    network, tokenizer = Counting(), HubTokenizer(ONE.write(tmp_path)["tokenizer"], 32)
    passages = ["lamp", "ferry", "lamp", "lamp keeper ferry", "lamp"]
    scores = PairReranker(network, tokenizer, batch_tokens=10).scores(["keeper"] * 5, passages)
    assert scores.tolist() == [5, 5, 5, 7, 5]
    assert network.read == [2, 1]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_that_gives_no_numbers_is_told(tmp_path: Path, value: float) -> None:
    tokenizer = HubTokenizer(ONE.write(tmp_path)["tokenizer"], 32)
    with pytest.raises(ArithmeticError, match="not numbers"):
        PairReranker(Counting(value), tokenizer, 64).scores(["keeper"], ["lamp"])


@pytest.mark.parametrize(
    ("config", "options", "sigmoid_told", "weight"),
    [
        ({}, {}, True, "1.0"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, {}, False, "0.1"),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, {}, False, "0.1"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}}, {}, True, "1.0"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.Tanh"}}, {"activation": "identity"}, False, "0.1"),
    ],
)
def test_what_scores_go_through_is_told_by_the_entry_or_the_config(
    tmp_path: Path, config: dict[str, object], options: dict[str, Option], sigmoid_told: bool, weight: str
) -> None:
    scorer, parameters = served(ONE.write(tmp_path / "repository", config=config), tmp_path / "model", options)
    assert parameters["score_weight"] == weight
    [score, blank] = scorer.scores(["keeper"] * 2, ["the lamp", ""])
    logit = logits(ONE, "keeper", "the lamp")[0]
    assert score == pytest.approx(1 / (1 + np.exp(-logit)) if sigmoid_told else logit, rel=1e-4)
    assert blank == (-1.0 if sigmoid_told else -100.0)


def test_what_sentence_transformers_say_comes_before_the_config(tmp_path: Path) -> None:
    told = tmp_path / "config_sentence_transformers.json"
    told.write_text(json.dumps({"activation_fn": "torch.nn.modules.linear.Identity", "prompts": {}}))
    config = {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}}
    artifacts = ONE.write(tmp_path / "repository", config=config) | {"sentence_transformers": told}
    assert served(artifacts, tmp_path / "model", {})[1]["sigmoid"] == "False"


@pytest.mark.parametrize("label", [0, 1, 2])
def test_one_of_several_labels_scores_by_its_softmax(tmp_path: Path, label: int) -> None:
    scorer, _ = served(THREE.write(tmp_path / "repository"), tmp_path / "model", {"label": label})
    [score] = scorer.scores(["keeper"], ["the lamp ."])
    shares = np.exp(logits(THREE, "keeper", "the lamp ."))
    assert score == pytest.approx(shares[label] / shares.sum(), rel=1e-4)


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.float32, (3, 4), elements=st.floats(-80, 80, width=32)), st.integers(0, 3))
def test_log_odds_are_those_of_the_softmax(values: Floats, label: int) -> None:
    shares = np.exp(values.astype(np.float64))
    expected = np.log(shares[:, label] / np.delete(shares, label, axis=1).sum(axis=1))
    np.testing.assert_allclose(log_odds(values, label), expected, rtol=1e-4, atol=1e-4)
    alone = values[:, :1]
    np.testing.assert_array_equal(log_odds(alone, 0), alone[:, 0])


def test_a_sigmoid_of_anything_is_a_share() -> None:
    values = np.array([-3e38, -100, -1, 0, 1, 100, 3e38], np.float32)
    with np.errstate(all="raise", under="ignore"):
        found = sigmoid(values)
    np.testing.assert_allclose(found, [0, 0, 0.2689414, 0.5, 0.7310586, 1, 1], atol=1e-6)
