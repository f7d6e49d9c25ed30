"""What a search costs the web process, by its own processor time: one checkout, or two of them asked in turn.

    python -m bench.web --database-url postgresql://…                    # the URL that --load-only prints
    python -m bench.web --database-url postgresql://… --against ../old   # another checkout beside this one

Cached texts with the filters of `bench.http`, over one connection that stays open, so that nothing waits for anything;
each way of asking in blocks, the checkouts in turn. With --key each request carries an API key of one tenant.
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
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psycopg

from bench import http
from imgsearch.ops import api_keys

HERE = Path(__file__).resolve().parents[1]
BLOCK = 50  # requests of one checkout before it is the next one's turn
WAYS: dict[str, dict[str, Any]] = {
    "a row per product": {},
    "a row per picture": {"per": "image"},
    "facets": {"facets": {"category": True, "in_stock": True, "price": True, "attributes": True}},
}


# Each tenant's questions are its own.
_THEIRS = """INSERT INTO imgsearch.query_vector (tenant_id, space_id, kind, key, embedding, answered_at)
SELECT %s, q.space_id, 'text', q.key, q.embedding, now() FROM imgsearch.query_vector q
WHERE q.tenant_id = ''
  AND q.key = ANY (SELECT sha256(convert_to('load test ' || n, 'UTF8')) FROM generate_series(0, 63) n)
ON CONFLICT DO NOTHING"""


@dataclass
class Web:
    """A web process of one checkout, and the milliseconds of its processor that each block took per request."""

    pid: int
    connection: HTTPConnection
    headers: dict[str, str]
    took: dict[str, list[float]] = field(default_factory=dict)

    def ask(self, bodies: Sequence[str], name: str) -> None:
        """Send some searches, one after the other."""
        before = self._spent()
        for body in bodies:
            self.connection.request("POST", "/v1/search", body, self.headers)
            answer = self.connection.getresponse()
            said = answer.read()
            if answer.status != 200:
                raise SystemExit(said.decode())
        self.took.setdefault(name, []).append((self._spent() - before) / 1e6 / len(bodies))

    def _spent(self) -> int:
        """Return the nanoseconds of all its threads; cpu_times() counts hundredths of a second."""
        return sum(int(one.read_text().split()[0]) for one in Path(f"/proc/{self.pid}/task").glob("*/schedstat"))


@contextmanager
def served(checkout: Path, url: str, key: str | None) -> Iterator[Web]:
    """Start the web process of a checkout."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "IMGSEARCH_DATABASE_URL": url, "IMGSEARCH_HOME": home}
        environment |= {"PYTHONPATH": f"{checkout}:{checkout / 'workers'}", "IMGSEARCH_HTTP_RATE": "100000"}
        environment |= {"IMGSEARCH_HTTP_KEYS": "required"} if key else {}
        command = [sys.executable, "-m", "imgsearch.flask", "--bind", "127.0.0.1:0"]
        with subprocess.Popen(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                port = int(re.search(r":(\d+)", process.stdout.readline())[1])  # type: ignore[index]
                headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
                yield Web(process.pid, HTTPConnection("127.0.0.1", port, timeout=30), headers)
            finally:
                process.terminate()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the milliseconds of processor time a search costs each web process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--against", type=Path, action="append", default=[], help="another checkout")
    parser.add_argument("--rounds", type=int, default=20, help=f"blocks of {BLOCK} requests (default 20)")
    parser.add_argument("--key", action="store_true", help="ask with the key of a tenant")
    given = parser.parse_args(arguments)
    checkouts = [one.resolve() for one in given.against] + [HERE]
    with ExitStack() as stack:
        connection = stack.enter_context(psycopg.connect(given.database_url, autocommit=True))
        tenant = connection.execute(
            "SELECT tenant_id FROM imgsearch.image GROUP BY 1 ORDER BY count(*) DESC"
        ).fetchone()
        assert tenant is not None
        key = api_keys.create(connection, tenant=tenant[0], scope="search") if given.key else None
        texts = http.teach(given.database_url)
        connection.execute(_THEIRS, [tenant[0]])
        stack.callback(http.unteach, given.database_url, texts)
        webs = [stack.enter_context(served(one, given.database_url, key)) for one in checkouts]
        for name, more in WAYS.items():
            asked = itertools.cycle(one.body for one in http.searches(texts, 10, {name: more}))
            blocks = [[next(asked) for _ in range(BLOCK)] for _ in range(given.rounds)]
            for web in webs:
                web.ask(blocks[0], "warm")
            for block in blocks:
                for web in webs:
                    web.ask(block, name)
        for web in webs:
            web.connection.close()
    found = {
        str(checkout): {name: round(statistics.mean(web.took[name]), 3) for name in WAYS}
        for checkout, web in zip(checkouts, webs, strict=True)
    }
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
