"""The root of the commands: errors as one line, and commands that other packages add.

A package adds a command by an entry point in the group `pinakes.commands` that loads to a function as typer takes it,
or to a whole `typer.Typer`. Nothing of it is imported before its command, or the help, is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import typer
from rich.console import Console
from typer.core import TyperCommand, TyperGroup

from pinakes.cli.connection import Connection
from pinakes.errors import PinakesError, Unavailable

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
            self.commands[cmd_name] = own = _load(self._plugins[cmd_name])
        return cast(TyperCommand | TyperGroup | None, own)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except Unavailable as error:
            complain(str(error) if error.reason else _nobody_there(ctx.obj), error.reason or error.code)
        except PinakesError as error:
            complain(str(error), error.reason or error.code)
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


def _load(point: EntryPoint) -> Any:
    try:
        loaded = point.load()
        plugin = loaded if isinstance(loaded, typer.Typer) else _app(point.name, loaded)
        command = typer.main.get_command(plugin)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a plugin, the other commands work
        command = typer.main.get_command(_app(point.name, _broken(point, error)))
    command.name = point.name
    return command


def _app(name: str, function: Callable[..., Any]) -> typer.Typer:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name)(function)
    return app


def _broken(point: EntryPoint, error: Exception) -> Callable[[], None]:
    problem = f"the command {point.name} ({point.value}) does not load: {type(error).__name__}: {error}"

    def broken() -> None:
        complain(problem)
        raise typer.Exit(1)

    broken.__doc__ = f"Does not load ({type(error).__name__})."
    return broken
