"""The root of the commands: errors as one line, and commands that other packages add.

A package adds a command by an entry point in the group `pinakes.commands` that loads to a function as typer takes it,
or to a whole `typer.Typer`. Nothing of it is imported before its command is run."""

from __future__ import annotations

import ast
import importlib.util
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer
from rich.console import Console
from typer.core import TyperCommand, TyperGroup

from pinakes.cli.connection import Connection
from pinakes.credentials import SecretInTheClear
from pinakes.errors import LoginRefused, PinakesError, Unauthenticated, Unavailable

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PLUGIN_GROUP = "pinakes.commands"


class CommandGroup(TyperGroup):
    """Its own commands, then those of the plugins; one of its own is never replaced."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        own = super().list_commands(ctx)
        return own + [name for name in self._plugins if name not in own]

    def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand | TyperGroup | None:  # type: ignore[override]
        own = super().get_command(ctx, cmd_name)
        if own is None and cmd_name in self._plugins:
            self.commands[cmd_name] = own = PluginCommand(self._plugins[cmd_name])
        return cast(TyperCommand | TyperGroup | None, own)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except Unavailable as error:
            complain(str(error) if error.reason else _nobody_there(ctx.obj), error.reason or error.code)
        except LoginRefused as error:
            complain(str(error), error.reason)
        except Unauthenticated as error:
            complain(
                f"{error}: sign in with `pinakes login`, or name a key (--api-key-file)", error.reason or error.code
            )
        except PinakesError as error:
            complain(str(error), error.reason or error.code)
        except SecretInTheClear as error:
            complain(str(error))
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            complain(str(error))
        raise typer.Exit(1)

    @cached_property
    def _plugins(self) -> dict[str, EntryPoint]:
        from importlib.metadata import entry_points  # 20 ms that our own commands should not pay

        return {point.name: point for point in sorted(entry_points(group=PLUGIN_GROUP), key=lambda p: p.name)}


def complain(message: str, reason: str = "") -> None:
    """One line on stderr."""
    line = " ".join(message.split())
    Console(stderr=True, soft_wrap=True, highlight=False).print(
        f"pinakes: {line}" + (f" ({reason})" if reason else ""), markup=False
    )


def _nobody_there(connection: Connection) -> str:
    return f"no server answers at {connection.address}: start one with `pinakes up`, or name another with --server"


class PluginCommand(TyperCommand):
    """Stands for a plugin's command until it is run."""

    def __init__(self, point: EntryPoint) -> None:
        super().__init__(point.name, help=_summary(point))
        self._point = point

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        return _load(self._point).make_context(info_name, args, parent, **extra)


def _load(point: EntryPoint) -> Any:
    """The real command. Complains and exits if it cannot be had."""
    try:
        loaded = point.load()
        if not isinstance(loaded, typer.Typer):
            function, loaded = loaded, typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            loaded.command(point.name)(function)
        return typer.main.get_command(loaded)
    except Exception as error:
        complain(f"the command {point.name} ({point.value}) does not load: {type(error).__name__}: {error}")
        raise typer.Exit(1) from error


def _summary(point: EntryPoint) -> str:
    """The docstring of the command's function, read from its source: the help of `pinakes` imports no plugin."""
    try:
        spec = importlib.util.find_spec(point.module)
        source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef) and node.name == point.attr:
                return ast.get_docstring(node) or ""
    except (ImportError, OSError, SyntaxError, ValueError):
        pass  # `_load` says what is wrong when the command is run
    return f"Runs {point.value}."
