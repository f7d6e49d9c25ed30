"""`imgsearch`: the list of commands, the settings in its help, and what an error looks like."""

from __future__ import annotations

import sys

import psycopg
import typer

from imgsearch.cli import add, bench, database, demo, doctor, forget, key, serve, servers, store, tuning
from imgsearch.cli import attach as tables
from imgsearch.cli import maintenance as upkeep
from imgsearch.cli import search as questions
from imgsearch.cli import status as watch
from imgsearch.cli.console import errors
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
app.command("demo")(demo.demo)
app.command("up")(servers.up)
app.command("down")(servers.down)
app.command("psql", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(servers.psql)
app.command("worker", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(servers.worker)
app.add_typer(database.app, name="db")
app.add_typer(key.app, name="key")
app.command("serve")(serve.serve)
app.command("add")(add.add)
app.command("attach")(tables.attach)
app.command("detach")(tables.detach)
app.command("backfill")(tables.backfill)
app.command("attachments")(tables.attachments)
app.command("search")(questions.search)
app.command("status")(watch.status)
app.command("doctor")(doctor.doctor)
app.command("tune")(tuning.tune)
app.command("recall")(tuning.recall)
app.add_typer(upkeep.app, name="index")
app.command("reindex")(upkeep.reindex)
app.command("vacuum")(upkeep.vacuum)
app.command("prewarm")(upkeep.prewarm)
app.command("promote")(upkeep.promote)
app.command("requeue")(watch.requeue)
app.command("refetch")(watch.refetch)
app.command("forget")(forget.forget)
app.add_typer(store.app, name="store")
app.command("bench")(bench.bench)


def main() -> None:
    """Run a command; an error of ours is one line on stderr and its own exit code, never a traceback."""
    try:
        app()
    except ImgsearchError as error:
        _complain(error)
        sys.exit(error.exit_code)
    except psycopg.Error as error:  # one that sql/failure.py knows no cure for; still a line, not a traceback
        _complain(error)
        sys.exit(DatabaseError.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)


def _complain(error: Exception) -> None:
    errors.print(f"imgsearch: {str(error).strip()}", style="red", markup=False, soft_wrap=True)
