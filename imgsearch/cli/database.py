"""`imgsearch db`: bring the schema up to date, and say where it is."""

from __future__ import annotations

from dataclasses import asdict

import typer

from imgsearch import db, schema
from imgsearch.cli.console import as_json, errors, output, table
from imgsearch.schema import mend as mending
from imgsearch.schema import migrate
from imgsearch.schema.brief import PATIENCE
from imgsearch.schema.plan import Plan
from imgsearch.schema.plan import plan as planned
from imgsearch.schema.window import RELEASE
from imgsearch.settings import load_settings

app = typer.Typer(
    help="The database schema: upgrade, current, check, mend, remove.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def upgrade(
    plan: bool = typer.Option(False, "--plan", help="Only say what would be done, and which locks it takes."),
    patience: float = typer.Option(PATIENCE, min=0, help="Seconds to look for a moment in which a table is free."),
    json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Bring the schema up to date, beside searches and writers; safe to run again, and several at once."""
    if plan:
        with db.connect_direct(load_settings(), autocommit=True) as connection:
            _say_plan(planned(connection), json=json)
        return
    say = None if json else lambda text: errors.print(text, markup=False, soft_wrap=True)
    reached = schema.upgrade(load_settings(), patience=patience, say=say)
    if json:
        as_json({"current": reached})
    else:
        output.print(f"The schema is at {reached}.")


def _say_plan(found: Plan, *, json: bool) -> None:
    if json:
        as_json(asdict(found))
        return
    if not found.lines:
        output.print(f"Nothing is to be done: the schema is at {found.current}.")
        return
    rows = [
        (one.step, one.part, one.how, f"{one.rows:,}", f"{one.seconds:g}", f"{one.disk_bytes:,}") for one in found.lines
    ]
    right = [(name, "right") for name in ("rows", "seconds", "bytes")]
    output.print(table(["step", "part", "how", *right], rows))
    for one in found.lines if found.current is not None else ():
        output.print(f"{one.step}, {one.part}: {_locks(one.locks)}", markup=False, soft_wrap=True)
    if found.current is None:
        output.print("Nothing of imgsearch is here yet: one transaction, nobody waits.")
    elif found.online:
        output.print("Searches and writers go on; locks other than SHARE UPDATE EXCLUSIVE are held for moments.")
    else:
        output.print("In one transaction that holds these locks to its end: stop what writes and searches first.")


def _locks(locks: dict[str, str]) -> str:
    """Return the locks by mode: a dozen views in one line would hide the table."""
    by_mode: dict[str, list[str]] = {}
    for name, mode in locks.items():
        by_mode.setdefault(mode, []).append(name.removeprefix("imgsearch."))
    said = [
        f"{mode}: {', '.join(names) if len(names) < 4 else f'{len(names)} views'}" for mode, names in by_mode.items()
    ]
    return "; ".join(said) or "no lock that others wait for"


@app.command()
def remove(
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
) -> None:
    """Remove tables, vectors and functions from the database; images in the store, roles and pgvector stay."""
    if not yes:
        typer.confirm("Every picture's row and vector will be lost. Go on?", abort=True)
    schema.remove(load_settings())
    output.print("The schema is gone.")


@app.command()
def current(json: bool = typer.Option(False, "--json", help="For programs.")) -> None:
    """Say which table step the schema is at, and which release made it."""
    with db.connect_direct(load_settings(), autocommit=True) as connection:
        found, newest = migrate.applied(connection), migrate.head()
    step, release = (found.step, str(found.release)) if found else (None, None)
    complete = found is not None and found.release <= RELEASE and found.is_complete
    if json:
        as_json({"current": step, "head": newest, "release": release, "complete": complete})
        return
    output.print(f"The schema is at {step or 'nothing'}; the newest is {newest}.")
    if found is not None and found.release == RELEASE and found.step == newest and not complete:
        output.print("Its functions are of another build than this one's. Run: imgsearch db upgrade")


@app.command()
def mend(json: bool = typer.Option(False, "--json", help="For programs.")) -> None:
    """Create missing roles and give each its rights: after a restore into another cluster, or by hand."""
    with db.connect_direct(load_settings(), autocommit=True) as connection:
        done = mending.mend(connection)
    if json:
        as_json({"rights": done.rights, "missing": list(done.missing)})
    else:
        output.print(f"{done.rights} rights were not as they must be, and are now." if done.rights else "All is well.")
        if done.statements:
            errors.print(f"An administrator has to type: {done.statements}", markup=False, soft_wrap=True)
            errors.print("Then run `imgsearch db mend` again.", markup=False)
    if done.statements:
        raise typer.Exit(5)


@app.command()
def check(json: bool = typer.Option(False, "--json", help="For programs.")) -> None:
    """Exit with 0 when extension, schema and rights are as this version needs them, else say what to do."""
    with db.connect_direct(load_settings(), autocommit=True) as connection:
        migrate.check(connection)
        lacks = mending.missing(connection)
    rights = lacks.rights
    if json:
        as_json({"ok": not rights, "roles_missing": list(lacks.missing), "rights_missing": rights})
    else:
        output.print("Database connection: OK\npgvector: OK\nSchema: OK")
        output.print(
            "Rights: OK" if not rights else f"Rights: {rights} are not as they must be. Run: imgsearch db mend"
        )
        if lacks.statements:
            what = "Roles are missing" if lacks.missing else "Roles are not granted to the owner"
            errors.print(f"{what}; an administrator types: {lacks.statements}", markup=False, soft_wrap=True)
            errors.print("Then run: imgsearch db mend", markup=False)
    if rights:
        raise typer.Exit(5)
