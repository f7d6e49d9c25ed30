"""How `imgsearch up --detach` leaves a supervisor behind, and how it is found again."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from imgsearch.dev.embedded.place import log_file, tail, usable
from imgsearch.errors import EmbeddedError

# A supervisor gives its processes 15 s to end, then kills them.
_STOP_SECONDS = 20.0
_TICK = 0.05


def start_detached(home: Path, argv: Sequence[str], *, seconds: float = 120.0) -> int:
    """Run `argv`, which makes a Supervisor over `home`, in a session of its own; return its process id.

    Returns once the supervisor has begun; one that runs already is left as it is. Its lines go to
    `home/log/supervisor.log`. Raises EmbeddedError when it ends before, or has not begun after `seconds`.
    """
    found = _holder(home)
    if found is not None:
        return found
    log = log_file(home, "supervisor")
    with usable(home), log.open("ab") as out:
        process = subprocess.Popen(
            list(argv), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    # Somebody must take its exit status while this process lives, or it would stay as a zombie.
    threading.Thread(target=process.wait, daemon=True).start()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = _holder(home)
        if found is not None:
            return found
        if process.poll() is not None:
            raise EmbeddedError(f"imgsearch ended at once; the end of {log} says why:{tail(log)}")
        time.sleep(_TICK)
    process.kill()
    raise EmbeddedError(f"imgsearch did not start within {seconds:g} s; the end of {log} says why:{tail(log)}")


def is_running(home: Path) -> bool:
    """Return whether a supervisor runs over `home`."""
    return _holder(home) is not None


def stop_detached(home: Path) -> bool:
    """End the supervisor of `home`, and with it its processes; return whether there was one."""
    pid = _holder(home)
    if pid is None:
        return False
    for number, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
        except PermissionError as error:
            raise EmbeddedError(f"The supervisor of {home} (process {pid}) is another user's; ask them.") from error
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if _holder(home) is None:
                return True
            time.sleep(_TICK)
    raise EmbeddedError(f"The supervisor of {home} (process {pid}) does not end; kill it, then try again.")


def take(home: Path) -> IO[str]:
    """Hold `home/supervisor.pid` for as long as this process lives, however it ends: the lock tells, not the number.

    Raises EmbeddedError when a supervisor holds it already.
    """
    import fcntl

    with usable(home):
        home.mkdir(parents=True, exist_ok=True)
        handle = (home / "supervisor.pid").open("a+")
    for _ in range(20):  # somebody who asks whether it is held holds it for a moment himself
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_TICK)
            continue
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        return handle
    handle.close()
    raise EmbeddedError(f"imgsearch is already up over {home} (process {_holder(home)}); end it first.")


def _holder(home: Path) -> int | None:
    import fcntl

    path = home / "supervisor.pid"
    with usable(home):
        if not path.exists():
            return None
        handle = path.open()
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = handle.read()
            return int(text) if text.isdigit() else None  # empty for the moment before the number is written
        return None
