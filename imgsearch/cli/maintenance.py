"""`imgsearch index`: build, mend and warm what searches read, and columns for attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from imgsearch import db
from imgsearch.cli.console import as_json, errors, output, table
from imgsearch.ops import maintenance, tenant_graphs
from imgsearch.settings import load_settings

app = typer.Typer(
    help="Keep searches fast: the index, what is in memory, columns for attributes, and the recall.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_MEMORY = typer.Option(None, help="Memory for the build, for example 2GB; default: the server's maintenance_work_mem.")
_JSON = typer.Option(False, "--json", help="For programs.")
Tick = Callable[[str, int, int], None]


@app.command()
def build(memory: str = _MEMORY, json: bool = _JSON) -> None:
    """Build the index beside running searches and writers; they use it when it is ready."""
    with progress_bar(json) as tick:
        built = maintenance.build(load_settings(), memory=memory, tick=tick)
    _say(
        json,
        {"built": built},
        "The index is built." if built else "There is a valid index already: imgsearch index reindex",
    )


@app.command()
def drop(json: bool = _JSON) -> None:
    """Drop the index before a bulk load; searches stay correct meanwhile, and slower."""
    dropped = maintenance.drop(load_settings())
    said = "The index is dropped; after the load: imgsearch index build" if dropped else "There was no index."
    _say(json, {"dropped": dropped}, said)


@app.command()
def reindex(
    everything: bool = typer.Option(False, "--all", help="Rebuild the HNSW though it is valid."),
    memory: str = _MEMORY,
    json: bool = _JSON,
) -> None:
    """Clean up after interrupted builds and make every index whole, beside running searches and writers."""
    with progress_bar(json) as tick:
        done = maintenance.reindex(load_settings(), everything=everything, memory=memory, tick=tick)
    _say(json, {"done": done}, "\n".join(done) or "Every index is whole.")


@app.command()
def vacuum(json: bool = _JSON) -> None:
    """Remove dead rows and renew statistics of the tables that searches read."""
    with progress_bar(json) as tick:
        tables = maintenance.vacuum(load_settings(), tick=tick)
    _say(json, {"tables": tables}, f"Vacuumed and analysed {', '.join(tables)}.")


@app.command()
def prewarm(
    seconds: float = typer.Option(60, min=1, help="Walk the graph for at most this long."), json: bool = _JSON
) -> None:
    """Read what searches read into memory, as after a restart."""
    with db.connect_primary(load_settings(), autocommit=True) as connection, progress_bar(json) as tick:
        done = maintenance.prewarm(connection, seconds=seconds, tick=tick)
    _say(json, {"done": done}, done)


@app.command()
def promote(
    name: str = typer.Argument(..., help="The attribute."),
    kind: str = typer.Option("text", "--type", help=f"What its values are: {', '.join(maintenance.TYPES)}."),
    json: bool = _JSON,
) -> None:
    """Give an attribute you often filter by a column with an index; rewrites the table of images under a lock."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        column = maintenance.promote(connection, name, kind)
    _say(json, {"column": column}, f"Searches by {name} now use imgsearch.image.{column}.")


@app.command()
def demote(name: str = typer.Argument(..., help="The attribute."), json: bool = _JSON) -> None:
    """Take the column of a promoted attribute away again."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        gone = maintenance.demote(connection, name)
    _say(json, {"demoted": gone}, "Its column is gone." if gone else "It has no column.")


@app.command()
def tenant(
    name: str | None = typer.Argument(None, help="Whose graph; without a name: list those that there are."),
    drop: bool = typer.Option(False, "--drop", help="Drop it, and let workers make none."),
    auto: bool = typer.Option(False, "--auto", help="Let workers decide by their rule again."),
    memory: str = _MEMORY,
    json: bool = _JSON,
) -> None:
    """Give a large tenant an index of its own, which its searches walk, beside running searches and writers."""
    settings = load_settings()
    if name is None:
        with db.connect_primary(settings, autocommit=True) as connection:
            _list_tenants(tenant_graphs.listed(connection), json)
        return
    if drop:
        gone = tenant_graphs.refuse(settings, name)
        _say(json, {"dropped": gone}, "Its graph is gone." if gone else "It has none, and gets none.")
    elif auto:
        tenant_graphs.leave(settings, name)
        _say(json, {"auto": True}, "Workers decide by their rule.")
    else:
        with progress_bar(json) as tick:
            built = tenant_graphs.keep(settings, name, memory=memory, tick=tick)
        _say(
            json, {"built": built}, "Its searches walk a graph of its own." if built else "It has a valid one already."
        )


def _list_tenants(found: list[Mapping[str, Any]], json: bool) -> None:
    if json:
        as_json({"tenants": found})
        return
    if not found:
        output.print("No tenant has a graph of its own.")
        return
    rows = [
        (one["tenant_id"], one["space"], one["state"], one["pictures"], "hand" if one["by_hand"] else "rule")
        for one in found
    ]
    output.print(table(["tenant", "space", "graph", ("images", "right"), "by"], rows))


def _say(json: bool, document: dict[str, object], words: str) -> None:
    if json:
        as_json(document)
    else:
        output.print(words, markup=False)


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Tick]:
    """One bar on stderr, renamed as the server goes from phase to phase."""
    columns = (TextColumn("{task.description:<32}"), BarColumn(bar_width=32), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, disable=quiet, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda phase, done, total: bar.update(task, description=phase, completed=done, total=total or None)
