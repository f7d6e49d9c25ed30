"""`imgsearch index build|drop`, `reindex`, `prewarm`, `vacuum` and `promote`: keep searches fast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from imgsearch import db
from imgsearch.cli.console import as_json, errors, output
from imgsearch.ops import maintenance as upkeep
from imgsearch.settings import load_settings

app = typer.Typer(
    help="The HNSW index: drop it before a bulk load, build it after.", no_args_is_help=True, rich_markup_mode=None
)
_MEMORY = typer.Option(None, help="Memory for the build, for example 2GB; default: the server's maintenance_work_mem.")
_JSON = typer.Option(False, "--json", help="For programs.")
Tick = Callable[[str, int, int], None]


@app.command()
def build(memory: str = _MEMORY, json: bool = _JSON) -> None:
    """Build the index beside running searches and writers; they use it when it is ready."""
    with _bar(json) as tick:
        built = upkeep.build(load_settings(), memory=memory, tick=tick)
    _say(
        json, {"built": built}, "The index is built." if built else "There is a valid index already: imgsearch reindex"
    )


@app.command()
def drop(json: bool = _JSON) -> None:
    """Drop the index before a bulk load; searches stay correct meanwhile, and slower."""
    dropped = upkeep.drop(load_settings())
    said = "The index is dropped; after the load: imgsearch index build" if dropped else "There was no index."
    _say(json, {"dropped": dropped}, said)


def reindex(
    everything: bool = typer.Option(False, "--all", help="Rebuild the HNSW though it is valid."),
    memory: str = _MEMORY,
    json: bool = _JSON,
) -> None:
    """Clean up after interrupted builds and make every index whole, beside running searches and writers."""
    with _bar(json) as tick:
        done = upkeep.reindex(load_settings(), everything=everything, memory=memory, tick=tick)
    _say(json, {"done": done}, "\n".join(done) or "Every index is whole.")


def vacuum(json: bool = _JSON) -> None:
    """Remove dead rows and renew statistics of the tables that searches read."""
    with _bar(json) as tick:
        tables = upkeep.vacuum(load_settings(), tick=tick)
    _say(json, {"tables": tables}, f"Vacuumed and analysed {', '.join(tables)}.")


def prewarm(
    seconds: float = typer.Option(60, min=1, help="Walk the graph for at most this long."), json: bool = _JSON
) -> None:
    """Read what searches read into memory, as after a restart."""
    with db.connect(load_settings(), autocommit=True) as connection, _bar(json) as tick:
        done = upkeep.prewarm(connection, seconds=seconds, tick=tick)
    _say(json, {"done": done}, done)


def promote(
    name: str = typer.Argument(..., help="The attribute."),
    kind: str = typer.Option("text", "--type", help=f"What its values are: {', '.join(upkeep.TYPES)}."),
    undo: bool = typer.Option(False, "--undo", help="Take its column away again."),
    json: bool = _JSON,
) -> None:
    """Give an attribute you often filter by a column with an index; rewrites the table of pictures under a lock."""
    with db.connect(load_settings(), autocommit=True) as connection:
        if undo:
            gone = upkeep.demote(connection, name)
            _say(json, {"undone": gone}, "Its column is gone." if gone else "It has no column.")
            return
        column = upkeep.promote(connection, name, kind)
    _say(json, {"column": column}, f"Searches by {name} now use imgsearch.image.{column}.")


def _say(json: bool, document: dict[str, object], words: str) -> None:
    if json:
        as_json(document)
    else:
        output.print(words, markup=False)


@contextmanager
def _bar(quiet: bool) -> Iterator[Tick]:
    """One bar on stderr, renamed as the server goes from phase to phase."""
    columns = (TextColumn("{task.description:<32}"), BarColumn(bar_width=32), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, disable=quiet, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda phase, done, total: bar.update(task, description=phase, completed=done, total=total or None)
