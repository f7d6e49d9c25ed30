"""Run a worker: `python -m imgsearch_workers --queue images`. People type `imgsearch worker`."""

from __future__ import annotations

import argparse
import logging
import os
import select
import signal
import sys
import time
from types import FrameType

import psycopg

from imgsearch.db.sqlstate import translated
from imgsearch.errors import DatabaseError, DatabaseUnreachable, ImgsearchError
from imgsearch.settings import Settings, process_settings
from imgsearch_workers.process import logs
from imgsearch_workers.process.worker import DEVICE_LOST, SPACE_CHANGED, Worker, database_is_up

log = logging.getLogger("imgsearch.worker")
LOOK_SECONDS = 1.0
TRIES = 10


class Signals:
    """SIGTERM and SIGINT: leave at once while nothing is held, else once asked finish, twice asked leave.

    The handler takes no lock and allocates nothing to speak of: it may run between any two bytecodes.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self.held = False
        self._asked = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds`; return whether this process was asked to end."""
        return bool(select.select([self._read], [], [], seconds)[0])

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._asked += 1
        if not self.held or self._asked > 1:
            os._exit(0 if self._asked == 1 else 1)
        os.write(self._write, b"!")


def main(arguments: list[str] | None = None) -> int:
    """Run a worker until it is asked to end or breaks; return the exit code."""
    signals = Signals()
    given = _options(arguments)
    logs.set_up(given.log_level, given.log_format)
    try:
        settings = process_settings()
        worker = Worker(settings, given.queue, given.space)
        if given.listen:
            from imgsearch_workers.process.health_server import HealthServer

            HealthServer(settings, worker, given.listen).start()
        _load(worker, settings)
    except ImgsearchError as error:
        print(f"imgsearch worker: {error}", file=sys.stderr)
        return error.exit_code
    except psycopg.OperationalError as error:
        print(f"imgsearch worker: The database does not let us start: {error}. Start it again.", file=sys.stderr)
        return DatabaseError.exit_code
    signals.held = True
    worker.start()
    _listen_to_celery(worker, given.queue)
    code = 0
    while not signals.wait(LOOK_SECONDS):
        if worker.outdated():
            code = SPACE_CHANGED
            break
        if reason := worker.broken():
            log.critical("%s: ending, so that a fresh process takes over", reason)
            return DEVICE_LOST
    if not worker.stop():
        log.warning("a loop did not end in time; its leases run out by themselves")
    return code


def _load(worker: Worker, settings: Settings) -> None:
    """Load the model and check the space; a database that restarts meanwhile is waited for."""
    for left in range(TRIES, -1, -1):
        try:
            database_is_up(settings)
            with translated():
                worker.load()
        except (DatabaseUnreachable, psycopg.OperationalError):
            if not left:
                raise
            log.warning("the database went away or was busy while this worker started, trying again")
            time.sleep(1)
        else:
            return


def _listen_to_celery(worker: Worker, name: str) -> None:
    from imgsearch_workers.process.celery_consumer import CeleryConsumer

    CeleryConsumer(worker.listeners, name).start()


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="imgsearch worker", description="Embed pictures and queries.")
    parser.add_argument("--queue", choices=("images", "queries", "both"), default="both")
    parser.add_argument(
        "--space", default="", help="name or number of the space to work for, or all; default: the searched one"
    )
    parser.add_argument("--log-level", default="INFO")
    parser.add_argument("--log-format", choices=("text", "json"), default="text", help="json: one object per line")
    parser.add_argument(
        "--listen", metavar="[HOST:]PORT", default="", help="answer /healthz, /readyz and /metrics there (127.0.0.1)"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stderr.flush()
    # Threads that wait for a slow store or a dead broker must not keep a process that has given everything back.
    os._exit(code)
