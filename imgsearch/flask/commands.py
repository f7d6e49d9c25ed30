"""`flask imgsearch status`: what an app's own command line can ask."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from imgsearch.db import sql
from imgsearch.http.state import app_state

group = click.Group("imgsearch", help="Image search: how it is.")


@group.command("status")
@with_appcontext
def status() -> None:
    """Show how many pictures are in which state, and who works."""
    with app_state().session(None) as connection:
        found = sql.rows(connection, "http", "status", {"tenant": None})[0]
    for name, value in found.items():
        click.echo(f"{name.replace('_', ' '):<16}{'–' if value is None else value}")
