"""Each step of upkeep is by itself: one that fails is named, kept and told, and all others are done."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from imgsearch_workers.pipeline.lookout import Lookout
from imgsearch_workers.pipeline.tenants import Tenants
from imgsearch_workers.process import tasks

from bench.soak import pictures
from imgsearch.db import sql
from imgsearch.db.all_of import all_of
from imgsearch.errors import DiskFull, StoreDenied
from imgsearch.ingest import upload
from imgsearch.ops import maintenance, tenant_graphs, upkeep
from imgsearch.ops.doctor import CHECKS, examine
from imgsearch.settings import Settings, process_settings
from imgsearch.spaces.space import Space
from imgsearch.storage import open_store
from imgsearch.storage.files import Files
from tests.processes import WorkerProcess, eventually
from tests.terminal import Run

Connection = psycopg.Connection[Any]
# The steps of the minute's sweep by the statement that each runs, in their order.
SWEEP = {
    ("queue", "rescue"): "rescue",
    ("queue", "enqueue_missing"): "enqueue_missing",
    ("queue", "retry_attached"): "retry_attached",
    ("query_cache", "forget"): "forget_questions",
    ("query_cache", "bound"): "bound_questions",
    ("look", "forget"): "forget_looks",
    ("page_session", "sweep"): "sweep_sessions",
    ("maintenance", "refresh_sample"): "refresh_sample",
    ("maintenance", "refresh_vocabulary"): "refresh_vocabulary",
}


@pytest.fixture
def here(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    process_settings.cache_clear()


def failing(connection: Connection) -> list[tuple[str, int]]:
    return connection.execute("SELECT step, times FROM imgsearch.upkeep_failure ORDER BY 1").fetchall()


@pytest.mark.parametrize("statement", SWEEP, ids=SWEEP.values())
@pytest.mark.parametrize("error", [psycopg.errors.RaiseException("no\nmore"), DiskFull(), RuntimeError("a bug")])
def test_a_step_of_the_sweep_that_fails_keeps_none_of_the_others(
    connection: Connection,
    here: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    statement: tuple[str, str],
    error: Exception,
) -> None:
    ran: list[tuple[str, str]] = []
    real = sql.run

    def run(lent: Connection, file: str, name: str, *rest: Any, **options: Any) -> Any:
        ran.append((file, name))
        if (file, name) == statement:
            raise error
        return real(lent, file, name, *rest, **options)

    with monkeypatch.context() as patched:
        patched.setattr(sql, "run", run)
        tasks.sweep()
        assert [one for one in ran if one in SWEEP] == list(SWEEP), "all of them, what rescues work first"
        assert failing(connection) == [(SWEEP[statement], 1)]
        tasks.sweep()
    assert f"{SWEEP[statement]} failed, and comes again: {str(error).partition(chr(10))[0]}" in caplog.text
    tasks.sweep()
    assert failing(connection) == []


def test_a_step_that_fails_again_and_again_is_told_by_doctor_and_status(
    connection: Connection, here: None, run: Run
) -> None:
    connection.execute("ALTER FUNCTION imgsearch.refresh_vocabulary(interval) RENAME TO refresh_nothing")
    for _ in range(2):
        tasks.sweep()
    assert "upkeep fails" not in {finding.check_name for finding in examine(connection)}
    tasks.sweep()
    [told] = [finding for finding in examine(connection) if finding.check_name == "upkeep fails"]
    assert told.severity == "problem"
    assert "refresh_vocabulary failed 3 times in a row" in told.detail
    assert "imgsearch.refresh_vocabulary(unknown) does not exist" in told.detail
    assert "upkeep: refresh_vocabulary failed 3 times in a row" in run("status").out
    assert run("status", "--json").document["upkeep"][0]["step"] == "refresh_vocabulary"
    connection.execute("ALTER FUNCTION imgsearch.refresh_nothing(interval) RENAME TO refresh_vocabulary")
    tasks.sweep()
    assert "upkeep fails" not in {finding.check_name for finding in examine(connection)}


def test_a_step_that_ends_its_connection_keeps_none_of_the_others(connection: Connection, settings: Settings) -> None:
    done: list[str] = []
    steps: dict[str, Callable[[Connection], object]] = {
        "first": lambda lent: lent.execute("SELECT pg_terminate_backend(pg_backend_pid())"),
        "second": lambda lent: done.append(str(lent.execute("SELECT 1").fetchone())),
    }
    assert upkeep.run_each(settings, steps) == ["first"]
    assert done == ["(1,)"]
    assert failing(connection) == [("first", 1)]


def test_no_step_waits_for_ever(connection: Connection, settings: Settings) -> None:
    limits: list[Any] = []
    show = "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"
    upkeep.run_each(settings, {"show": lambda lent: limits.extend(lent.execute(show).fetchall())})
    assert limits == [("10s", "10min")]


def test_the_sweep_of_the_store_is_noted_too(connection: Connection, here: None, tmp_path: Path) -> None:
    upload.add(connection, pictures.draw(1), product_id="p", store=open_store((tmp_path / "pictures").as_uri()))
    connection.execute("ALTER FUNCTION imgsearch_internal.database_id() RENAME TO nobody")
    tasks.sweep_store()
    assert failing(connection) == [("sweep_store", 1)]
    connection.execute("ALTER FUNCTION imgsearch_internal.nobody() RENAME TO database_id")
    tasks.sweep_store()
    assert failing(connection) == []


def test_what_cannot_be_deleted_keeps_nothing_else_in_the_store(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store((tmp_path / "pictures").as_uri())
    upload.add(connection, pictures.draw(0), product_id="p", store=store)
    stuck = store.put(pictures.draw(1)).removeprefix("store:")
    for number in range(2, 20):
        store.put(pictures.draw(number))
    delete = Files.delete_older

    def refuse(files: Files, key: str, *rest: Any) -> bool:
        if key == stuck:
            raise StoreDenied("It refuses us this one.")
        return delete(files, key, *rest)

    monkeypatch.setattr(Files, "delete_older", refuse)
    with pytest.raises(StoreDenied, match="this one"):
        upload.sweep_store(connection, store, older_than=timedelta(0))
    assert len(list(store.keys())) == 2


def test_a_worker_embeds_though_the_net_below_it_fails(
    connection: Connection, settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    """Its own steps of upkeep: what they fail at is no reason to end the loop that embeds."""
    for name in ("imgsearch_internal.enqueue_missing", "imgsearch.retry_attached"):
        [signature] = connection.execute("SELECT oid::regprocedure::text FROM pg_proc WHERE oid = %s::regproc", [name])
        body = connection.execute("SELECT pg_get_functiondef(%s::regproc)", [name]).fetchone()
        assert body
        broken = body[0].partition("\nAS ")[0] + "\nAS $$ BEGIN RAISE EXCEPTION 'the net is torn'; END $$"
        connection.execute(broken.replace("LANGUAGE sql", "LANGUAGE plpgsql"))
        assert signature
    with WorkerProcess(settings, environment, tmp_path / "worker.log", "images") as worker:
        upload.add(connection, pictures.draw(1), product_id="p", settings=settings)
        eventually(lambda: connection.execute("SELECT ready FROM imgsearch.status").fetchone() == (1,), what="a vector")
        assert worker.process.poll() is None
        eventually(lambda: {name for name, _ in failing(connection)} == {"enqueue_missing", "retry_attached"})
    assert "ended; this process ends with it" not in worker.log.read_text()


def test_forgetting_a_tenant_goes_on_behind_a_table_that_cannot_be_emptied(
    connection: Connection, space: Space, settings: Settings
) -> None:
    store = open_store(settings.storage_url)
    upload.add(connection, pictures.draw(1), product_id="p", tenant="acme", title="zebrano", store=store)
    connection.execute(
        "SELECT imgsearch.pin('acme', 'p', query => 'x'), imgsearch.set_shop('acme', keep_questions => true)"
    )
    connection.execute("SELECT imgsearch.refresh_vocabulary()")
    connection.execute("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$")
    tables = [row["name"] for row in sql.rows(connection, "upload", "tables_of_tenants")]
    left = "SELECT count(*) FROM imgsearch.{} WHERE tenant_id = 'acme'"
    connection.execute("CREATE TRIGGER no BEFORE DELETE ON imgsearch.merchandise FOR EACH ROW EXECUTE FUNCTION no()")
    with pytest.raises(psycopg.errors.RaiseException, match="not this one"):
        upload.forget(connection, tenant="acme", store=store)
    filled = {table for table in tables if connection.execute(left.format(table).encode()).fetchone() != (0,)}
    assert filled == {"merchandise"}
    assert not list(store.keys())
    connection.execute("DROP TRIGGER no ON imgsearch.merchandise")
    upload.forget(connection, tenant="acme", store=store)
    assert connection.execute(left.format("merchandise").encode()).fetchone() == (0,)


@pytest.mark.parametrize("view", CHECKS)
def test_a_check_of_the_doctor_that_fails_hides_none_of_the_others(connection: Connection, view: str) -> None:
    connection.execute("UPDATE pg_extension SET extversion = '0.8.3' WHERE extname = 'vector'")
    before = {finding.check_name for finding in examine(connection)}
    assert before >= {"pgvector too old", "no worker seen"}
    connection.execute(f"DROP VIEW imgsearch.doctor; ALTER VIEW imgsearch.{view} RENAME TO gone".encode())
    after = {finding.check_name for finding in examine(connection)}
    assert "check fails" in after
    lost = {"doctor_settings": {"pgvector too old"}, "doctor_work": {"no worker seen"}}.get(view, set())
    assert before - after == lost


def test_the_doctor_reads_every_view_of_the_one_for_people(connection: Connection) -> None:
    [(text,)] = connection.execute("SELECT pg_get_viewdef('imgsearch.doctor'::regclass)").fetchall()
    named = connection.execute("SELECT relname FROM pg_class WHERE relname ~ '^doctor_' AND relkind = 'v'").fetchall()
    assert {row[0] for row in named} == set(CHECKS)
    assert all(f"{view}.check_name" in text for view in CHECKS)


def test_an_index_that_cannot_be_built_keeps_none_of_the_others(
    connection: Connection, space: Space, settings: Settings
) -> None:
    rows = sql.rows(connection, "maintenance", "indexes", {"space_id": space.space_id})
    names = [row["name"] for row in rows if row["relation"] == "image"]
    assert len(names) > 1
    for name in names:
        connection.execute(f"DROP INDEX imgsearch.{name}".encode())
    connection.execute(f"CREATE SEQUENCE imgsearch.{names[0]}".encode())
    with pytest.raises(psycopg.errors.WrongObjectType, match=names[0]):
        maintenance.build(settings)
    left = [
        row["name"]
        for row in sql.rows(connection, "maintenance", "indexes", {"space_id": space.space_id})
        if row["state"] != "valid"
    ]
    assert left == names[:1]


def test_a_tenant_whose_graph_cannot_be_built_keeps_none_of_the_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = [{"tenant_id": name, "doing": "make", "pictures": 9, "idle": True} for name in ("large", "small")]
    built: list[str] = []

    def follow(_: Settings, one: dict[str, Any]) -> list[str]:
        if one["tenant_id"] == "large":
            raise DiskFull
        built.append(one["tenant_id"])
        due.remove(one)
        return built

    def no_orphans(*_: Any) -> None:
        raise psycopg.errors.LockNotAvailable

    monkeypatch.setattr(tenant_graphs, "sweep", no_orphans)
    monkeypatch.setattr(tenant_graphs, "follow", follow)
    monkeypatch.setattr(sql, "rows", lambda *_, **__: due)
    with pytest.raises(psycopg.errors.LockNotAvailable):
        Tenants(settings)._look()
    assert built == ["small"]


def test_a_lookout_notes_what_fails_also_at_a_bug_and_what_succeeds_again() -> None:
    noted: list[str | None] = []
    errors = iter([None, RuntimeError("a bug"), DiskFull("full"), None, None])

    def look() -> None:
        if error := next(errors, None):
            raise error

    lookout = Lookout(
        "test", look, seconds=0.01, failing="again", noted=lambda error: noted.append(error and str(error))
    )
    lookout.start()
    eventually(lambda: len(noted) == 4)
    lookout.stop()
    assert noted == [None, "a bug", "full", None]


def test_all_of_them_have_their_turn_and_the_first_error_is_raised(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    def step(number: int) -> None:
        if number % 2:
            raise ValueError(f"number {number}")
        done.append(number)

    with caplog.at_level(logging.WARNING), pytest.raises(ValueError, match="number 1"):
        all_of(range(5), step)
    assert done == [0, 2, 4]
    assert "3 failed, too: number 3" in caplog.text
