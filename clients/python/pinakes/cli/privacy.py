"""`pinakes privacy`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pinakes.cli import json_lines
from pinakes.cli.connection import Connection
from pinakes.privacy import PrivacyAction, PrivacyPolicy
from pinakes.results import PiiKind

privacy = typer.Typer(
    help="Shows and changes what becomes of personal data in your tenant, and looks for it in a text.",
    no_args_is_help=True,
)

Json = Annotated[bool, typer.Option("--json", help="Prints JSON.")]
_KINDS = {kind.value: kind for kind in PiiKind if kind is not PiiKind.UNSPECIFIED}
_ACTIONS = {action.value: action for action in PrivacyAction if action is not PrivacyAction.UNSPECIFIED}


@privacy.command()
def get(context: typer.Context, json: Json = False) -> None:
    """Shows what is done with each kind."""
    connection: Connection = context.obj
    with connection.open() as client:
        _show(client.privacy.policy(), json=json)


@privacy.command("set")
def set_(
    context: typer.Context,
    rules: Annotated[
        list[str],
        typer.Argument(
            metavar="KIND=ACTION...",
            help=f"KIND is all, {', '.join(_KINDS)}; ACTION is {', '.join(_ACTIONS)}. Other kinds stay as they are.",
        ),
    ],
    json: Json = False,
) -> None:
    """Changes what is done with some kinds; it holds everywhere when the command ends."""
    connection: Connection = context.obj
    actions: dict[PiiKind, PrivacyAction] = {}
    for rule in rules:
        kind, _, action = rule.partition("=")
        if action not in _ACTIONS or (kind != "all" and kind not in _KINDS):
            raise typer.BadParameter(f"{rule} is no rule; see --help")
        for each in _KINDS if kind == "all" else (kind,):
            actions[_KINDS[each]] = _ACTIONS[action]
    with connection.open() as client:
        _show(client.privacy.set_policy(actions), json=json)


@privacy.command()
def scan(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A text in UTF-8; - reads the standard input.", allow_dash=True)],
    masked: Annotated[bool, typer.Option("--masked", help="Prints the text with words in its place.")] = False,
    json: Json = False,
) -> None:
    """Says where personal data stands in a text: line, column and kind, never the data itself."""
    connection: Connection = context.obj
    text = sys.stdin.read() if str(file) == "-" else _read(file)
    with connection.open() as client:
        scanned = client.privacy.scan(text)
    if masked:
        sys.stdout.write(scanned.masked_text)
    elif json:
        json_lines.write(scanned, sys.stdout)
    else:
        for finding in scanned.findings:
            line = text.count("\n", 0, finding.start) + 1
            column = finding.start - (text.rfind("\n", 0, finding.start) + 1) + 1
            print(f"{line}:{column} {finding.kind.value}")


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{file} is no text in UTF-8") from error


def _show(policy: PrivacyPolicy, *, json: bool) -> None:
    if json:
        json_lines.write(policy, sys.stdout)
        return
    table = Table("kind", "action", box=None, pad_edge=False)
    for kind, action in policy.actions.items():
        table.add_row(kind.value, action.value)
    Console(highlight=False).print(table)
