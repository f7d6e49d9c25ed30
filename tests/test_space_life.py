"""A space from its beginning to its end, on the command line, with real workers, while nobody waits for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench.soak import pictures
from imgsearch import db, search
from imgsearch.dev.testing import FAKE, OTHER
from imgsearch.errors import SpaceBusy, SpaceNotFull, SpaceTaken, UnknownSpace, UsageError
from imgsearch.ingest import upload
from imgsearch.ops import lifecycle
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.conftest import with_settings
from tests.loops import activate_another, add_another
from tests.processes import WorkerProcess, eventually
from tests.terminal import Run

Connection = psycopg.Connection[Any]
MANY = 60


@pytest.fixture
def both(settings: Settings) -> Settings:
    """Settings under which either of the two models may be loaded."""
    return with_settings(settings, MODEL=f"{FAKE},{OTHER}")


@pytest.fixture
def around(both: Settings) -> dict[str, str]:
    keep = {key: value for key, value in os.environ.items() if not key.startswith("IMGSEARCH_")}
    return keep | both.environment()


@pytest.fixture
def filled(both: Settings, around: dict[str, str], tmp_path: Path) -> Iterator[WorkerProcess]:
    """A worker of the first space, which has embedded what there is."""
    with WorkerProcess(both, around, tmp_path / "first.log") as worker, db.connect(both, autocommit=True) as connection:
        store = upload.open_store(both.storage_url)
        for number in range(MANY):
            upload.add(connection, pictures.draw(number), product_id=f"p{number}", tenant="acme", store=store)
        eventually(lambda: ready(connection) == MANY, what="the first space")
        yield worker


def ready(connection: Connection) -> int:
    row = connection.execute("SELECT ready FROM imgsearch.status").fetchone()
    return 0 if row is None else int(row[0])


def broken(connection: Connection) -> list[Any]:
    return connection.execute("SELECT * FROM imgsearch.violations").fetchall()


def test_a_model_is_changed_and_changed_back(
    both: Settings, around: dict[str, str], filled: WorkerProcess, connection: Connection, tmp_path: Path, run: Run
) -> None:
    cost = json.loads(run("space", "add", OTHER, "--dry-run", "--json", **both.environment()).out)
    assert (cost["pictures"], cost["rate"] > 0, cost["hours"] > 0, cost["disk"] > MANY * 2 * 192) == (MANY, *[True] * 3)
    assert len(lifecycle.listed(connection)) == 1, "a dry run makes nothing"
    made = run("space", "add", OTHER, "--name", "new", **both.environment())
    assert "imgsearch space fill new" in made.out, made.err
    assert "by this very model" in run("space", "add", OTHER, **both.environment()).err
    with pytest.raises(SpaceNotFull, match=f"{MANY} images that are found now would not be found"):
        lifecycle.activate(connection, "new", wait=0)
    before = search(connection, "red shoe", tenant="acme")
    with WorkerProcess(both, around, tmp_path / "second.log", "both", "--space", "new"):
        done = run("space", "fill", "new", "--json", **both.environment())
        assert json.loads(done.out)["embedded"] == MANY, done.err
        assert json.loads(done.out)["built"], "its indexes"
        assert broken(connection) == []
        assert "new" in run("space", "list", **both.environment()).out
        one = run("search", "--image-id", 1, "--space", "new", "--json", **both.environment())
        assert (one.code, len(one.document["rows"])) == (0, 10), one.err
        tried = run("search", "red shoe", "--space", "new", "--json", **both.environment())
        assert (tried.code, len(tried.document["rows"])) == (0, 10), tried.err
        assert run("space", "activate", "new", **both.environment()).code == 0
        after = search(connection, "red shoe", tenant="acme")
        assert (len(before), len(after)) == (10, 10)
        assert [hit.distance for hit in before] != [hit.distance for hit in after], "another model answers"
        store = upload.open_store(both.storage_url)
        upload.add(connection, pictures.draw(MANY), product_id="late", tenant="acme", store=store)
        eventually(
            lambda: {row["embedded"] for row in lifecycle.listed(connection)} == {MANY + 1}, what="both kept in step"
        )
        assert run("space", "rollback", **both.environment()).out.startswith("The space fakeencoder is searched again")
        again = search(connection, "red shoe", tenant="acme")
        assert len(again) == 10
        assert run("space", "drop", "fakeencoder", "--yes", **both.environment()).code == 2, "the searched one"
        asked = run("space", "drop", "new", **both.environment())
        assert asked.code == 2, "nobody is there to say yes"
        assert f"The {MANY + 1} vectors of the space new" in asked.err
        assert "say --yes" in asked.err
        assert run("space", "drop", "new", "--yes", **both.environment()).code == 0
        assert run("space", "rollback", **both.environment()).code == 4, "there is no way back"
    assert broken(connection) == []
    assert connection.execute("SELECT count(*) FROM imgsearch.job").fetchone() == (0,)


def test_a_fill_that_is_killed_goes_on_and_a_second_one_is_refused(
    both: Settings, around: dict[str, str], filled: WorkerProcess, connection: Connection, tmp_path: Path
) -> None:
    add_other(both, connection)
    command = [sys.executable, "-m", "imgsearch", "space", "fill", "new"]
    filling = subprocess.Popen(command, env=around, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: waiting(connection) == MANY, what="the queue of the new space")
    with pytest.raises(SpaceBusy, match="being filled by another session"):
        lifecycle.fill(both, "new")
    filling.send_signal(signal.SIGKILL)
    filling.wait(20)
    with WorkerProcess(both, around, tmp_path / "second.log", "images", "--space", "new") as worker:
        eventually(lambda: waiting(connection) < MANY, what="the first of them")
        worker.end(signal.SIGKILL)
    with WorkerProcess(
        with_settings(both, LEASE_SECONDS="2"), around, tmp_path / "third.log", "images", "--space", "new"
    ):
        eventually(lambda: not busy(connection), what="the end of the session that was killed")
        done = lifecycle.fill(both, "new")
    assert (done.embedded, done.failed, broken(connection)) == (MANY, 0, [])


def test_one_worker_holds_both_models_and_reads_each_picture_once(
    both: Settings, around: dict[str, str], filled: WorkerProcess, connection: Connection, tmp_path: Path
) -> None:
    add_other(both, connection)
    filled.end()
    log = tmp_path / "all.log"
    with WorkerProcess(both, around, log, "images", "--space", "all"):
        assert lifecycle.fill(both, "new", share=0.0).embedded == MANY
        store = upload.open_store(both.storage_url)
        upload.add(connection, pictures.draw(MANY), product_id="late", tenant="acme", store=store)
        eventually(lambda: {row["embedded"] for row in lifecycle.listed(connection)} == {MANY + 1}, what="both")
        seen = connection.execute("SELECT count(*) FROM imgsearch.worker WHERE name LIKE 'images%'").fetchone()
        assert seen == (2,), "a sign of life for each space"
    assert broken(connection) == []


def test_names_that_are_taken_unknown_or_no_names(connection: Connection, space: Space) -> None:
    add_another(connection)
    with pytest.raises(SpaceTaken, match="there is a space 'other' already"):
        add_another(connection)
    with pytest.raises(UnknownSpace, match="There are: fakeencoder, other"):
        lifecycle.activate(connection, "nine")
    with pytest.raises(UnknownSpace, match="no space stands by"):
        lifecycle.rollback(connection)
    with pytest.raises(UsageError, match="is the searched one"):
        lifecycle.drop(connection, "fakeencoder")
    for name in ("a b", "a,b", "7", "all", "Big", ""):
        with pytest.raises(UsageError, match=f"'{name}' cannot be the name of a space.*Small letters"):
            add_another(connection, name)


def test_what_is_forced_says_what_is_lost(connection: Connection, space: Space, settings: Settings) -> None:
    add_another(connection)
    with pytest.raises(UsageError, match="the searched one"):
        lifecycle.drop(connection, space.name)
    activate = "SELECT imgsearch.activate_space('other')"
    connection.execute(activate)
    assert lifecycle.rollback(connection) == space.name


def test_an_activation_that_cannot_be_had_leaves_everything_as_it_was(
    connection: Connection, space: Space, settings: Settings
) -> None:
    add_another(connection)
    connection.execute("SET imgsearch.lock_patience = '1s'")
    with db.connect(settings) as searching:
        searching.execute("SELECT count(*) FROM imgsearch.vectors")
        with pytest.raises(SpaceBusy, match=f"process {searching.info.backend_pid}"):
            lifecycle.activate(connection, "other")
    assert connection.execute("SELECT imgsearch_internal.searched_space()").fetchone() == (space.space_id,)
    lifecycle.activate(connection, "other")


def test_an_index_whose_build_was_cut_off_is_dropped_and_built_again(
    connection: Connection, space: Space, settings: Settings
) -> None:
    from imgsearch.ops import maintenance

    new = add_another(connection)
    with db.connect(settings) as old, db.connect(settings, autocommit=True) as builder:
        old.execute("SELECT txid_current()")
        old.execute("SELECT count(*) FROM imgsearch.image")  # a build waits for the end of this transaction
        failed: list[BaseException] = []

        def build() -> None:
            try:
                builder.execute("CREATE INDEX CONCURRENTLY image_bits_2 ON imgsearch.image (bits_2)")
            except psycopg.Error as error:
                failed.append(error)

        old.execute("INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('acme', 'p', 'store:p')")
        thread = threading.Thread(target=build)
        thread.start()
        eventually(
            lambda: connection.execute("SELECT 1 FROM pg_index WHERE NOT indisvalid").fetchone(), what="half an index"
        )
        connection.execute("SELECT pg_terminate_backend(%s)", (builder.info.backend_pid,))
        thread.join()
        assert failed
    found = next(row for row in lifecycle.listed(connection) if row["space_id"] == new)
    assert found["index"] == "invalid"
    assert "image_bits_2" in maintenance.index_space(settings, new)
    assert next(row for row in lifecycle.listed(connection) if row["space_id"] == new)["index"] == "valid"


def test_prepared_statements_and_cached_vectors_go_on(connection: Connection, space: Space) -> None:
    select = "SELECT image_id, embedding FROM imgsearch.images ORDER BY image_id"
    for _ in range(7):
        connection.execute(select, prepare=True)
    activate_another(connection)
    assert connection.execute(select, prepare=True).fetchall() == []


def add_other(both: Settings, connection: Connection) -> int:
    from imgsearch.dev.testing import OtherEncoder
    from imgsearch.spaces import space

    return space.add(connection, OtherEncoder().describe(), name="new")


def waiting(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM imgsearch.job WHERE space_id = 2 AND state <> 'failed'").fetchone()
    return 0 if row is None else int(row[0])


def busy(connection: Connection) -> bool:
    held = (
        "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' "
        "AND classid::bigint = hashtext('imgsearch.filling')::bigint & 4294967295"
    )
    return connection.execute(held).fetchone() is not None
