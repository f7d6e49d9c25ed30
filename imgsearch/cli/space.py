"""`imgsearch space …`: models come and go."""

from __future__ import annotations

import json as documents
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import typer

from imgsearch import db, schema
from imgsearch.cli import compare
from imgsearch.cli.console import as_json, errors, output, table
from imgsearch.cli.maintenance import progress_bar
from imgsearch.errors import ModelError, UsageError
from imgsearch.ops import lifecycle
from imgsearch.ops.lifecycle import Estimate
from imgsearch.settings import Settings, load_settings
from imgsearch.spaces.space import Description

app = typer.Typer(
    help="Spaces, one for each model: add another beside the searched one, fill it, search it, go back.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_JSON = typer.Option(False, "--json", help="For programs.")
_NAME = typer.Argument(..., help="The space, by its name or number.")
_FORCE = typer.Option(False, "--force", help="Though images that are found now would not be found.")
MEASURED = 64


@app.command("list")
def show(json: bool = _JSON) -> None:
    """Show every space: how full it is, who works for it, what it takes."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        found = lifecycle.listed(connection)
    if json:
        as_json(found)
        return
    if not found:
        output.print("There is no space yet; the first worker makes one: imgsearch worker")
        return
    rows = [
        (
            one["name"],
            one["state"],
            one["model"],
            f"{one['embedded']:,}",
            f"{one['waiting']:,}",
            f"{one['failed']:,}",
            one["index"],
            "yes" if one["searchable"] else "no",
            one["workers"],
            _size(one["disk"]),
            "–" if one["rate"] is None else f"{one['rate']:,.1f}/s",
            "–" if one["eta"] is None else _duration(one["eta"].total_seconds()),
        )
        for one in found
    ]
    right = [(name, "right") for name in ("images", "waiting", "failed")]
    more = [("workers", "right"), ("disk", "right"), ("rate", "right"), ("left", "right")]
    output.print(table(["space", "state", "model", *right, "index", "search", *more], rows))


@app.command()
def add(
    model: str = typer.Argument(..., help="Hub name or folder of a model, or an encoder of your own (module:Name)."),
    name: str = typer.Option(None, help="What to call it; default: from the model."),
    revision: str = typer.Option("", help="Revision on the hub; its commit is kept, whatever the branch holds later."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say what it would cost."),
    given: bool = typer.Option(False, "--given", help="No model: vectors are brought along, MODEL is what to call it."),
    dimension: int | None = typer.Option(None, help="Numbers of each vector that is brought along, up to 4,000."),
    json: bool = _JSON,
) -> None:
    """Make a space for another model, beside searches and writers. It is filled next: imgsearch space fill NAME."""
    settings = load_settings()
    if given or dimension is not None:
        if not given or dimension is None or revision or dry_run or name:
            raise UsageError(
                "A space of vectors brought along is made by: imgsearch space add NAME --given --dimension N"
            )
        with db.connect_primary(settings, autocommit=True) as connection:
            schema.check(connection)
            made = lifecycle.add_given(connection, model, dimension)
        _done(json, {"space": made}, f"The space {made} is there. Give it vectors: imgsearch.add(…, vector=…).")
        return
    said = _described(settings, model, revision, measure=MEASURED if dry_run else 0)
    with db.connect_primary(settings, autocommit=True) as connection:
        schema.check(connection)
        if dry_run:
            cost = lifecycle.estimate(connection, said["description"]["dimension"], said["rate"])
            _say_cost(json, cost, said["device"])
            return
        made = lifecycle.add(connection, Description(**said["description"]), name=name)
    if json:
        as_json({"space": made})
        return
    output.print(f"The space {made} is there. Start a worker for it, then fill it:", markup=False)
    output.print(f"  imgsearch worker --space {made}\n  imgsearch space fill {made}", markup=False)


@app.command()
def fill(
    name: str = _NAME,
    share: float = typer.Option(1.0, min=0, max=1, help="The part of their time that workers give to it."),
    idle: bool = typer.Option(False, "--idle", help="Only while nothing of the searched space waits."),
    memory: str = typer.Option(None, help="Memory for the index, for example 2GB."),
    json: bool = _JSON,
) -> None:
    """Have every image embedded for a space, then build its indexes. Interrupted, run it again: it goes on."""
    with progress_bar(json) as tick:
        done = lifecycle.fill(
            load_settings(),
            name,
            share=0.0 if idle else share,
            memory=memory,
            tick=tick,
            say=lambda text: errors.print(text, style="yellow", markup=False, soft_wrap=True),
        )
    if json:
        as_json(asdict(done))
        return
    output.print(f"The space {name} holds {done.embedded:,} images; {done.failed:,} failed.", markup=False)
    if done.failed:
        output.print("Why: imgsearch queue failures", markup=False)
    if done.searched:
        return
    output.print(f"Try it: imgsearch search 'red shoe' --space {name}", markup=False)
    output.print(f"Make it the searched one: imgsearch space activate {name}", markup=False)


@app.command()
def activate(name: str = _NAME, force: bool = _FORCE, json: bool = _JSON) -> None:
    """Make a space the searched one, at once. The one before stands by: imgsearch space rollback."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        lifecycle.activate(connection, name, force=force)
    _done(json, {"active": name}, f"The space {name} is searched now. Back again: imgsearch space rollback")


@app.command()
def rollback(force: bool = _FORCE, json: bool = _JSON) -> None:
    """Search the space before again; nothing is lost, it was kept in step."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        name = lifecycle.rollback(connection, force=force)
    _done(json, {"active": name}, f"The space {name} is searched again.")


@app.command()
def drop(name: str = _NAME, yes: bool = typer.Option(False, "--yes", help="Do not ask."), json: bool = _JSON) -> None:
    """Forget a space that is not searched: its vectors, its index, what waits for it. There is no way back."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        if not yes:
            _ask_about(lifecycle.one(connection, name))
        lifecycle.drop(connection, name)
    _done(json, {"dropped": name}, f"The space {name} is gone.")


def _ask_about(space: Mapping[str, Any]) -> None:
    """Have somebody say yes. Raises UsageError where nobody can."""
    lost = f"The {space['embedded']:,} vectors of the space {space['name']} ({_size(space['disk'])}) will be lost."
    if not sys.stdin.isatty():
        raise UsageError(f"{lost} There is no way back: say --yes.")
    if not typer.confirm(f"{lost} Go on?", err=True):
        raise UsageError("Nothing was dropped.")


app.command("compare")(compare.compare)


def _described(settings: Settings, model: str, revision: str, *, measure: int) -> dict[str, Any]:
    """Ask a process that may import torch what a model is. Raises ModelError."""
    command = [sys.executable, "-m", "imgsearch_workers.describe", model, "--revision", revision, "--measure"]
    done = subprocess.run(
        [*command, str(measure)], capture_output=True, text=True, env=os.environ | settings.environment(), check=False
    )
    if done.returncode:
        why = done.stderr.strip().splitlines() or ["imgsearch_workers is not installed"]
        raise ModelError(why[-1].removeprefix("imgsearch: "))
    found: dict[str, Any] = documents.loads(done.stdout.splitlines()[-1])
    return found


def _say_cost(json: bool, cost: Estimate, device: str) -> None:
    if json:
        as_json(asdict(cost) | {"device": device})
        return
    output.print(
        f"{cost.pictures:,} images; {cost.rate:,.1f} a second through the model here ({device}): "
        f"{_duration(cost.hours * 3600)} with one such worker; about {_size(cost.disk)} on disk."
    )


def _done(json: bool, document: dict[str, object], words: str) -> None:
    if json:
        as_json(document)
    else:
        output.print(words, markup=False)


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:,.0f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
