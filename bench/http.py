"""Load on the HTTP API from a process of its own: cached text searches over a few connections, on loopback.

    python -m bench.http --database-url postgresql://… --seconds 600 --connections 8  # --load-only prints the URL

Asks texts that the database knows, each with a filter, over connections that stay open; prints requests per second,
p50 and p99, errors, the web process's own processor time per request (the figure to trust on a busy machine), and its
memory over time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psutil
import psycopg

FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"max_price": 50},
    {"in_stock": True},
    {"min_price": 20, "max_price": 200, "in_stock": True},
)
TEXTS = 64
_KEYS = "key = ANY(SELECT sha256(convert_to(t, 'UTF8')) FROM unnest(%s::text[]) t)"
_KNOWN = f"SELECT count(*) FROM imgsearch.query_vector WHERE {_KEYS}"  # noqa: S608 - a constant
_FORGET = f"DELETE FROM imgsearch.query_vector WHERE {_KEYS}"  # noqa: S608 - a constant


@dataclass
class Tally:
    """What the clients saw."""

    milliseconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    strategies: dict[str, int] = field(default_factory=dict)


def main() -> None:
    """Start the web process, teach it texts, press it, print figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--database-url", required=True, help="a loaded database; `python -m bench --load-only` prints one"
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    given = parser.parse_args()
    texts = teach(given.database_url)
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "IMGSEARCH_DATABASE_URL": given.database_url, "IMGSEARCH_HOME": home}
        command = [sys.executable, "-m", "imgsearch.flask", "--bind", "127.0.0.1:0"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                port = int(re.search(r":(\d+)/", process.stdout.readline())[1])  # type: ignore[index]
                figures = press(port, process.pid, texts, given.seconds, given.connections, given.k)
            finally:
                process.terminate()
                unteach(given.database_url, texts)
    print(json.dumps(figures, indent=1))
    if given.json:
        given.json.write_text(json.dumps(figures))


def teach(url: str) -> list[str]:
    """Give the database texts that it knows: their vectors are those of the data's own texts, or of pictures."""
    texts = [f"load test {number}" for number in range(TEXTS)]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            """
            INSERT INTO imgsearch.query_vector (space_id, kind, key, embedding, answered_at)
            SELECT s.space_id, 'text', sha256(convert_to(t.text, 'UTF8')), v.embedding, now()
            FROM unnest(%s::text[]) WITH ORDINALITY AS t (text, place)
            CROSS JOIN imgsearch.space s
            JOIN LATERAL (
                SELECT q.embedding FROM imgsearch.query_vector q
                WHERE q.space_id = s.space_id AND q.kind = 'text' AND q.embedding IS NOT NULL
                ORDER BY q.key OFFSET t.place - 1 LIMIT 1
            ) v ON true
            WHERE s.state = 'active' ON CONFLICT DO NOTHING
            """,
            [texts],
        )
        known = connection.execute(_KNOWN, [texts]).fetchone()
    if known is None or known[0] < TEXTS:
        raise SystemExit(f"Not {TEXTS} texts have a vector here; load data with python -m bench --load-only.")
    return texts


def unteach(url: str, texts: list[str]) -> None:
    """Leave the database as it was."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_FORGET, [texts])


def press(port: int, pid: int, texts: list[str], seconds: float, connections: int, k: int) -> dict[str, Any]:
    """Ask from `connections` threads for so long; return the figures."""
    process = psutil.Process(pid)
    bodies = [json.dumps({"text": text, "k": k, **FILTERS[n % len(FILTERS)]}) for n, text in enumerate(texts)]
    _ask(port, Tally(), itertools.cycle(bodies), time.monotonic() + 3)  # warm
    tally, began, spent = Tally(), time.monotonic(), sum(process.cpu_times()[:2])
    threads = [
        threading.Thread(target=_ask, args=(port, tally, itertools.cycle(bodies[n:] + bodies[:n]), began + seconds))
        for n in range(connections)
    ]
    for thread in threads:
        thread.start()
    memory: list[tuple[float, float]] = []
    while any(thread.is_alive() for thread in threads):
        memory.append((round(time.monotonic() - began, 1), round(process.memory_info().rss / 2**20, 1)))
        time.sleep(min(10, seconds / 20))
    took = time.monotonic() - began
    ordered = sorted(tally.milliseconds)
    return {
        "seconds": round(took, 1),
        "connections": connections,
        "requests": len(ordered),
        "per_second": round(len(ordered) / took, 1),
        "p50_ms": round(ordered[len(ordered) // 2], 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)], 2),
        "web_cpu_ms": round((sum(process.cpu_times()[:2]) - spent) * 1000 / len(ordered), 2),
        "errors": len(tally.errors),
        "first_errors": tally.errors[:3],
        "strategies": tally.strategies,
        "memory_mb": memory,
    }


def _ask(port: int, tally: Tally, bodies: Any, until: float) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json"}
    while time.monotonic() < until:
        began = time.perf_counter()
        try:
            connection.request("POST", "/v1/search", next(bodies), headers)
            answer = connection.getresponse()
            found = json.loads(answer.read())
        except (OSError, HTTPException, ValueError) as error:
            tally.errors.append(repr(error))
            connection.close()
            continue
        if answer.status != 200 or not found["rows"]:
            tally.errors.append(f"{answer.status} {found.get('detail')}")
            continue
        tally.milliseconds.append((time.perf_counter() - began) * 1000)
        tally.strategies[found["strategy"]] = tally.strategies.get(found["strategy"], 0) + 1
    connection.close()


if __name__ == "__main__":
    main()
