"""`imgsearch key`: who may use the HTTP API."""

from __future__ import annotations

from json import dumps

import typer

from imgsearch import db
from imgsearch.cli import moments
from imgsearch.cli.console import as_json, errors, listed, output
from imgsearch.cli.filters import with_filters
from imgsearch.errors import UnknownKey
from imgsearch.ops import api_keys as keys
from imgsearch.retrieval.filters import Filters
from imgsearch.settings import load_settings

app = typer.Typer(
    help="Keys of the HTTP API: create, rotate, list, revoke.", no_args_is_help=True, rich_markup_mode=None
)
_COLUMNS = ("handle", "tenant", "scope", "name", "state", "created", "expires", "last used", "filters")
EXPIRES = "When it stops working: 90d, 24h, or a date as 2027-01-31 (UTC)."


@app.command()
@with_filters
def create(
    tenant: str = typer.Option(..., help="Whose images the key reaches, and no other's."),
    scope: str = typer.Option("search", help="search, write (also adds and deletes) or admin (also status, metrics)."),
    name: str = typer.Option("", help="What it is for, in your words."),
    expires: str = typer.Option(None, help=f"{EXPIRES} Without it, never."),
    json: bool = typer.Option(False, "--json", help="For programs."),
    *,
    filters: Filters,
) -> None:
    """Make a key and print it: it is shown this once and kept nowhere.

    With filters it may stand in a browser: whatever is asked with it is kept within them.
    """
    until = moments.moment(expires) if expires else None
    within = filters if filters.given() else None
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        key = keys.create(connection, tenant=tenant, scope=scope, name=name, expires_at=until, filters=within)
        [made] = keys.listed(connection, handle=keys.handle_of(key))
    _print(key, made, json=json)


@app.command()
def rotate(
    handle: str = typer.Argument(..., help="The key's handle, as `imgsearch key list` shows it."),
    grace: str = typer.Option(
        "24h", help="How long the old key works beside the new one: 30m, 24h, 7d; 0h: not at all."
    ),
    expires: str = typer.Option(None, help=f"{EXPIRES} Without it, it lives as long as the old key was to."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Make a new key of the same tenant, scope and name, and let the old one expire after a grace."""
    beside, until = moments.span(grace), moments.moment(expires) if expires else None
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        key = keys.rotate(connection, handle, grace=beside, expires_at=until)
        [made] = keys.listed(connection, handle=keys.handle_of(key))
        [old] = keys.listed(connection, handle=keys.handle_of(handle))
    _print(key, made, json=json, old=old)


@app.command("list")
def list_(
    tenant: str = typer.Option(None, help="Only this tenant's."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """List the keys: never their secrets."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        found = keys.listed(connection, tenant)
    listed(found, _COLUMNS, _row, json=json)


@app.command()
def revoke(
    handle: str = typer.Argument(..., help="The key's handle, as `imgsearch key list` shows it."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """End a key, and every browser that signed in with it; the next request with either is refused."""
    with db.connect_primary(load_settings(), autocommit=True) as connection:
        found = keys.revoke(connection, handle)
    if not found:
        raise UnknownKey(f"There is no key {handle!r}; see `imgsearch key list`.")
    if json:
        as_json({"revoked": handle})
    else:
        output.print("Revoked.")


def _row(k: keys.Listed) -> tuple[object, ...]:
    when = map(moments.shown, (k.created_at, k.expires_at, k.last_used_at))
    return k.handle, k.tenant_id, k.scope, k.name, _state(k), *when, dumps(k.filters) if k.filters else "–"


def _print(key: str, made: keys.Listed, *, json: bool, old: keys.Listed | None = None) -> None:
    if json:
        document = {
            "key": key,
            "handle": made.handle,
            "tenant": made.tenant_id,
            "scope": made.scope,
            "filters": made.filters,
        }
        replaced = {"replaced": old.handle, "replaced_until": old.expires_at} if old else {}
        as_json({**document, "expires_at": made.expires_at, **replaced})
        return
    output.print(key, soft_wrap=True)
    errors.print("[dim]Keep it: it is not shown again. Send it as: Authorization: Bearer <key>[/]")
    ends = f"It expires at {moments.shown(made.expires_at)} UTC." if made.expires_at else "It never expires."
    errors.print(f"[dim]{ends}[/]")
    if old:
        errors.print(f"[dim]The old key {old.handle} works until {moments.shown(old.expires_at)} UTC.[/]")


def _state(key: keys.Listed) -> str:
    return f"replaced by {key.replaced_by}" if key.state == "replaced" else key.state
