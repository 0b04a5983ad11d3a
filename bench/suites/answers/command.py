"""`pinakes eval`: the suite `answers` on a server and a retrieval set of one's own."""

from __future__ import annotations

import asyncio
import datetime
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from bench.environment import fingerprint
from bench.record import Record, write
from bench.report import summary_text, write_report
from bench.suites.answers.questions import AskedSet, asked_sets
from bench.suites.answers.suite import AnswersSuite, evaluate
from bench.suites.answers.workload import AnswersPlan, AnswersWorkload
from bench.suites.base import PROJECT, Table, load_workload
from bench.suites.index.datasets import NoDataSets
from pinakes.cli.connection import Connection


def evaluate_set(
    context: typer.Context,
    dataset: Annotated[
        Path,
        typer.Argument(
            help="Folder with corpus.jsonl, dev/queries.jsonl (with `answers`) and dev/qrels.tsv; or of such folders.",
            exists=True,
            file_okay=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the record, the page and its pictures.")] = Path("out/eval"),
    questions: Annotated[int, typer.Option(min=1, help="How many questions of a set are drawn.")] = 100,
    unanswerable: Annotated[
        int, typer.Option(min=0, help="How many of them are also asked without the documents that answer them.")
    ] = 50,
    documents: Annotated[int, typer.Option(min=0, help="At most so many documents of a set; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="What is drawn.")] = 0,
) -> None:
    """Asks questions whose answers are known, and tells how right what comes back is.

    The documents are ingested with the tag `evaluation:SET` first, as far as they are not there, and stay.
    """
    connection: Connection = context.obj
    plan = AnswersWorkload.model_validate(load_workload("answers", quick=False)).answers.model_copy(
        update={"sets": (), "questions": questions, "unanswerable": unanswerable, "documents": documents}
    )
    try:
        sets = asked_sets(dataset, plan, seed)
    except (NoDataSets, ValueError, KeyError) as error:
        sys.stderr.write(f"{dataset} is no retrieval set: {error}\n")
        raise typer.Exit(1) from error
    record = asyncio.run(_evaluated(connection, sets, plan, seed))
    write(record, out / "answers.json")
    print(summary_text(record.summary))
    print(f"written to {write_report([('answers', record)], out)}")


async def _evaluated(connection: Connection, sets: list[AskedSet], plan: AnswersPlan, seed: int) -> Record:
    environment = fingerprint(PROJECT)
    started, started_at = time.monotonic(), datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    async with connection.open_async() as client:
        findings = await evaluate(client, sets, plan)
    workload: Table = {"description": "pinakes eval", "seed": seed, "answers": plan.model_dump(mode="json")}
    return Record(
        suite=AnswersSuite.name,
        quick=False,
        seed=seed,
        started_at=started_at,
        duration_s=time.monotonic() - started,
        workload=workload,
        environment=environment,
        series=findings.series,
        facts=findings.facts,
        summary=AnswersSuite().summarize(findings, workload, seed),
    )
