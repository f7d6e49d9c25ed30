"""Whether a command that a file names is one that `imgsearch` has, with its options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import typer.main
from imgsearch_workers.__main__ import _options

from imgsearch.cli.app import app
from imgsearch.settings import table

SETTINGS = {name for row in table() for name in (row.variable, row.fallback) if name}


def wrong(words: Sequence[str]) -> str | None:
    """Return what of `imgsearch …` there is not; None where all is well. Its words follow the program's name."""
    command = cast(Any, typer.main.get_command(app))
    rest = list(words)
    while rest and hasattr(command, "commands"):
        if rest[0] not in command.commands:
            return rest[0]
        command = command.commands[rest.pop(0)]
    if command.name == "worker":
        try:
            _options(rest)
        except SystemExit:
            return " ".join(rest)
        return None
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return next((word for word in rest if word.startswith("-") and word.partition("=")[0] not in known), None)
