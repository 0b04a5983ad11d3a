"""What the person at the terminal sees."""

from __future__ import annotations

import io

from rich.console import Console

from server.embedded.console import StackConsole, show_findings
from server.embedded.doctor import Finding, Verdict
from server.embedded.events import FirstKeyMade, PartChanged, PartState, StackReady


def test_without_a_terminal_each_change_is_a_line() -> None:
    output = io.StringIO()
    with StackConsole(Console(file=output, width=200)) as console:
        console(PartChanged("postgres", PartState.WAITING))
        console(PartChanged("postgres", PartState.HEALTHY, seconds=0.61))
        console(PartChanged("triton", PartState.RESTARTING, "killed by signal 9; again in 0.4 s\nthe end of [bold]log"))
        console(StackReady("127.0.0.1:7700", 2.0))
    assert output.getvalue().splitlines() == [
        "✔ postgres healthy (0.6 s)",
        "↻ triton restarting: killed by signal 9; again in 0.4 s",
        "Pinakes is ready at 127.0.0.1:7700 (2.0 s); Ctrl-C stops it",
    ]


def test_the_first_key_is_shown_whole() -> None:
    output, key = io.StringIO(), "pinakes.0123456789abcdef." + "s" * 43
    event = FirstKeyMade("var/admin.key", key)
    with StackConsole(Console(file=output, width=40)) as console:
        console(event)
    told = output.getvalue()
    assert key in told.splitlines() and "var/admin.key" in told
    assert key not in repr(event)


def test_on_a_terminal_the_table_is_gone_when_it_ends() -> None:
    output = io.StringIO()
    with StackConsole(Console(file=output, width=80, force_terminal=True)) as console:
        console(PartChanged("triton", PartState.STARTING))
        console(PartChanged("triton", PartState.FAILED, "no such weights"))
        assert output.getvalue().count("\x1b[?25l") == output.getvalue().count("\x1b[?25h") == 1
    assert "no such weights" in output.getvalue()


def test_findings_name_their_fix() -> None:
    output = io.StringIO()
    findings = [
        Finding("python", Verdict.OK, "3.11"),
        Finding("models", Verdict.FAIL, "not [prepared]", "make setup"),
    ]
    assert not show_findings(findings, Console(file=output, width=200))
    assert output.getvalue().splitlines() == ["✔ python: 3.11", "✘ models: not [prepared]", "    fix: make setup"]
