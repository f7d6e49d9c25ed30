"""Through a real PgBouncer: does each door answer, and what do sessions keep? `python -m bench.poolers`.

In transaction mode: upgrades at once, 80 questions at each door from four threads with commits, 1,000 searches of 50
tenants behind row-level security, and what a shop's own sessions find afterwards. PGBOUNCER names another program.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import create_engine, select, update
from sqlalchemy.orm import Session

from bench import bouncer, previous
from bench.home import fresh_home
from bench.soak import pictures
from imgsearch import Image, ImageId, db, nearest, resolve, search
from imgsearch.dev import embedded
from imgsearch.dev.testing import FAKE, FakeEncoder, embed
from imgsearch.flask import create_app
from imgsearch.http.sessions import Sessions
from imgsearch.ingest import upload
from imgsearch.settings import Settings, load_settings
from imgsearch.spaces.space import ensure

MANY, THREADS, TENANTS, SEARCHES, SESSIONS = 80, 4, 50, 1000, 8
SETTINGS = "statement_timeout,plan_cache_mode,idle_in_transaction_session_timeout,maintenance_work_mem,role,search_path"


def main() -> None:
    """Run it and print the figures."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    if bouncer.PROGRAM is None:
        sys.exit("PgBouncer is not here: apt-get install pgbouncer, or PGBOUNCER=/path/to/it")
    with fresh_home("poolers-") as home:
        servers = embedded.start(home, memory_mb=1024)
        values = {"HOME": str(home), "STORAGE_URL": (home / "store").as_uri(), "MODEL": FAKE}
        direct = load_settings({**values, "DATABASE_URL": servers.database_url}, environ={})
        with bouncer.before(servers.database_url, home, sessions=SESSIONS) as url:
            pooled = load_settings({**values, "DATABASE_URL": url}, environ={})
            print(json.dumps(run(direct, pooled, home), indent=1))


def run(direct: Settings, pooled: Settings, home: Path) -> dict[str, Any]:
    """Return the figures."""
    figures: dict[str, Any] = {"pgbouncer": ".".join(map(str, bouncer.version()))}
    figures["six upgrades at once, through"] = _upgrades(pooled)
    figures["and six directly, afterwards"] = _upgrades(direct)
    _fill(direct)
    before = _left_behind(pooled)
    with _worker(pooled, home / "worker.log"):
        doors = {"SQLAlchemy": _sqlalchemy(pooled), "Django": _django(pooled), "HTTP": _http(pooled)}
        for name, ask in doors.items():
            figures[name] = dict(_at_once(ask, MANY, THREADS))
    figures["searches of 50 tenants"] = _tenants(pooled)
    after = _left_behind(pooled)
    return figures | {"left in sessions": [list(one) for one in sorted(set(after) - set(before))]}


def _at_once(ask: Callable[[int], Any], many: int, threads: int) -> Counter[str]:
    def tried(number: int) -> str:
        try:
            return str(ask(number))
        except Exception as error:  # noqa: BLE001 - every failure counts
            return f"{type(error).__name__}: {error}"[:200]

    with ThreadPoolExecutor(threads) as pool:
        return Counter(pool.map(tried, range(many)))


def _upgrades(settings: Settings) -> dict[str, Any]:
    began = time.monotonic()
    environment = previous.environment(previous.ROOT, settings)

    def upgrade(_: int) -> str:
        command = [sys.executable, "-m", "imgsearch", "db", "upgrade"]
        done = subprocess.run(
            command, cwd=previous.ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        return "ok" if done.returncode == 0 else done.stderr[-300:]

    return dict(_at_once(upgrade, 6, 6)) | {"seconds": round(time.monotonic() - began, 1)}


def _fill(settings: Settings) -> None:
    store = upload.open_store(settings.storage_url)
    with db.connect(settings, autocommit=True) as connection:
        ensure(connection, FakeEncoder().describe())
        for number in range(TENANTS * 4):
            upload.add(
                connection, pictures.draw(number), product_id=f"p{number}", tenant=f"t{number % TENANTS}", store=store
            )
        embed(connection)


@contextmanager
def _worker(settings: Settings, log: Path) -> Iterator[None]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "imgsearch_workers", "--queue", "queries"],
            cwd=previous.ROOT,
            env=previous.environment(previous.ROOT, settings),
            stdout=output,
            stderr=output,
        )
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"the worker ended: {log.read_text()[-2000:]}")
    finally:
        process.kill()
        process.wait(20)


def _sqlalchemy(settings: Settings) -> Callable[[int], str]:
    engine = create_engine(settings.database_url.replace("postgresql://", "postgresql+psycopg://", 1))

    def ask(number: int) -> str:
        with Session(engine) as session:
            rows = session.execute(nearest(select(Image), resolve(session, f"shoe {number % 10}"), limit=5)).all()
            session.commit()
            found = search(session, resolve(session, f"shoe {number % 10}"), k=5)
            session.execute(update(Image).where(Image.image_id == number + 1).values(price=number))
            session.commit()
        return "ok" if len(rows) == len(found) == 5 else "a short page"

    return ask


def _django(settings: Settings) -> Callable[[int], str]:
    import django
    from django.conf import settings as project
    from psycopg.conninfo import conninfo_to_dict

    given = conninfo_to_dict(settings.database_url)
    server = {"NAME": given["dbname"], "USER": given["user"], "HOST": given["host"], "PORT": given["port"]}
    project.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **server}},
        INSTALLED_APPS=["django.contrib.contenttypes", "imgsearch.django"],
        IMGSEARCH={"STORAGE_URL": settings.storage_url},
        USE_TZ=True,
    )
    django.setup()
    from django.db import connection, transaction

    from imgsearch.django import image_search
    from imgsearch.django.models import Image as Picture

    def ask(number: int) -> str:
        try:
            with transaction.atomic():
                rows = list(image_search(Picture.objects.all()).similar_to(f"hat {number % 10}")[:5])
                Picture.objects.filter(image_id=number + 1).update(price=number)
            return "ok" if len(rows) == 5 else "a short page"
        finally:
            connection.close()

    return ask


def _http(settings: Settings) -> Callable[[int], str]:
    app = create_app({**settings.environment(), "IMGSEARCH_HTTP_THREADS": "32"}, allow_anonymous=True)

    def ask(number: int) -> str:
        answer = app.test_client().post("/v1/search", json={"text": f"bag {number % 10}", "k": 5})
        return "ok" if answer.status_code == 200 else f"{answer.status_code} {answer.get_json()['code']}"

    return ask


def _tenants(settings: Settings) -> dict[str, int]:
    """Search for what looks like a picture, without saying whose: row-level security alone tells."""
    sessions = Sessions(lambda: settings.database_url)
    found: Counter[str] = Counter({"searches": 0, "rows": 0, "foreign rows": 0, "short pages": 0})

    def ask(number: int) -> tuple[int, int]:
        tenant = f"t{number % TENANTS}"
        with sessions.session(tenant, writes=False, patience=60) as connection:
            hits = search(connection, ImageId(number % TENANTS + 1), k=10)
            return len(hits), sum(hit.tenant_id != tenant for hit in hits)

    with ThreadPoolExecutor(2 * SESSIONS) as pool:
        for rows, foreign in pool.map(ask, range(SEARCHES)):
            found.update({"searches": 1, "rows": rows, "foreign rows": foreign, "short pages": int(rows != 4)})
    sessions.close()
    return dict(found)


def _left_behind(settings: Settings) -> list[tuple[str, ...]]:
    """Return what the pool's sessions hold, as a shop that comes through it finds them."""
    names = SETTINGS.split(",")
    statement = "SELECT array_agg(current_setting(n) ORDER BY n) || ARRAY[current_setting('imgsearch.tenant', true),"
    statement += " (SELECT count(*)::text FROM pg_prepared_statements), (SELECT count(*)::text FROM pg_locks"
    statement += " WHERE locktype = 'advisory')] FROM unnest(%s::text[]) n, pg_sleep(0.02)"

    def one(_: int) -> tuple[str, ...]:
        with psycopg.connect(settings.database_url, prepare_threshold=None) as shop:
            row = shop.execute(statement.encode(), (names,)).fetchone()
            return tuple(value or "" for value in row[0]) if row else ()

    with ThreadPoolExecutor(SESSIONS) as pool:
        return list(pool.map(one, range(4 * SESSIONS)))


if __name__ == "__main__":
    main()
