"""Load on the HTTP API from a process of its own: cached text searches over a few connections, on loopback.

    python -m bench.http --database-url postgresql://… --seconds 600 --connections 8  # --load-only prints the URL
    python -m bench.http --database-url postgresql://… --seconds 600 --everything     # titles: bench.fused writes them

Asks texts that the database knows, each with a filter, over connections that stay open; prints requests per second,
p50 and p99, errors, the web process's own processor time per request (the figure to trust on a busy machine), and its
memory over time. With --everything the texts are words of titles, and searches rank, cut and count in all ways there
are (`EVERYTHING`), with a p50 for each; any error makes the exit status 1.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
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
# What a search can be asked beside its filters, one after the other.
EVERYTHING: dict[str, dict[str, Any]] = {
    "plain": {},
    "per image": {"per": "image"},
    "words alone": {"look_weight": 0},
    "looks alone": {"word_weight": 0},
    "sort": {"sort": "price"},
    "sort by attribute": {"sort": "-attributes.size"},
    "boost": {"boost": {"in_stock": 0.05, "attributes.size": 0.1}},
    "diversity": {"diversity": 0.3},
    "expand": {"expand": True},
    "cutoff": {"cutoff": "auto"},
    "min_match": {"min_match": 0.1},
    "facets": {
        "facets": {"category": True, "in_stock": True, "price": [20, 50, 100], "attributes": ["colour", "brand"]}
    },
    "all of it": {"boost": {"in_stock": 0.05}, "diversity": 0.3, "cutoff": "auto", "expand": True},
}
TEXTS = 64
_KEYS = "key = ANY(SELECT sha256(convert_to(t, 'UTF8')) FROM unnest(%s::text[]) t)"
_KNOWN = f"SELECT count(*) FROM imgsearch.query_vector WHERE {_KEYS}"  # noqa: S608 - a constant
# The drawn space knows no match of its own; with this one a cosine of 0, as far as its texts lie, fits by half.
_CALIBRATE = """INSERT INTO imgsearch.calibration (space_id, kind, tenant_id, scale, bias)
SELECT space_id, 'text', '', 20, 0.0078125 FROM imgsearch.space WHERE state = 'active' ON CONFLICT DO NOTHING"""
_UNCALIBRATE = "DELETE FROM imgsearch.calibration WHERE kind = 'text' AND bias = 0.0078125"
_FORGET = f"DELETE FROM imgsearch.query_vector WHERE {_KEYS}"  # noqa: S608 - a constant


@dataclass
class Tally:
    """What the clients saw."""

    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    strategies: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One search to send: what it is counted under, its JSON, and whether an answer may be empty."""

    name: str
    body: str
    empty: bool = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the web process, teach it texts, press it, print figures; return 1 where --everything met an error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--database-url", required=True, help="a loaded database; `python -m bench --load-only` prints one"
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--everything", action="store_true", help="words, facets, sort, boost, diversity, cuts …")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    given = parser.parse_args(arguments)
    texts = teach(given.database_url, titled(given.database_url) if given.everything else None)
    asked = searches(texts, given.k, EVERYTHING if given.everything else {"plain": {}})
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "IMGSEARCH_DATABASE_URL": given.database_url, "IMGSEARCH_HOME": home}
        command = [sys.executable, "-m", "imgsearch.flask", "--bind", "127.0.0.1:0"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                port = int(re.search(r":(\d+)/", process.stdout.readline())[1])  # type: ignore[index]
                figures = press(port, process.pid, asked, given.seconds, given.connections)
            finally:
                process.terminate()
                unteach(given.database_url, texts)
    print(json.dumps(figures, indent=1))
    if given.json:
        given.json.write_text(json.dumps(figures))
    return int(given.everything and figures["errors"] > 0)


def searches(texts: Sequence[str], k: int, features: Mapping[str, Mapping[str, Any]]) -> list[Asked]:
    """Return a search for each text and feature, the filters in turn."""
    return [
        Asked(
            name,
            json.dumps({"text": text, "k": k, **FILTERS[n % len(FILTERS)], **more}),
            empty=bool({"cutoff", "min_match", "look_weight"} & set(more)),
        )
        for n, text in enumerate(texts)
        for name, more in features.items()
    ]


def titled(url: str) -> list[str]:
    """Return texts of which products know words: two or three words of a title each; their matches are known then."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_CALIBRATE)
        rows = connection.execute(
            "SELECT title FROM imgsearch.product WHERE title IS NOT NULL ORDER BY product_id LIMIT 500"
        ).fetchall()
    # brand, colour, noun; the brand left out; the word in half of the titles
    cut = [slice(0, 2), slice(1, 4), slice(1, 3), slice(3, 5)]
    texts = [" ".join(title.split()[cut[n % len(cut)]]) for n, (title,) in enumerate(rows)]
    found = list(dict.fromkeys(texts))[:TEXTS]
    if len(found) < TEXTS:
        raise SystemExit(f"Not {TEXTS} texts can be made of titles here; python -m bench.fused writes some.")
    return found


def teach(url: str, texts: list[str] | None = None) -> list[str]:
    """Give the database texts that it knows: their vectors are those of the data's own texts, or of pictures."""
    texts = texts or [f"load test {number}" for number in range(TEXTS)]
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
        connection.execute(_UNCALIBRATE)


def press(port: int, pid: int, asked: list[Asked], seconds: float, connections: int) -> dict[str, Any]:
    """Ask from `connections` threads for so long; return the figures."""
    process = psutil.Process(pid)
    _ask(port, Tally(), itertools.cycle(asked), time.monotonic() + 3)  # warm
    tally, began, spent = Tally(), time.monotonic(), sum(process.cpu_times()[:2])
    threads = [
        threading.Thread(
            target=_ask, args=(port, tally, itertools.cycle(asked[n * 7 :] + asked[: n * 7]), began + seconds)
        )
        for n in range(connections)
    ]
    for thread in threads:
        thread.start()
    memory: list[tuple[float, float]] = []
    while any(thread.is_alive() for thread in threads):
        memory.append((round(time.monotonic() - began, 1), round(process.memory_info().rss / 2**20, 1)))
        time.sleep(min(10, seconds / 20))
    took = time.monotonic() - began
    ordered = sorted(itertools.chain.from_iterable(tally.milliseconds.values()))
    if not ordered:
        raise SystemExit(f"No search was answered: {tally.errors[:3]}")
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
        "p50_ms_of": {name: round(statistics.median(took), 2) for name, took in tally.milliseconds.items()},
        "strategies": tally.strategies,
        "memory_mb": memory,
    }


def _ask(port: int, tally: Tally, searches: Iterator[Asked], until: float) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json"}
    while time.monotonic() < until:
        began, asked = time.perf_counter(), next(searches)
        try:
            connection.request("POST", "/v1/search", asked.body, headers)
            answer = connection.getresponse()
            found = json.loads(answer.read())
        except (OSError, HTTPException, ValueError) as error:
            tally.errors.append(repr(error))
            connection.close()
            continue
        if answer.status != 200 or not (found["rows"] or asked.empty):
            tally.errors.append(f"{asked.name}: {answer.status} {found.get('detail')}")
            continue
        tally.milliseconds.setdefault(asked.name, []).append((time.perf_counter() - began) * 1000)
        tally.strategies[found["strategy"]] = tally.strategies.get(found["strategy"], 0) + 1
    connection.close()


if __name__ == "__main__":
    raise SystemExit(main())
