"""Commands that other packages add."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pinakes.cli.main import app
from tests.contract.cli.runner import WIDE


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with two commands, one of them broken, and one that takes a name of ours."""
    info = tmp_path / "added-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: added\nVersion: 1\n")
    points = "greet = added_commands:greet\nbad = added_commands:missing\nask = added_commands:greet\n"
    (info / "entry_points.txt").write_text(f"[pinakes.commands]\n{points}")
    (tmp_path / "added_commands.py").write_text(
        'import typer\n\ndef greet(name: str, loud: bool = False) -> None:\n    """Greets."""\n'
        '    typer.echo(f"hello {name}" + "!" * loud)\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "added_commands", raising=False)


def test_a_plugin_is_a_command() -> None:
    result = CliRunner().invoke(app, ["greet", "you", "--loud"])
    assert (result.exit_code, result.output) == (0, "hello you!\n")
    assert CliRunner().invoke(app, ["greet"]).exit_code == 2
    assert "--loud" in CliRunner(env=WIDE).invoke(app, ["greet", "--help"]).output


def test_a_broken_plugin_breaks_itself_only() -> None:
    result = CliRunner().invoke(app, ["bad"])
    assert result.exit_code == 1
    assert "the command bad (added_commands:missing) does not load: AttributeError" in result.stderr


def test_the_help_tells_of_plugins_without_importing_them() -> None:
    shown = CliRunner(env=WIDE).invoke(app, ["--help"])
    assert shown.exit_code == 0
    assert "Runs added_commands:missing." in shown.output
    assert "Greets." in shown.output
    assert "added_commands" not in sys.modules


def test_our_own_commands_neither_import_nor_heed_plugins() -> None:
    result = CliRunner(env=WIDE).invoke(app, ["ask", "--help"])
    assert "Answers a question from the documents" in result.output
    assert "added_commands" not in sys.modules
