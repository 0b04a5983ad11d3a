"""Questions and texts made up for tests of the reader's training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.triton.tiny_e5 import write_tiny_e5
from training.encoder import encoder_tokenizer
from training.reader.questions import (
    ParagraphQuestion,
    Paragraphs,
    SentenceQuestion,
    Sentences,
    TextQuestion,
    Texts,
)
from triton_models.embed.tokenizer import E5Tokenizer
from triton_models.embed.weights import E5Weights

_PORTS = ("沖波", "白浜", "黒崎", "磯部", "青島", "浦賀")
_KEEPERS = ("榊原直樹", "立花千代", "水野健", "森本葵", "岸田蓮", "堀江澪")
_FILLING = (
    "冬は雪が積もり、船が出ない日も多い。古い倉庫は今では博物館になっていて、漁の道具が並べてある。"
    "堤防の先では釣りをする人の姿が見られる。市場の食堂は昼までに売り切れることがある。"
    "岬の道は狭いので、大きな車は通れない。"
)
_PLACES = ("Ost", "West", "Nord", "Syd", "Holm", "Vik", "Lund", "Berg")
_BUILDERS = ("Ida Brandt", "Max Holm", "Eva Ek", "Jon Dahl", "Ann Lind", "Per Strand", "Kai Moe", "Liv Sand")


def paragraphs() -> Paragraphs:
    """Each tells of a port; two questions of each. A keeper is named twice in his paragraph."""
    texts, questions = [], []
    for number, (port, keeper) in enumerate(zip(_PORTS, _KEEPERS, strict=True)):
        text = (
            f"{port}港は北の岬にある。{port}港の灯台守は{keeper}である。\n\n"
            f"駐車料金は１日{number + 3}００円で、入口の機械で払う。船は朝と夕方に出る。"
            f"{_FILLING}夏の祭りには{keeper}も招かれ、花火が上がる。{_FILLING}"
        )
        texts.append(text)
        for asked, answer in (
            (f"{port}港の灯台守は誰ですか。", keeper),
            (f"{port}港の駐車料金は？", f"{number + 3}００円"),
        ):
            start = text.index(answer)
            questions.append(ParagraphQuestion(asked, (answer,), number, start, start + len(answer)))
    names = tuple(f"tr-{number:03}" for number in range(len(texts)))
    return Paragraphs(names, tuple(texts), tuple(questions))


def sentences() -> Sentences:
    """A question of each second sentence; builders are named in sentences without a question, too."""
    texts: list[str] = []
    questions = []
    for number, (place, builder) in enumerate(zip(_PLACES, _BUILDERS, strict=True)):
        text = f"The pier of {place} was built by {builder} in 19{number + 10}."
        start = text.index(builder)
        asked = f"Who built the pier of {place}?"
        questions.append(SentenceQuestion(asked.lower(), asked, len(texts), start, start + len(builder)))
        texts += [text, f"The mole of {place} is older than {builder}, who was born beside it."]
    return Sentences(tuple(texts), tuple(questions))


def texts(*, japanese: bool) -> Texts:
    """Two questions of each, of which it answers the first."""
    read = tuple(paragraphs().texts if japanese else sentences().texts[::2])
    asked = [each.text for each in (paragraphs().questions[::2] if japanese else sentences().questions)]
    answers = _KEEPERS if japanese else _BUILDERS
    questions: list[TextQuestion] = []
    for number, (text, answer) in enumerate(zip(read, answers, strict=True)):
        start = text.index(answer)
        questions.append(TextQuestion(asked[number], number, (start, start + len(answer))))
        questions.append(TextQuestion("前の灯台守は誰ですか。" if japanese else "Who painted the pier?", number, None))
    return Texts(japanese, read, tuple(questions))


def write_paragraphs(folder: Path) -> None:
    """As a retrieval set with a training part, with a question whose answer no paragraph has."""
    source = paragraphs()
    rows = [{"_id": f"tr-{number:03}", "text": text} for number, text in enumerate(source.texts)]
    asked = [
        {"text": each.text, "answers": list(each.answers), "gold_paragraph": f"tr-{each.paragraph:03}"}
        for each in source.questions
    ]
    asked.append({"text": "潮の高さは？", "answers": ["二間"], "gold_paragraph": "tr-000"})
    asked.append({"text": "潮の高さは？", "answers": ["二間"], "gold_paragraph": "elsewhere"})
    (folder / "train").mkdir(parents=True)
    for path, lines in ((folder / "corpus.jsonl", rows[::-1]), (folder / "train" / "queries.jsonl", asked)):
        path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), encoding="utf-8")


def tiny_tokenizer(folder: Path) -> E5Tokenizer:
    """Of single letters."""
    write_tiny_e5(folder / "e5.bin")
    return encoder_tokenizer(E5Weights(folder / "e5.bin"), folder)


def no_network(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    raise AssertionError("nothing is to be read")
