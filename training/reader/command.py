"""`python -m training reader`."""

from __future__ import annotations

import dataclasses
import json
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from training.encoder import encoder_file, encoder_tokenizer
from training.marked_pairs import OtherPairs
from training.reader.lessons import LessonOptions, NoLessons, lesson_batches
from training.reader.material import PARAGRAPH_SET, read_material
from training.reader.quality import NothingHeldOut, reading_quality
from training.reader.questions import OtherTexts
from triton_models.digests import sha256_of
from triton_models.embed.weights import E5Weights
from triton_models.progress import silent
from triton_models.read.conversion import convert_reader
from triton_models.read.networks import cpu_network
from triton_models.read.reader import Reader, ReaderOptions
from triton_models.read.weights import pack
from triton_models.rerank.network import write_token_network

_REPORT_STEPS = 25
_WEIGHTS, _ENCODER_NETWORK = "reader.npz", "encoder.onnx"
_LICENCES = {
    "en": "SQuAD (Rajpurkar et al., 2016): CC BY-SA 4.0",
    "ja": "JaQuAD (So et al., 2022): CC BY-SA 3.0",
    "texts": "labels/ (written for this project): Apache 2.0",
    "encoder": "multilingual-e5-small (Wang et al., 2024): MIT",
}

console = Console()


def reader_command(
    data: Annotated[Path, typer.Option(help=f"A folder with train_pairs/, {PARAGRAPH_SET}/ and corpora.")],
    out: Annotated[Path, typer.Option(help="Where the weights go, and what a later run goes on with.")],
    steps: Annotated[int, typer.Option(help="Of some 3,000 tokens each.")] = 3_000,
    held_out: Annotated[int, typer.Option(help="Questions of each source to measure with, at most.")] = 150,
    seed: Annotated[int, typer.Option(help="Decides what is drawn, and in which order it is learned.")] = 1,
    threads: Annotated[int, typer.Option(help="Cores to use.")] = 2,
) -> None:
    """Learns to read, and writes `out`/reader.npz with reader.json, which says how it was made and how well it reads.

    Run again with the same arguments after it was stopped, it goes on; with others, give it another folder.
    """
    # Torch is an extra; only this command and `rerank` need it.
    from training.reader.learning import ReadingOptions, ReadingStep, learn
    from training.reader.network import TrainedReader

    def report(step: ReadingStep) -> None:
        if step.number % _REPORT_STEPS == 0 or step.number == step.of:
            console.print(f"step {step.number} of {step.of}: loss {step.loss:.3f}, {step.tokens:,} tokens")

    out.mkdir(parents=True, exist_ok=True)
    reading, lessons = ReadingOptions(steps=steps, seed=seed, threads=threads), LessonOptions(seed=seed)
    try:
        material = read_material(data)
        encoder = encoder_file()
        weights = E5Weights(encoder)
        tokenizer = encoder_tokenizer(weights, out)
        write_token_network(weights, out / _ENCODER_NETWORK)
        network = TrainedReader.of(out / _ENCODER_NETWORK, reading.frozen_layers, seed)
        pair = Reader(network.read, tokenizer, ReaderOptions()).first_window
        batches = lesson_batches(tuple(material.learned.values()), pair, lessons)
        tokens = learn(network, batches, reading, out / "checkpoint.pt", report)
        pack(network.arrays(), reading.frozen_layers).save(out / _WEIGHTS)
        files = convert_reader(encoder, out / _WEIGHTS, out, silent)
        served = Reader(cpu_network(out / files["network"], threads), tokenizer, ReaderOptions())
        measured = {
            name: reading_quality(served, each.windows, held_out, others=each.others)
            for name, each in material.held_out.items()
        }
    except (FileNotFoundError, OtherPairs, OtherTexts, NoLessons, NothingHeldOut) as exc:
        console.print(f"[red]{exc}[/red]", soft_wrap=True)
        raise typer.Exit(1) from None
    made = {
        "sha256": sha256_of(out / _WEIGHTS),
        "sources": {
            name: {"questions": len(each.windows), "share": round(each.share, 4), "silent": each.silent}
            for name, each in material.learned.items()
        },
        "lessons": dataclasses.asdict(lessons),
        "learning": dataclasses.asdict(reading),
        "tokens": tokens,
        "held_out": {name: dataclasses.asdict(each) for name, each in measured.items()},
        "versions": {name: version(name) for name in ("torch", "numpy", "tokenizers")},
        "licences": _LICENCES,
    }
    (out / _WEIGHTS).with_suffix(".json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    console.print_json(data=made)
