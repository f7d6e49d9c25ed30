"""How many statements a search is for the server, and how long it plans and executes: Django, SQLAlchemy, asyncio.

    python -m bench.statements [--products 3000]

Counted in the server's own log (log_min_duration_statement = 0), which also sees what goes past a framework's own
count. The ranked statement is then explained on the same connection: the planner's and the executor's own times.
"""

from __future__ import annotations

import argparse
import re
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier

from bench import statements_doors as doors
from imgsearch import schema
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.ingest import queue
from imgsearch.ingest.queue import Delivery
from imgsearch.query import cache
from imgsearch.settings import Settings, load_settings
from imgsearch.spaces.space import ensure

HOME = Path(__file__).parent / "out/statements"
NAME = "statements"
TRIES = 20
# What is said in a row of the log: simple statements, and the execution of prepared ones.
_RAN = re.compile(r"duration: [\d.]+ ms  (?:statement|execute [^:]*): (.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Counted:
    """One way to ask through one door: statements for the server, and the ranked one's times in ms."""

    door: str
    asked: str
    first: int
    again: int
    planning: float
    execution: float


def main() -> None:
    """Fill a database, ask through every door, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=3000)
    given = parser.parse_args()
    servers = embedded.start(HOME)
    try:
        with _database(servers) as settings:
            _fill(settings, given.products)
            rows = list(_measured(settings))
    finally:
        embedded.stop(HOME)
    print("| door | asked by | statements, first | again | planning, ms | execution, ms |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row.door} | {row.asked} | {row.first} | {row.again} | {row.planning:.1f} | {row.execution:.1f} |")


@contextmanager
def _database(servers: embedded.Servers) -> Iterator[Settings]:
    name = Identifier(NAME)
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        admin.execute(SQL("CREATE DATABASE {}").format(name))
        url = servers.database_url.replace("/imgsearch?", f"/{NAME}?", 1)
        settings = load_settings(
            {"DATABASE_URL": url, "HOME": str(HOME), "STORAGE_URL": (HOME / "pictures").as_uri()}, environ={}
        )
        schema.upgrade(settings)
        admin.execute(SQL("ALTER DATABASE {} SET log_min_duration_statement = 0").format(name))
        yield settings


def _fill(settings: Settings, products: int) -> None:
    """A shop of products with one picture each, attached; vectors, and the answers to what is asked, are drawn."""
    encoder = FakeEncoder()
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        connection.execute("SET log_min_duration_statement = -1")
        space = ensure(connection, encoder.describe())
        connection.execute("CREATE TABLE product (id int PRIMARY KEY, price float8 NOT NULL, photo text NOT NULL)")
        connection.execute("SELECT imgsearch.attach('product', key => 'id', image => 'photo', price => 'price')")
        connection.execute(
            "INSERT INTO product SELECT n, n %% 100, 'https://x.example/' || n FROM generate_series(1, %s) n",
            (products,),
        )
        while claims := queue.claim(connection, worker="bench", limit=500, lease_seconds=60):
            vectors = encoder.embed_texts([str(claim.image_id) for claim in claims])
            made = [Delivery(claim=c, sha256=bytes(32), embedding=v) for c, v in zip(claims, vectors, strict=True)]
            queue.deliver(connection, space.space_id, made)
        for question in (cache.of_text(doors.WORDS), cache.of_picture(doors.PHOTO)):
            cache.ask(connection, question)
            [asked] = cache.claim(connection, space.space_id, 1)
            cache.answer(connection, space.space_id, asked, encoder.embed_texts(["any"])[0])
        connection.execute("ANALYZE")


def _measured(settings: Settings) -> Iterator[Counted]:
    for door in (doors.Django, doors.Alchemy, doors.Asyncio):
        opened = door(settings)
        for asked in door.asked:
            first, again = (_count(lambda: opened.ask(asked)) for _ in range(2))  # noqa: B023 # called at once
            times = [opened.explain(asked) for _ in range(TRIES)]
            planning, execution = (statistics.median(column) for column in zip(*times, strict=True))
            yield Counted(
                door=opened.name, asked=asked, first=first, again=again, planning=planning, execution=execution
            )
        opened.close()


def _count(ask: Callable[[], int]) -> int:
    """Return how many statements the server ran meanwhile, transaction control left out."""
    log = HOME / "log/postgres.log"
    before = log.stat().st_size
    assert ask() > 0
    with log.open("rb") as file:
        file.seek(before)
        said = file.read().decode()
    ran = [found[1] for line in re.split(r"\n(?=\d{4}-)", said) if (found := _RAN.search(line))]
    return sum(not re.match(r"\s*(BEGIN|COMMIT|ROLLBACK|SET|SHOW)\b", text, re.IGNORECASE) for text in ran)


if __name__ == "__main__":
    main()
