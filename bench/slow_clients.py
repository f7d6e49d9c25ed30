"""How quickly `imgsearch serve` answers beside clients that send a byte every five seconds, and what they cost it.

`python -m bench.slow_clients --slow 1000 --seconds 10`: half of them are in a header, half in a body, from twenty
addresses of the loopback. The app answers two bytes, so that only the server is measured.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import resource
import signal
import socket
import statistics
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from imgsearch.flask.channel import Patience
from imgsearch.flask.server import Server
from imgsearch.flask.serving import listen
from imgsearch.http.waiting import THREADS


def app(environ: dict[str, Any], start: Any) -> list[bytes]:
    start("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def begin(port: int, n: int) -> socket.socket:
    source = (f"127.0.0.{2 + n % 20}", 0)
    connection = socket.create_connection(("127.0.0.1", port), source_address=source)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n"
    connection.sendall(head + (b"\r\n" if n % 2 else b"X-Slow: "))
    return connection


def trickle(slow: list[socket.socket]) -> None:
    while True:
        for connection in slow:
            with suppress(OSError):
                connection.send(b"a")
            time.sleep(5 / len(slow))


def ask(port: int) -> float:
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/")
    connection.getresponse().read()
    connection.close()
    return (time.perf_counter() - began) * 1000


def processor_seconds(pid: int) -> float:
    parts = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--slow", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10)
    given = parser.parse_args()
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    server = os.fork()
    if server == 0:
        patience = Patience(header=600, grace=600)  # nobody is cut off: all of them are there all the time
        Server(app, listening, threads=THREADS, largest_body=1 << 25, connections=4096, patience=patience).run()
    listening.close()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        time.sleep(1)
        slow = [begin(port, n) for n in range(given.slow)]
        if slow:
            threading.Thread(target=trickle, args=(slow,), daemon=True).start()
        times: list[float] = []
        began, used = time.monotonic(), processor_seconds(server)
        while time.monotonic() - began < given.seconds:
            times.append(ask(port))
            time.sleep(0.1)
        share = (processor_seconds(server) - used) / (time.monotonic() - began)
        shown = {"median_ms": statistics.median(times), "p95_ms": statistics.quantiles(times, n=20)[-1]}
        rounded = {name: round(value, 1) for name, value in {**shown, "max_ms": max(times)}.items()}
        print(json.dumps({"slow": given.slow, "asked": len(times), **rounded, "processor_share": round(share, 2)}))
    finally:
        os.kill(server, signal.SIGKILL)


if __name__ == "__main__":
    main()
