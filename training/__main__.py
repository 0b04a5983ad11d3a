"""`python -m training`: trains the reader, the reranker's head and the models of phrases, and says how good each is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from bench.suites.index.datasets import read_data_sets
from training.encoder import encoder_file, encoder_tokenizer
from training.examples import ExampleLimits, NoExamples, read_examples
from training.mining import mined
from training.reader.command import reader_command
from training.spans import LEARNING, learned, quality, read_labelled, read_questions
from training.spans import save as save_spans
from training.tokens import TokenReader
from triton_models.digests import sha256_of
from triton_models.embed.networks import onnxruntime_network
from triton_models.embed.weights import E5Weights
from triton_models.preparation import default_cache, prepare
from triton_models.prepared import PreparedModels
from triton_models.rerank.head import Head, log_information
from triton_models.rerank.network import write_token_network
from triton_models.rerank.sentences import SentenceOptions, SentenceReranker, SentenceTokenizer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Trains Pinakes' own models.")
console = Console()

_MAX_TOKENS = 256
_MINED_EACH, _NEIGHBOURS = 24, 6

app.command("reader")(reader_command)


@app.callback()
def training() -> None:
    """Makes the commands subcommands, however few there are."""


@app.command("rerank")
def rerank_command(
    data: Annotated[Path, typer.Option(help="A folder with train_pairs/ and retrieval sets that have train/.")],
    out: Annotated[Path, typer.Option(help="Where the head goes, and what a later run goes on with.")],
    without: Annotated[str, typer.Option(help="Comma-separated sources to leave out.")] = "en_scifact",
    characters: Annotated[int, typer.Option(help="Of the passages of a source, at most.")] = 1_500_000,
    epochs: Annotated[int, typer.Option(help="Times that every question is learned from.")] = 2,
    seed: Annotated[int, typer.Option(help="Decides what is drawn, and in which order it is learned.")] = 1,
    threads: Annotated[int, typer.Option(help="Cores to use.")] = 2,
) -> None:
    """Learns from `data`, and writes `out`/head.npz with head.json, which says how it was made.

    Run again with the same arguments after it was stopped, it goes on; with others, give it another folder.
    """
    # Torch is an extra; only this command needs it.
    from training.learning import LearningOptions, Lesson, Step, learned

    out.mkdir(parents=True, exist_ok=True)
    limits = ExampleLimits(characters, questions_per_passage=3)
    try:
        sources = read_examples(data, frozenset(without.split(",")), limits, seed)
    except NoExamples as exc:
        console.print(f"[red]{exc}[/red]", soft_wrap=True)
        raise typer.Exit(1) from None
    weights = E5Weights(encoder_file())
    reader = _reader(weights, out, threads)
    lessons = []
    for source in sources:
        asked = reader.read("query", [question.text for question in source.questions], f"{source.name}: questions")
        told = reader.read("passage", source.passages, f"{source.name}: passages")
        negatives = mined(source, asked, told, _MINED_EACH, _NEIGHBOURS)
        lessons.append(Lesson(source.name, source.questions, asked, told, negatives))
    options = LearningOptions(epochs=epochs, seed=seed, threads=threads)

    def report(step: Step) -> None:
        console.print(f"step {step.number} of {step.of}: loss {step.loss:.4f}")

    head = learned(lessons, log_information(weights.vocabulary.scores), options, out / "checkpoint.pt", report)
    head.save(out / "head.npz")
    made = {
        "sha256": sha256_of(out / "head.npz"),
        "sources": {each.name: [len(each.questions), len(each.passages)] for each in sources},
        "limits": dataclasses.asdict(limits),
        "learning": dataclasses.asdict(options),
    }
    (out / "head.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    console.print(f"the head is in {out / 'head.npz'}", soft_wrap=True)


@app.command("evaluate")
def evaluate_command(
    data: Annotated[Path, typer.Option(help="A folder with retrieval sets that have dev/.")],
    out: Annotated[Path, typer.Option(help="Where what the encoder makes of the sets is kept.")],
    head: Annotated[Path | None, typer.Option(help="A trained head; what is not trained if not given.")] = None,
    model: Annotated[str, typer.Option(help="A catalogue's encoder of whole texts in the place of a head.")] = "",
    sets: Annotated[str, typer.Option(help="Comma-separated; all if not given.")] = "",
    questions: Annotated[int, typer.Option(help="Of a set, at most.")] = 200,
    weight: Annotated[float, typer.Option(help="Of the reranker's score beside the fused one.")] = 4.0,
    threads: Annotated[int, typer.Option(help="Cores to use.")] = 2,
) -> None:
    """Compares dense, BM25, fused and reranked orders by nDCG@10."""
    from training.evaluation import (
        DENSE,
        FUSED,
        LEXICAL,
        RERANKED,
        RerankingPlan,
        average_gain,
        by_late_interaction,
        by_sentences,
        evaluated,
    )

    out.mkdir(parents=True, exist_ok=True)
    wanted = frozenset(sets.split(",")) if sets else None
    weights = E5Weights(encoder_file())
    reader = _reader(weights, out, threads)
    trained = Head.load(head) if head else Head.untrained(np.zeros(weights.shape.hidden, np.float32), rank=1, seed=1)
    late = by_late_interaction(trained, log_information(weights.vocabulary.scores))
    scorer = by_sentences(_sentences(model, threads)) if model else late
    plan = RerankingPlan(questions=questions, rerank_weight=weight)
    table = Table("set", "questions", DENSE, LEXICAL, FUSED, RERANKED, "gain", "95 %")
    qualities = []
    for data_set in read_data_sets(data):
        if wanted is not None and data_set.name not in wanted:
            continue
        quality = evaluated(data_set, reader, scorer, plan)
        qualities.append(quality)
        means = [f"{quality.scores[kind].mean():.3f}" for kind in (DENSE, LEXICAL, FUSED, RERANKED)]
        gain = quality.gain
        asked = str(len(quality.scores[FUSED]))
        table.add_row(data_set.name, asked, *means, f"{gain.mean:+.3f}", f"{gain.low:+.3f} to {gain.high:+.3f}")
    console.print(table)
    console.print(f"average gain of {len(qualities)} sets: {average_gain(qualities):+.4f}")


@app.command("spans")
def spans_command(
    data: Annotated[
        Path,
        typer.Option(
            help="For ja a set with corpus.jsonl and train/queries.jsonl, as JaQuAD's; for en a folder with"
            " train_pairs/ and corpora."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where the weights go: LANGUAGE.npz, with LANGUAGE.json beside it.")],
    language: Annotated[str, typer.Option(help="en or ja.")] = "ja",
    questions: Annotated[int, typer.Option(help="To learn from, at most.")] = 12_000,
    held_out: Annotated[int, typer.Option(help="Others of them, to measure with.")] = 400,
    seed: Annotated[int, typer.Option(help="Decides which are drawn.")] = 1,
) -> None:
    """Learns to choose the phrase that answers a question, and writes how often it is right."""
    if language not in LEARNING:
        raise typer.BadParameter(f"must be one of {', '.join(LEARNING)}", param_hint="--language")
    out.mkdir(parents=True, exist_ok=True)
    most = questions + held_out
    drawn = read_labelled(data, most, seed) if language == "en" else read_questions(data, "train", most, seed)
    weights = learned(drawn[held_out:])
    path = out / f"{language}.npz"
    save_spans(language, weights, path)
    measured = dataclasses.asdict(quality(weights, drawn[:held_out])) if held_out else None
    made = {"questions": len(drawn) - held_out, "seed": seed, "held_out": measured, "sha256": sha256_of(path)}
    path.with_suffix(".json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    console.print_json(data=made)


def _sentences(model: str, threads: int) -> SentenceReranker:
    files = PreparedModels.open(prepare(default_cache(), only=[model])).paths_of(model)
    options = SentenceOptions()
    tokenizer = SentenceTokenizer(files["tokenizer"], options.max_tokens)
    return SentenceReranker(onnxruntime_network(files["network"], threads), tokenizer, options)


def _reader(weights: E5Weights, out: Path, threads: int) -> TokenReader:
    network = out / "encoder.onnx"
    write_token_network(weights, network)
    return TokenReader(network, encoder_tokenizer(weights, out), out / "tokens", _MAX_TOKENS, threads)


if __name__ == "__main__":
    app()
