"""How things look on a terminal: tables, bars, figures, and JSON for programs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from imgsearch.values import printable, printable_json


class Terminal(Console):
    """A console that shows what would steer it (escape sequences in a product's id, say) and does not obey it."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print texts without control characters, other things as they are."""
        super().print(*(printable(one, "\n\t") if isinstance(one, str) else one for one in objects), **options)


output = Terminal(highlight=False)
errors = Terminal(stderr=True, highlight=False)
_UNBROKEN = 200  # columns; what goes into a file or a pipe is read by programs, which look for whole lines


def fit() -> None:
    """Lay out for what is written to: a terminal's own width, else COLUMNS, else 200."""
    for console in (output, errors):
        if not console.is_terminal:
            given = os.environ.get("COLUMNS", "")
            console.width = int(given) if given.isdigit() and int(given) else _UNBROKEN


def as_json(document: object) -> None:
    """Print a document for a program."""
    print(printable_json(json.dumps(document, default=_plain, ensure_ascii=False)))


def _plain(value: object) -> str | float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)


class Rate(ProgressColumn):
    """Images per second so far."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


def progress(*, quiet: bool = False) -> Progress:
    """Return a progress bar on stderr: count, rate, time remaining; nothing when quiet or not on a terminal."""
    return Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(compact=True),
        console=errors,
        disable=quiet or not errors.is_terminal,
        transient=False,
    )


# What gives way on a narrow terminal; every other column is read as a whole and keeps its width.
_LONG = frozenset({"title", "product", "what to do", "for example", "failed"})


def table(columns: Iterable[str | tuple[str, str]], rows: Iterable[Iterable[Any]], title: str | None = None) -> Table:
    """Return a table; a column is its name, or (name, "right")."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim", title_style="bold")
    shown = [[value if isinstance(value, Text) else Text(printable(cell(value))) for value in row] for row in rows]
    for number, column in enumerate(columns):
        name, right = column if isinstance(column, tuple) else (column, "left")
        width = None if name in _LONG else max([len(name), *(row[number].cell_len for row in shown)])
        justify: Literal["left", "right"] = "right" if right == "right" else "left"
        made.add_column(name, justify=justify, overflow="ellipsis", no_wrap=True, min_width=width)
    for row in shown:
        made.add_row(*row)
    return made


def listed(
    found: Iterable[Any], columns: Iterable[str | tuple[str, str]], row: Callable[[Any], Iterable[Any]], *, json: bool
) -> None:
    """Print objects: as a table of a `row` of each, or whole as JSON."""
    if json:
        as_json([vars(one) for one in found])
    else:
        output.print(table(columns, [row(one) for one in found]))


def cell(value: object) -> str:
    """Return a value as people read it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, timedelta):
        return f"{value.total_seconds():,.1f} s"
    return str(value)


def nearness(distance: float) -> Text:
    """Return a small bar: full for the same picture, empty from a distance of 1 (nothing in common)."""
    filled = round(6 * max(0.0, 1.0 - distance))
    return Text.assemble((f"{distance:.3f} ", ""), ("█" * filled, "green"), ("░" * (6 - filled), "dim"))
