"""`pinakes eval` on a small set, against the whole stack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.record import read
from pinakes import Client
from pinakes.cli.main import app
from tests.whole_stack import WholeStack

pytestmark = [pytest.mark.stack, pytest.mark.models]

FACTS = {
    "ferry": (
        "The ferry to Gull Island leaves at nine in the morning from pier 4.",
        "When does the ferry leave?",
        "nine",
    ),
    "keeper": (
        "The keeper of the lighthouse is Aino Laine, who came in 1987.",
        "Who keeps the lighthouse?",
        "Aino Laine",
    ),
    "museum": ("The whaling museum holds 312 harpoons and a skeleton.", "How many harpoons are there?", "312"),
}


def write_set(folder: Path) -> Path:
    (folder / "dev").mkdir(parents=True)
    corpus = [{"_id": name, "title": name, "text": text} for name, (text, _, _) in FACTS.items()]
    queries = [{"_id": name, "text": question, "answers": [answer]} for name, (_, question, answer) in FACTS.items()]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    (folder / "dev" / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    (folder / "dev" / "qrels.tsv").write_text("\n".join(["q\tc\ts", *(f"{name}\t{name}\t1" for name in FACTS)]))
    return folder


def test_a_set_is_ingested_once_and_asked(stack: WholeStack, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "en_harbour")
    key_file = str(stack.api_key_file)
    arguments = [
        "--server",
        stack.endpoints.server,
        "--api-key-file",
        key_file,
        "eval",
        str(folder),
        "--out",
        str(tmp_path / "out"),
    ]
    for _ in range(2):
        done = CliRunner().invoke(app, [*arguments, "--questions", "2", "--unanswerable", "1"])
        assert done.exit_code == 0, done.output
    record = read(tmp_path / "out" / "answers.json")
    shown = {row.name.removeprefix("en_harbour: "): row for row in record.summary}
    assert (shown["recall@5"].value, shown["recall@5"].count) == (1.0, 2)
    assert shown["citation precision"].value == 1.0
    assert shown["failures"].value == 0
    assert shown["unanswerable refused"].count == 1
    assert "en_harbour: answer F1" in (tmp_path / "out" / "report.md").read_text()
    with Client(stack.endpoints.server, api_key=stack.api_key) as client:
        held = list(client.documents.list(tags=["evaluation:en_harbour"]))
        for document in held:
            client.documents.delete(document.document_id)
    assert sorted(document.name for document in held) == [f"en_harbour/{name}.md" for name in sorted(FACTS)]
