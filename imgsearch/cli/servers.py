"""`imgsearch up`, `down`, `psql`, `worker`: the processes of a shop on one machine."""

from __future__ import annotations

import os
import shutil
import sys

import typer

from imgsearch import schema
from imgsearch import servers as running
from imgsearch.cli import serve
from imgsearch.cli.console import errors, output
from imgsearch.errors import EmbeddedError, ExtraMissing, UsageError
from imgsearch.extras import install, needed
from imgsearch.settings import Settings, load_settings


def up(
    detach: bool = typer.Option(False, "--detach", "-d", help="Stay up in the background; `imgsearch down` stops."),
) -> None:
    """Start everything one machine needs: embedded servers (unless configured), schema, workers, sweeps, the page."""
    settings = load_settings()
    start_servers(settings)
    if detach:
        start_workers(settings)
        where = serve.wait_for_address(settings.home)
        output.print(f"imgsearch is up over {settings.home}. Stop it with: imgsearch down")
        if where:
            output.print(f"The page, for this machine alone: {where}", soft_wrap=True)
        return
    with needed("dev", "imgsearch up"):
        from imgsearch.dev.embedded.processes import Supervisor
    with Supervisor(settings.home, commands(settings), say=output.print) as supervisor:
        if not supervisor.wait():
            raise EmbeddedError(f"Every process keeps exiting; the logs are in {settings.home / 'log'}.")


def down() -> None:
    """Stop the workers and the embedded servers of this home; data stays."""
    with needed("dev", "imgsearch down"):
        from imgsearch.dev import embedded
        from imgsearch.dev.embedded.detached import stop_detached
    home = load_settings().home
    stopped = [stop_detached(home), embedded.stop(home)]
    output.print("Stopped." if any(stopped) else f"Nothing was running over {home}.")


def psql(context: typer.Context) -> None:
    """Open a SQL console on the database; further arguments go to psql."""
    settings = load_settings()
    program = _psql(settings)
    address, environment = _apart(running.database_url(settings))
    os.execve(program, [program, address, *context.args], environment)  # noqa: S606 - replaces this process on purpose


def _apart(url: str) -> tuple[str, dict[str, str]]:
    """Return an address without its password, and the environment with it: everybody may read arguments."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    parts = conninfo_to_dict(url)
    password = parts.pop("password", None)
    return make_conninfo("", **parts), dict(os.environ) | ({"PGPASSWORD": str(password)} if password else {})


def worker(
    context: typer.Context,
    queue: str = typer.Option("both", "--queue", help="What to work on: images, queries or both."),
    space: str = typer.Option("", "--space", help="The space to work for, or all; default: the searched one."),
) -> None:
    """Run one worker in the foreground: a model, and the queues it works on. SIGTERM finishes or gives back."""
    if queue not in {"images", "queries", "both"}:
        raise UsageError(f"There is no queue {queue!r}; it is images, queries or both.")
    arguments = [sys.executable, "-m", "imgsearch_workers", "--queue", queue, "--space", space, *context.args]
    os.execv(sys.executable, arguments)  # noqa: S606 - torch is imported by workers, never by this package


def start_servers(settings: Settings) -> None:
    """Start the embedded servers that are not configured elsewhere, and bring the schema up to date."""
    if not settings.database_url or not settings.redis_url:
        with needed("dev", "An embedded server"):
            from imgsearch.dev import embedded
        embedded.start(settings.home)
    schema.upgrade(settings)


def start_workers(settings: Settings) -> int:
    """Start the supervisor of the workers in the background; one that runs already is left alone."""
    with needed("dev", "Starting workers in the background"):
        from imgsearch.dev.embedded.detached import start_detached
    return start_detached(settings.home, [sys.executable, "-m", "imgsearch", "up"])


def workers_run(settings: Settings) -> bool:
    """Return whether a supervisor of ours runs over this home."""
    try:
        from imgsearch.dev.embedded.detached import is_running
    except ModuleNotFoundError:  # whoever runs workers without it supervises them some other way
        return False
    return is_running(settings.home)


def commands(settings: Settings) -> dict[str, list[str]]:
    """Return what `up` keeps running: two workers, so that a bulk load never delays a search, sweeps and the page."""
    python = sys.executable
    beat = [
        "-A",
        "imgsearch_workers.app",
        "beat",
        "--loglevel",
        "WARNING",
        "--schedule",
        str(settings.home / "beat"),
    ]
    return {
        "worker-images": [python, "-m", "imgsearch_workers", "--queue", "images"],
        "worker-queries": [python, "-m", "imgsearch_workers", "--queue", "queries"],
        "beat": [python, "-m", "celery", *beat],
        **({"page": serve.command()} if serve.installed() else {}),
    }


def _psql(settings: Settings) -> str:
    found = shutil.which("psql")
    if not settings.database_url or found is None:
        try:
            with needed("dev", "An embedded psql"):
                from imgsearch.dev.embedded.wheel import programs
            return str(programs(settings.home / "postgres").home / "psql")
        except (EmbeddedError, ExtraMissing) as error:
            errors.print(str(error))
    if found is None:
        raise UsageError(f"There is no psql here; install PostgreSQL's client, or run: {install('dev')}")
    return found
