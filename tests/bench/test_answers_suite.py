"""What an answer is worth, which questions are drawn, and the figures from made-up judgements."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.catalogue import SUITES
from bench.record import Findings, Series, SummaryRow
from bench.suites.answers.corpus import Corpus, ingested
from bench.suites.answers.measuring import Judged
from bench.suites.answers.questions import AskedSet, asked_sets
from bench.suites.answers.scoring import calibration_error, exact, f1, foreign_names, foreign_numbers, holds
from bench.suites.answers.summary import as_facts
from bench.suites.answers.workload import AnswersPlan, AnswersWorkload
from bench.suites.base import load_workload
from bench.suites.index.datasets import Article, DataSet, NoDataSets
from bench.suites.serving.answering import FIRST_SOURCE
from pinakes import AsyncClient
from pinakes.v1 import document_service_pb2
from tests.bench.records import sample
from tests.contract import scripted_server as server
from tests.contract.scripted_server import Script
from tests.contract.test_calls import job_is

PLAN = AnswersPlan(
    sets=(), questions=3, unanswerable=1, documents=0, limit=20, parallel_uploads=2, deadline_s=1.0, limit_s=1.0
)


class TestScoring:
    def test_case_articles_and_punctuation_do_not_count_in_english(self) -> None:
        assert exact("The  Harbour, Master!", ["harbour master"], japanese=False)
        assert f1("It is nearly $12.", ["nearly $12", "$12"], japanese=False) == pytest.approx(2 * 2 / (4 + 2))
        assert f1("blue", ["red"], japanese=False) == f1("blue", [], japanese=False) == 0.0

    def test_characters_count_in_japanese(self) -> None:
        assert exact("１９７９年。", ["1979年"], japanese=True)
        assert f1("東京都です", ["東京都"], japanese=True) == pytest.approx(2 * 3 / (5 + 3))
        assert f1("東京都です", ["東京都"], japanese=False) == 0.0

    def test_an_answer_is_said_in_a_sentence(self) -> None:
        assert holds("Oil cost nearly $12 then.", ["nearly $12"], japanese=False)
        assert not holds("Oil cost 12 nearly.", ["nearly $12"], japanese=False)
        assert holds("首都は東京都である。", ["東京都"], japanese=True)
        assert not holds("anything", ["", "..."], japanese=False)

    @given(st.text(max_size=40), st.booleans())
    def test_an_accepted_answer_is_worth_everything(self, text: str, japanese: bool) -> None:
        said = holds(text, [text], japanese=japanese)
        assert (f1(text, [text], japanese=japanese) == 1.0) == said and exact(text, [text], japanese=japanese)

    def test_names_that_the_passage_does_not_have(self) -> None:
        assert foreign_names("The ship of Ida Brandt. Nobody Else サンダル", "ida's ship サンダルフォン") == [
            "Brandt",
            "Else",
        ]

    def test_confidence_is_held_against_what_came_true(self) -> None:
        assert calibration_error([]) == calibration_error([(1.0, True), (0.0, False)]) == 0.0
        assert calibration_error([(0.75, True), (0.75, True), (0.75, False), (0.75, True)]) == 0.0
        assert calibration_error([(0.9, False), (0.1, True)]) == pytest.approx(0.9)

    def test_numbers_that_the_passage_does_not_have(self) -> None:
        assert foreign_numbers("In 1,979 there were 12.5 ２０ and 7.", "1979 ... 12.5 20") == ["7"]
        assert foreign_numbers("None.", "") == []


def write_set(folder: Path, name: str = "en_small") -> Path:
    dev = folder / name / "dev"
    dev.mkdir(parents=True)
    articles = [{"_id": f"a{number}", "title": "T", "text": f"text {number}"} for number in range(10)]
    queries = [{"_id": f"q{number}", "text": f"why {number}?", "answers": [f"because {number}"]} for number in range(6)]
    (folder / name / "corpus.jsonl").write_text("\n".join(map(json.dumps, articles)))
    (dev / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    judgements = [f"q{number}\ta{number + 4}\t1" for number in range(6)]
    (dev / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judgements]))
    return folder / name


class TestQuestions:
    def test_what_is_drawn_repeats_with_its_seed(self, tmp_path: Path) -> None:
        folder = write_set(tmp_path)
        [first], [again], [other] = (asked_sets(folder, PLAN, seed) for seed in (1, 1, 2))
        assert first.drawn == again.drawn != other.drawn
        assert len(set(first.drawn)) == 3
        assert first.accepted[first.drawn[0]] == (f"because {first.drawn[0][1:]}",)

    def test_a_folder_of_sets_is_read_by_the_names_of_the_plan(self, tmp_path: Path) -> None:
        for name in ("en_b", "ja_a"):
            write_set(tmp_path, name)
        assert [(each.data.name, each.japanese) for each in asked_sets(tmp_path, PLAN, 1)] == [
            ("en_b", False),
            ("ja_a", True),
        ]
        chosen = PLAN.model_copy(update={"sets": ("ja_a",)})
        assert [each.data.name for each in asked_sets(tmp_path, chosen, 1)] == ["ja_a"]
        with pytest.raises(ValueError, match="en_c"):
            asked_sets(tmp_path, PLAN.model_copy(update={"sets": ("en_c",)}), 1)
        with pytest.raises(NoDataSets):
            asked_sets(tmp_path / "nowhere", PLAN, 1)

    def test_fewer_documents_hold_those_that_answer(self, tmp_path: Path) -> None:
        folder = write_set(tmp_path)
        [whole] = asked_sets(folder, PLAN, 1)
        [some] = asked_sets(folder, PLAN.model_copy(update={"documents": 4}), 1)
        [few] = asked_sets(folder, PLAN.model_copy(update={"documents": 1}), 1)
        needed = {article for query in some.drawn for article in some.data.judgements[query]}
        assert (len(whole.articles), len(some.articles), len(few.articles)) == (10, 4, 3)
        assert needed <= {article.article_id for article in some.articles}
        assert needed == {article.article_id for article in few.articles}


def test_documents_of_articles() -> None:
    corpus = Corpus("t", {"d1": "a1", "d2": "a2"}, "log-2")
    assert corpus.of_articles({"a2": 1.0, "a9": 1.0}) == ["d2"]


GOOD = Judged("q", True, "answered", 1.0, 1.0, 1.0, False, 0.5, True, 2, 1, 0)
REFUSED = replace(GOOD, status="not_in_documents", ndcg=0.0, f1=0.0, says_it=False, citations=0, right_citations=0)


def rows(*judged: Judged) -> dict[str, SummaryRow]:
    samples = tuple(sample(number, 2.0, **{FIRST_SOURCE: 0.05}) for number in range(len(judged)))
    shown = Series("en_squad11: answer", "single_caller", samples)
    workload = load_workload("answers", quick=False)
    findings = Findings((shown,), {"answers": {"en_squad11": as_facts(judged)}})
    return {row.name.removeprefix("en_squad11: "): row for row in SUITES["answers"].summarize(findings, workload, 0)}


def test_figures_of_a_set() -> None:
    unanswerable = replace(REFUSED, answerable=False)
    made_up = replace(GOOD, answerable=False, foreign=1, right_citations=0)
    shown = rows(GOOD, GOOD, REFUSED, unanswerable, made_up)
    assert shown["nDCG@10"].value == pytest.approx(2 / 3)
    assert shown["answer F1"].value == pytest.approx(1 / 3)
    assert shown["answer said"].value == pytest.approx(2 / 3)
    assert shown["citation precision"].value == pytest.approx(2 / 4), "of answerable questions"
    assert shown["citation recall"].value == 1.0
    assert shown["answerable refused"].value == pytest.approx(1 / 3)
    assert shown["unanswerable refused"].value == pytest.approx(1 / 2)
    foreign = shown["supported sentences with a number or a name that is not in the cited passage"]
    assert (foreign.value, foreign.count, foreign.met) == (1, 6, False)
    assert shown["confidence error"].value == pytest.approx(3 / 5), "three of five are right, and none was sure"
    assert shown["first source p50"].value == pytest.approx(50.0)
    assert shown["answerable refused"].met is False


def test_the_workload_is_read_its_targets_name_rows_and_quick_is_shorter() -> None:
    whole, quick = (AnswersWorkload.model_validate(load_workload("answers", quick=each)) for each in (False, True))
    assert (quick.answers.questions < whole.answers.questions, quick.answers.sets) == (True, whole.answers.sets)
    assert {name.partition(": ")[0] for name in whole.targets} == set(whole.answers.sets)
    assert {name.partition(": ")[2] for name in whole.targets} <= set(rows(GOOD))


async def test_a_document_of_an_earlier_run_is_waited_for() -> None:
    script = Script()
    details = server.reason("DOCUMENT_EXISTS", document_id="d")
    script.on("UploadDocument", server.fails(grpc.StatusCode.ALREADY_EXISTS, "there", details))
    held = document_service_pb2.Document(document_id="d", job_id="j")
    script.on("GetDocument", server.returns(document_service_pb2.GetDocumentResponse(document=held)))
    script.on("WatchJob", server.streams(job_is("RUNNING"), job_is("SUCCEEDED")))
    article = Article(0, "a", "Title", "Text")
    asked = AskedSet(DataSet("set", "en", (article,), {}, {}, {}), (), {}, (article,))
    async with server.serving(script) as address, AsyncClient(address) as client:
        corpus = await ingested(client, asked, PLAN)
    assert (corpus.documents, corpus.token) == ({"d": "a"}, "9")
    assert [call.request.job_id for call in script.seen("WatchJob")] == ["j"]
