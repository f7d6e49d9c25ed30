"""`imgsearch`: the list of commands, the settings in its help, and what an error looks like."""

from __future__ import annotations

import sys

import psycopg
import typer

from imgsearch import __version__
from imgsearch.cli import (
    add,
    attach,
    backup,
    bench,
    calibrate,
    database,
    demo,
    doctor,
    duplicates,
    evaluate,
    facets,
    forget,
    judge,
    key,
    maintenance,
    merchandise,
    product,
    queue,
    search,
    serve,
    servers,
    shop,
    space,
    status,
    store,
    tuning,
)
from imgsearch.cli.console import errors, fit, output
from imgsearch.errors import DatabaseError, ImgsearchError
from imgsearch.settings import table

_HELP = "Image search inside Postgres: upload pictures, ask with words, pictures and SQL filters, in one statement."


def _settings_table() -> str:
    # \b keeps click from folding the lines into a paragraph.
    rows = [f"{setting.variable:<26} {setting.help} [{setting.default or 'empty'}]" for setting in table()]
    return "\b\nSettings, from the environment or .env:\n" + "\n".join(rows)


app = typer.Typer(
    name="imgsearch",
    help=_HELP,
    epilog=_settings_table(),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 140},
)
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def _version(asked: bool) -> None:
    if asked:
        output.print(__version__, highlight=False)
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


app.command("demo")(demo.demo)
app.command("up")(servers.up)
app.command("down")(servers.down)
app.command("serve")(serve.serve)
app.command("worker", context_settings=_PASSED_ON)(servers.worker)
app.command("psql", context_settings=_PASSED_ON)(servers.psql)
app.command("add")(add.add)
app.command("search")(search.search)
app.command("suggest")(shop.suggest)
app.command("facets")(facets.facets)
app.command("status")(status.status)
app.command("requeue")(status.requeue)
app.command("doctor")(doctor.doctor)
app.command("duplicates")(duplicates.duplicates)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("bench")(bench.bench)
app.command("calibrate")(calibrate.calibrate)
app.command("evaluate")(evaluate.evaluate)
app.command("judge")(judge.judge)
app.command("attach")(attach.attach)
app.command("detach")(attach.detach)
app.command("backfill")(attach.backfill)
app.command("refresh")(attach.refresh)
app.command("attachments")(attach.attachments)
app.command("forget")(forget.forget)
maintenance.app.command("tune")(tuning.tune)
maintenance.app.command("recall")(tuning.recall)
for group, name in (
    (database.app, "db"),
    (maintenance.app, "index"),
    (queue.app, "queue"),
    (store.app, "store"),
    (key.app, "key"),
    (product.app, "product"),
    (merchandise.app, "merchandise"),
    (shop.app, "shop"),
    (space.app, "space"),
):
    app.add_typer(group, name=name)


def main() -> None:
    """Run a command; an error of ours is one line on stderr and its own exit code, never a traceback."""
    fit()
    try:
        app()
    except ImgsearchError as error:
        _complain(error)
        sys.exit(error.exit_code)
    except psycopg.Error as error:  # one that db/sqlstate.py knows no cure for; still a line, not a traceback
        _complain(error)
        sys.exit(DatabaseError.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)


def _complain(error: Exception) -> None:
    said = str(error).strip().removeprefix("imgsearch: ")  # the database's own messages begin with it, too
    errors.print(f"imgsearch: {said}", style="red", markup=False, soft_wrap=True)
