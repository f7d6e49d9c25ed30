"""`imgsearch key`: who may use the HTTP API."""

from __future__ import annotations

import typer

from imgsearch import db
from imgsearch.cli.console import as_json, errors, output, table
from imgsearch.errors import UsageError
from imgsearch.ops import api_keys as keys
from imgsearch.settings import load_settings

app = typer.Typer(help="Keys of the HTTP API: create, list, revoke.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def create(
    tenant: str = typer.Option(..., help="Whose images the key reaches, and no other's."),
    scope: str = typer.Option("search", help="search, write (also adds and deletes) or admin (also status, metrics)."),
    name: str = typer.Option("", help="What it is for, in your words."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Make a key and print it: it is shown this once and kept nowhere."""
    with db.connect(load_settings(), autocommit=True) as connection:
        key = keys.create(connection, tenant=tenant, scope=scope, name=name)
    if json:
        as_json({"key": key, "handle": key.split("_")[1], "tenant": tenant, "scope": scope})
        return
    output.print(key, soft_wrap=True)
    errors.print("[dim]Keep it: it is not shown again. Send it as: Authorization: Bearer <key>[/]")


@app.command("list")
def list_(
    tenant: str = typer.Option(None, help="Only this tenant's."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """List the keys: never their secrets."""
    with db.connect(load_settings(), autocommit=True) as connection:
        found = keys.listed(connection, tenant)
    if json:
        as_json([vars(key) for key in found])
        return
    rows = [(k.handle, k.tenant_id, k.scope, k.name, f"{k.created_at:%Y-%m-%d}", _ended(k)) for k in found]
    output.print(table(["handle", "tenant", "scope", "name", "made", "revoked"], rows))


@app.command()
def revoke(
    handle: str = typer.Argument(..., help="The key's handle, as `imgsearch key list` shows it."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """End a key; the next request with it is refused."""
    with db.connect(load_settings(), autocommit=True) as connection:
        found = keys.revoke(connection, handle)
    if not found:
        raise UsageError(f"There is no key {handle!r}; see `imgsearch key list`.")
    if json:
        as_json({"revoked": handle})
    else:
        output.print("Revoked.")


def _ended(key: keys.Listed) -> str:
    return f"{key.revoked_at:%Y-%m-%d}" if key.revoked_at else "–"
