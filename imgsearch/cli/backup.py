"""`imgsearch backup` and `imgsearch restore`: the database, its settings and the pictures, in one folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from imgsearch import db
from imgsearch.cli.console import as_json, errors, output, progress
from imgsearch.errors import UsageError
from imgsearch.ops import backup as backups
from imgsearch.ops import restore as restores
from imgsearch.ops import shared_store
from imgsearch.ops.backup import Pictures, Tick
from imgsearch.ops.manifest import Manifest
from imgsearch.settings import load_settings

_FOLDER = typer.Argument(..., metavar="DIR", help="A folder.")
_JSON = typer.Option(False, "--json", help="For programs.")


def backup(
    folder: Path = _FOLDER,
    no_pictures: bool = typer.Option(False, "--no-pictures", help="The database alone."),
    list_pictures: bool = typer.Option(False, "--list-pictures", help="Only list the objects of the picture store."),
    json: bool = _JSON,
) -> None:
    """Write the whole database, its settings and the pictures into a folder; interrupted, run it again."""
    if no_pictures and list_pictures:
        raise UsageError("--no-pictures and --list-pictures exclude each other.")
    pictures: Pictures = "none" if no_pictures else "listed" if list_pictures else "copied"
    with _told(json) as tick:
        made = backups.take(load_settings(), folder, pictures=pictures, tick=tick)
    if json:
        as_json(_told_of(made))
    else:
        output.print(f"{made.images:,} images and {made.objects:,} objects ({made.size:,} bytes) are in {folder}.")
        if made.missing:
            errors.print(
                f"{len(made.missing)} pictures are missing from the store itself, the first: {made.missing[0]}"
            )
    if made.missing:
        raise typer.Exit(1)


def restore(
    folder: Path = _FOLDER,
    no_pictures: bool = typer.Option(False, "--no-pictures", help="Leave the picture store as it is."),
    json: bool = _JSON,
) -> None:
    """Restore a backup into an empty database and the picture store; what fails leaves the database empty."""
    settings = load_settings()
    with _told(json) as tick:
        found = restores.bring_back(settings, folder, pictures=not no_pictures, tick=tick)
    with db.connect_direct(settings, autocommit=True) as connection:
        for finding in shared_store.examine(connection, settings):
            errors.print(f"{finding.detail}. {finding.impact} {finding.fix}", markup=False, soft_wrap=True)
    if json:
        as_json(_told_of(found))
        return
    output.print(f"{found.images:,} images are back, as they were on {found.taken_at}.")
    output.print("Look: imgsearch doctor")
    if found.pictures == "listed":
        output.print(f"The pictures are listed in {folder / 'pictures.txt'}; bring their store back by its own means.")


def _told_of(made: Manifest) -> dict[str, Any]:
    """Return a manifest with the names of settings alone: what databases are set to may be a secret."""
    return asdict(made) | {"settings": sorted(made.settings)}


@contextmanager
def _told(quiet: bool) -> Iterator[Tick]:
    with progress(quiet=quiet) as bar:
        task = bar.add_task("", total=None)
        yield lambda said, many: bar.update(task, description=said[:60], completed=many)
