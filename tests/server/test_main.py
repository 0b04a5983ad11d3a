"""How a process of ours ends."""

from __future__ import annotations

import pytest
import typer

from server import __main__ as main
from server.domain.errors import IndexAhead
from server.settings import Settings


def test_background_work_that_gives_up_ends_the_process_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The supervisor starts it again, and the index is made anew."""
    monkeypatch.setattr(main, "configure_logging", lambda level: None)
    reason = IndexAhead(7, 3)

    async def serve(settings: Settings) -> None:
        raise ExceptionGroup("server", [ExceptionGroup("follow_log", [reason])])

    with pytest.raises(typer.Exit) as ended:
        main._run(serve, Settings())
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == f"{reason}\n"


def test_a_defect_keeps_its_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "configure_logging", lambda level: None)

    async def serve(settings: Settings) -> None:
        raise ExceptionGroup("server", [IndexAhead(7, 3), RuntimeError("a defect")])

    with pytest.raises(ExceptionGroup) as caught:
        main._run(serve, Settings())
    assert caught.group_contains(RuntimeError)
