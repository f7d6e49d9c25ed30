"""Options of a command that stand for one value of it, as the filters of a search do."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

Options = Mapping[str, tuple[Any, Any]]  # name: type and what typer makes of it
Command = Callable[..., None]


def in_place_of(parameter: str, every: Options, read: Callable[[dict[str, Any]], Any]) -> Callable[[Command], Command]:
    """Give a command these options in place of its `parameter`, which gets what `read` makes of them.

    An option that the command has itself is not given twice.
    """

    def give(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True).parameters
        options = {name: option for name, option in every.items() if name not in own}

        @wraps(command)
        def run(**given: Any) -> None:
            value = read({name: given.pop(name) for name in options})
            command(**{parameter: value}, **given)

        parameters: list[inspect.Parameter] = []
        for one in own.values():
            if one.name != parameter:
                parameters.append(one)
                continue
            for name, (kind, option) in options.items():
                parameters.append(inspect.Parameter(name, one.kind, default=option, annotation=kind))
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return give


def typed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what somebody typed of options."""
    return {name: value for name, value in given.items() if value is not None and value != []}
