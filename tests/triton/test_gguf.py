"""Any GGUF generates by a catalogue entry, with the chat template that it brings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.triton.small_catalogue import catalogue_of, file_artifact
from tests.triton.tiny_gguf import write_tiny_gguf
from triton_models.generation import GenerationOptions, GenerationTask, Piece, TextGenerator
from triton_models.preparation import prepare
from triton_models.prepared import PreparedModels


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}", "[system:brief][user:lamp]"),
        # The engine puts what such a template would leave out before the question.
        ("{% for m in messages if m.role == 'user' %}Q={{ m.content }}\nA={% endfor %}", "Q=brief\nlamp\nA="),
    ],
)
def test_a_gguf_s_own_chat_template_makes_the_prompt(tmp_path: Path, template: str, prompt: str) -> None:
    file = tmp_path / "tiny.gguf"
    write_tiny_gguf(file, template)
    catalogue = catalogue_of(generate=file_artifact(file, file.read_bytes()))
    models = PreparedModels.open(prepare(tmp_path / "cache", catalogue=catalogue))
    options = GenerationOptions(threads=1, slots=1, context_tokens=128, batch_tokens=32)
    generator = TextGenerator(models.paths("generate")["weights"], options)
    assert generator.token_counts(["lamp"]) == [4]
    pieces: list[Piece] = []

    def keep(piece: Piece) -> bool:
        pieces.append(piece)
        return True

    assert generator.run(GenerationTask("lamp", system="brief", max_tokens=3), keep)
    assert (pieces[-1].finish_reason, pieces[-1].completion_tokens) == ("length", 3)
    marks = 1
    assert pieces[-1].prompt_tokens == marks + len(prompt)
