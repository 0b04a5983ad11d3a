"""`python -m triton_models`."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from triton_models.__main__ import app


def test_an_error_is_a_sentence_and_an_exit_status(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["prepare", "--cache", str(tmp_path), "--only", "vision"])
    assert result.exit_code == 1
    assert "there is no slot 'vision'; there is embed, generate, ocr" in result.output
    assert "Traceback" not in result.output


def test_verifying_what_is_not_prepared_says_what_to_do(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["verify", "--cache", str(tmp_path)])
    assert result.exit_code == 1
    assert "run `python -m triton_models prepare`" in result.output


def test_the_list_names_every_licence() -> None:
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    for licence in ("MIT (weights and wheel)", "Apache-2.0"):
        assert licence in " ".join(result.output.split())


def test_a_file_with_other_bytes_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "e5-small-q4.bin").write_bytes(b"something else")
    result = CliRunner().invoke(
        app, ["prepare", "--cache", str(tmp_path / "cache"), "--only", "embed", "--from", str(folder)]
    )
    assert result.exit_code == 1
    assert "is not what the catalogue names" in " ".join(result.output.split())
