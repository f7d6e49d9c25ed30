"""On a real standby: known questions at each door, new ones by way of the primary, refusals with their cure."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session

from bench.soak import pictures
from bench.standby import Standby, standby
from imgsearch import Image, db, errors, nearest, resolve, schema
from imgsearch.db.sqlstate import translated
from imgsearch.dev.embedded.wheel import programs
from imgsearch.dev.testing import embed
from imgsearch.flask import create_app
from imgsearch.ingest import upload
from imgsearch.ops import route
from imgsearch.query.memory import forget_answers
from imgsearch.settings import Settings, process_settings
from imgsearch.spaces.space import Space
from imgsearch.storage import open_store
from tests import own_server
from tests.answering import answering, seen
from tests.conftest import behind, with_settings
from tests.places import made_folder
from tests.processes import eventually
from tests.terminal import Run

pytestmark = pytest.mark.skipif(bool(own_server.URL), reason="copies the files of the embedded server")
Connection = psycopg.Connection[Any]
KNOWN, CURE = "red shoe", "set IMGSEARCH_PRIMARY_URL to the server that may be written to"


@pytest.fixture
def shop(connection: Connection, settings: Settings, space: Space) -> Connection:
    """Ten pictures, and one text that was asked."""
    store = open_store(settings.storage_url)
    for number in range(10):
        upload.add(connection, pictures.draw(number), product_id=f"p{number}", tenant="acme", store=store)
    embed(connection, texts=[KNOWN])
    return connection


@pytest.fixture
def follower(shop: Connection, settings: Settings) -> Iterator[Standby]:
    with standby(settings.database_url) as made:
        yield made


@pytest.fixture
def alone(follower: Standby, settings: Settings) -> Settings:
    """The standby, and nobody who takes writes."""
    forget_answers()
    return with_settings(settings, DATABASE_URL=follower.copy_of(settings.database_url))


@pytest.fixture
def beside(alone: Settings, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The standby, and the primary for what is new, as this process has it from its environment."""
    monkeypatch.setenv("IMGSEARCH_PRIMARY_URL", settings.database_url)
    process_settings.cache_clear()
    return with_settings(alone, PRIMARY_URL=settings.database_url)


def engine(url: str) -> Engine:
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))


def asked_over_http(settings: Settings, text: str) -> Any:
    app = create_app(settings.environment(), allow_anonymous=True)
    try:
        return app.test_client().post("/v1/search", json={"text": text, "k": 3})
    finally:
        app.extensions["imgsearch"].close()


def test_what_was_asked_before_is_answered_at_each_door(alone: Settings, run: Run) -> None:
    done = run("search", KNOWN, "--json", **alone.environment())
    assert done.code == 0, done
    assert len(done.document["rows"]) == 10
    answer = asked_over_http(alone, KNOWN)
    assert (answer.status_code, len(answer.get_json()["rows"])) == (200, 3)
    with db.connect(alone, autocommit=True) as here:
        rows = here.execute("SELECT * FROM imgsearch.search('red shoe')").fetchall()
        assert len(rows) == 10
        ordered = "SELECT image_id FROM imgsearch.images ORDER BY imgsearch.distance(embedding, 'red shoe') LIMIT 3"
        assert len(here.execute(ordered).fetchall()) == 3
        assert len(here.execute("SELECT * FROM imgsearch.search(imgsearch.vec_of(1))").fetchall()) == 10
    with Session(engine(alone.database_url)) as session:
        assert len(session.execute(nearest(select(Image), resolve(session, KNOWN), limit=5)).all()) == 5


def test_a_new_text_goes_to_the_primary(
    beside: Settings, settings: Settings, space: Space, run: Run, follower: Standby
) -> None:
    with answering(settings, space) as asked:
        assert len(run("search", "green hat", "--json", **beside.environment()).document["rows"]) == 10
        assert asked_over_http(beside, "blue hat").status_code == 200
        with db.connect(beside) as here:
            assert resolve(here, "white hat").source == "worker"
        assert [one.query for one in asked] == ["green hat", "blue hat", "white hat"]
    follower.catch_up()
    forget_answers()
    with db.connect(beside) as here:
        assert resolve(here, "white hat").source == "database", "the answer has followed"


def test_a_session_bound_to_two_servers_reads_here_and_writes_there(
    beside: Settings, settings: Settings, space: Space, follower: Standby
) -> None:
    primary, replica = engine(settings.database_url), engine(beside.database_url)

    class Routed(Session):
        def get_bind(self, *_: Any, **__: Any) -> Engine:
            return primary if self.info.get("writes") else replica

    with answering(settings, space), Routed() as session:
        found = session.execute(nearest(select(Image), resolve(session, "yellow hat"), limit=3)).all()
        assert len(found) == 3
        assert session.connection().engine is replica
    store = open_store(settings.storage_url)
    with Routed(info={"writes": True}) as session:
        upload.add(session, pictures.draw(77), product_id="new", tenant="acme", store=store)
        session.commit()
    follower.catch_up()
    with Routed() as session:
        assert session.scalars(select(Image.product_id).where(Image.product_id == "new")).all() == ["new"]


def test_without_a_primary_each_door_says_which_setting_is_missing(
    alone: Settings, run: Run, shop: Connection, space: Space, follower: Standby, environment: dict[str, str]
) -> None:
    seen(shop, space)
    follower.catch_up()
    done = run("search", "green hat", **alone.environment())
    assert (done.code, CURE in " ".join(done.err.split())) == (5, True), done
    answer = asked_over_http(alone, "green hat")
    assert (answer.status_code, answer.get_json()["code"]) == (503, "read_only_database")
    assert CURE in answer.get_json()["detail"]
    with db.connect(alone) as here, pytest.raises(errors.ReadOnlyDatabase, match=CURE):
        resolve(here, "green hat")
    worker = subprocess.run(
        [sys.executable, "-m", "imgsearch_workers"],
        env=environment | alone.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (worker.returncode, CURE in worker.stderr, "Traceback" in worker.stderr) == (5, True, False), worker.stderr
    for command in (("requeue",), ("key", "create", "--tenant", "acme")):
        done = run(*command, **alone.environment())
        assert (done.code, "Traceback" in done.err) == (5, False), (command, done)
        assert CURE in " ".join(done.err.split()), (command, done.err)


def test_sql_on_a_replica_says_where_to_ask(alone: Settings) -> None:
    there = "This is a replica; on the primary: CALL imgsearch.embed"
    with db.connect(alone, autocommit=True) as here:
        for statement in ("SELECT imgsearch.vec('never')", "SELECT imgsearch.vec('never', '1')"):
            with pytest.raises(psycopg.Error) as refused:
                here.execute(statement.encode())
            assert refused.value.diag.message_hint is not None
            assert refused.value.diag.message_hint.startswith(there)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="this is a replica"):
            here.execute("CALL imgsearch.embed('never')")


def test_a_replica_that_is_behind_is_told_and_answers_as_it_was(
    beside: Settings, shop: Connection, follower: Standby, run: Run
) -> None:
    follower.catch_up()
    names = lambda: [one.check_name for one in route.examine(beside, patience=0.2)]  # noqa: E731
    assert names() == []
    with follower.connect() as here:
        here.execute("SELECT pg_wal_replay_pause()")
        eventually(lambda: here.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() == ("paused",))
        shop.execute("DELETE FROM imgsearch.image WHERE product_id = 'p1'")
        [found] = route.examine(beside, patience=0.2)
        assert (found.check_name, found.fix) == ("replica behind", "SELECT pg_wal_replay_resume();")
        assert "are left" in found.detail
        assert "replica behind" in run("doctor", **beside.environment()).out
        assert len(run("search", KNOWN, "--json", **beside.environment()).document["rows"]) == 10
        here.execute(found.fix.encode())
    follower.catch_up()
    assert names() == []
    assert len(run("search", KNOWN, "--json", **beside.environment()).document["rows"]) == 9


def test_a_replica_that_has_not_got_an_upgrade_yet_is_not_told_to_run_one(
    alone: Settings, settings: Settings, follower: Standby, run: Run
) -> None:
    behind(settings)
    follower.catch_up()
    with db.connect(alone) as here, pytest.raises(errors.SchemaBehind, match="on the primary, which this replica"):
        schema.check(here)
    done = run("db", "upgrade", **alone.environment())
    assert (done.code, CURE in " ".join(done.err.split())) == (5, True), done


def test_the_doctor_knows_the_way(alone: Settings, settings: Settings, beside: Settings) -> None:
    def names(known: Settings) -> list[str]:
        return [one.check_name for one in route.examine(known, patience=2)]

    assert names(settings) == []
    assert names(alone) == ["replica without primary"]
    assert names(with_settings(alone, PRIMARY_URL=alone.database_url)) == ["primary only reads"]
    nowhere = with_settings(alone, PRIMARY_URL="postgresql://nobody@127.0.0.1:1/x")
    [found] = route.examine(nowhere)
    assert found.check_name == "primary unreachable"
    with db.connect(nowhere) as here, pytest.raises(errors.DatabaseUnreachable, match="Check IMGSEARCH_PRIMARY_URL"):
        resolve(here, "green hat", primary=nowhere.primary_url)


def test_a_search_that_the_replica_ends_for_what_it_has_to_replay_is_told_to_try_again(
    alone: Settings, shop: Connection, follower: Standby
) -> None:
    with follower.connect() as here:
        here.execute("ALTER SYSTEM SET max_standby_streaming_delay = 0")
        here.execute("SELECT pg_reload_conf()")
    follower.catch_up()

    def count() -> None:
        with translated():
            here.execute("SELECT count(*) FROM imgsearch.image")

    with db.connect(alone) as here:
        here.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        count()
        shop.execute("DELETE FROM imgsearch.image WHERE product_id = 'p2'")
        shop.execute("VACUUM imgsearch.image")
        with pytest.raises(errors.DatabaseUnreachable, match="Try again"):
            eventually(count, 30)


def test_a_replica_without_the_pgvector_of_its_primary_says_so(
    shop: Connection, settings: Settings, tmp_path: Path
) -> None:
    own = programs(tmp_path)
    root = made_folder("imgs-pg-")
    try:
        shutil.copytree(own.home.parent, root / "pg", symlinks=True)
        for library in (root / "pg").rglob("vector.so"):
            library.unlink()
        with standby(settings.database_url, tools=replace(own, home=root / "pg/bin")) as follower:
            lacking = with_settings(settings, DATABASE_URL=follower.copy_of(settings.database_url))
            forget_answers()
            answer = asked_over_http(lacking, KNOWN)
            assert (answer.status_code, answer.get_json()["code"]) == (503, "extension_missing")
            with db.connect(lacking) as here, pytest.raises(errors.ExtensionMissing, match="as on the primary"):
                resolve(here, KNOWN)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def test_json_of_the_doctor_says_what_a_replica_lacks(alone: Settings, run: Run) -> None:
    done = run("doctor", "--json", **alone.environment())
    assert done.code == 1
    assert "replica without primary" in {one["check_name"] for one in json.loads(done.out)["findings"]}
