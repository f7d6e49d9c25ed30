"""Which Postgres, if any, runs over a data folder, and what a killed one left there."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

from imgsearch.dev.embedded.place import gone

if TYPE_CHECKING:
    import psutil


def pid_lines(data: Path) -> list[str]:
    """Return the lines of the server's pid file, none when there is no such file.

    They are: process id, data folder, start time, port, socket folder, TCP address, shared memory, state.
    """
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []


def postmaster(data: Path) -> psutil.Process | None:
    """Return the live server that the pid file names, if it is a Postgres that runs over `data`.

    The number alone proves nothing: after a crash, or a restart of the machine, it may be anybody's.
    """
    lines = pid_lines(data)
    if not lines or not lines[0].strip().lstrip("-").isdigit():
        return None
    import psutil

    try:
        process = psutil.Process(abs(int(lines[0])))  # a single-user backend writes its number negative
        return process if _runs_over(process, data) else None
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return process  # a Postgres of somebody else, perhaps ours: let Postgres itself decide


def clear_after_crash(data: Path, folder: Path) -> None:
    """End the backends that outlived a killed server over `data`; remove its pid file, and its socket in `folder`.

    A backend busy with a long statement notices only at its end that its server is gone; until then the shared
    memory is taken and no new server can start. A file that names a stranger's process, or a zombie, would stop
    one, too. `folder` must be ours alone.
    """
    if postmaster(data) is not None:
        return
    if pid_lines(data):
        end_backends(data)
        (data / "postmaster.pid").unlink(missing_ok=True)
    for left in folder.glob(".s.PGSQL.*"):
        left.unlink(missing_ok=True)


def end_backends(data: Path) -> None:
    """End every Postgres process over `data`. For use when their server is gone."""
    import psutil

    for process in psutil.process_iter():
        try:
            if _runs_over(process, data):
                process.send_signal(signal.SIGQUIT)  # what the server itself sends to its backends after a crash
                if not gone(process, 5.0):
                    process.kill()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def _runs_over(process: psutil.Process, data: Path) -> bool:
    """Return whether `process` is a live Postgres at home in `data`: every one of them makes it its folder."""
    import psutil

    if not process.name().startswith("postgres") or process.status() == psutil.STATUS_ZOMBIE:
        return False
    return bool(process.cwd() == str(data.resolve()))
