"""Options that belong together: one parameter of a command's function, and a panel of its own in the help."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Annotated, Any, ClassVar, get_args, get_origin, get_type_hints

from typer.models import OptionInfo


class OptionGroup:
    """A dataclass whose fields, with their defaults, are annotated as options; `panel` is their heading."""

    panel: ClassVar[str]


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """`command` as typer takes it: the options of each parameter that is an `OptionGroup` in that parameter's place.
    No two groups of a command may have an option of one name."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[OptionGroup]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        if isinstance(hint, type) and issubclass(hint, OptionGroup):
            groups[parameter.name] = hint
            parameters += _options(hint)
        else:
            parameters.append(parameter.replace(annotation=hint))

    @functools.wraps(command)
    def flat(**given: Any) -> None:
        made = {
            name: group(**{each.name: given.pop(each.name) for each in _fields(group)})
            for name, group in groups.items()
        }
        command(**given, **made)

    # By name, so that those with defaults may come before those without.
    keyword_only = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    flat.__signature__ = inspect.Signature(keyword_only)  # type: ignore[attr-defined]  # what `inspect` looks for
    return flat


def _fields(group: type[OptionGroup]) -> Any:
    return fields(group)  # type: ignore[arg-type]  # each is a dataclass


def _options(group: type[OptionGroup]) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in _fields(group):
        assert get_origin(hints[field.name]) is Annotated, f"{group.__name__}.{field.name} is no option"
        kind, option = get_args(hints[field.name])
        assert isinstance(option, OptionInfo), f"{group.__name__}.{field.name} is no option"
        shown = copy.copy(option)
        shown.rich_help_panel = group.panel
        yield inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=Annotated[kind, shown]
        )
