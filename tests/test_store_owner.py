"""No clean-up takes what another database needs: a store knows whose pictures it keeps, and refuses the others."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from imgsearch_workers.process import tasks

from bench.soak import pictures
from imgsearch import db, schema
from imgsearch.errors import StoreDenied, StoreError
from imgsearch.ingest import picture_store, upload
from imgsearch.ops import backup, postgres_programs, shared_store
from imgsearch.settings import Settings, load_settings, process_settings
from imgsearch.storage import Store, open_store, owners
from tests.conftest import copied, with_database, with_settings
from tests.processes import WorkerProcess, eventually
from tests.terminal import Run
from tests.test_store import moto, s3  # noqa: F401  # fixtures

Connection = psycopg.Connection[Any]
NOW = timedelta(0)


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store, of the kinds that several processes can share."""
    if request.param == "file":
        return open_store((tmp_path / "pictures").as_uri())
    opened: Callable[[str], Store] = request.getfixturevalue("s3")
    return opened(f"shared/{tmp_path.name}")


@pytest.fixture
def beside(admin: Connection, settings: Settings, template: str) -> Iterator[Settings]:
    """Another database whose settings name the same store."""
    copied(admin, "beside", template)
    yield with_settings(settings, IMGSEARCH_DATABASE_URL=with_database(settings.database_url, "beside"))
    admin.execute("DROP DATABASE beside WITH (FORCE)")


@pytest.fixture
def other(beside: Settings) -> Iterator[Connection]:
    with db.connect(beside, autocommit=True) as connection:
        yield connection


def holds(store: Store, number: int) -> bool:
    return pictures.draw(number) in {store.get(stored.uri) for stored in store.keys()}  # noqa: SIM118


def age(folder: Path) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))


def test_the_sweep_of_another_database_refuses_and_its_owners_goes_on(
    connection: Connection, other: Connection, store: Store
) -> None:
    upload.add(connection, pictures.draw(1), product_id="p", store=store)
    with pytest.raises(StoreDenied, match=r"database t\d+.*place of its own.*store take-over"):
        upload.sweep_store(other, store, older_than=NOW)
    assert holds(store, 1)
    upload.remove(connection, tenant="default", product_id="p")
    assert upload.sweep_store(connection, store, older_than=NOW).deleted == 1


def test_where_two_databases_put_neither_deletes_what_only_the_other_one_uses(
    connection: Connection, other: Connection, store: Store
) -> None:
    """The same bytes, and bytes of each its own: by sweep, and by forgetting a tenant."""
    for place, own in ((connection, 1), (other, 2)):
        for number in (own, 3):
            upload.add(place, pictures.draw(number), product_id=f"p{number}", tenant="acme", store=store)
    for place in (connection, other):
        with pytest.raises(StoreDenied, match="as well"):
            upload.sweep_store(place, store, older_than=NOW)
        with pytest.raises(StoreDenied, match="as well"):
            upload.forget(place, tenant="acme", store=store)
        assert place.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (0,), (
            "the rows are gone all the same"
        )
    assert all(holds(store, number) for number in (1, 2, 3))


def test_first_puts_at_one_moment_leave_both_marks_and_no_unknown_one(
    connection: Connection, other: Connection, settings: Settings, beside: Settings, store: Store
) -> None:
    def put(number: int) -> None:
        place = settings if number % 2 else beside
        with db.connect(place, autocommit=True) as lent:
            upload.add(lent, pictures.draw(number), product_id=f"p{number}", store=Store(store.objects))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(16)))
    [first] = picture_store.others_of(connection, store)
    [second] = picture_store.others_of(other, store)
    assert {first.id, second.id} == {picture_store.own_store(one, store).owner.id for one in (connection, other)}  # type: ignore[union-attr]


def test_a_store_from_before_the_mark_loses_nothing_until_a_person_says_whose_it_is(
    connection: Connection, other: Connection, store: Store
) -> None:
    uri, orphan = store.put(pictures.draw(1)), store.put(pictures.draw(2))
    connection.execute("INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('acme', 'p', %s)", (uri,))
    for place in (connection, other):
        with pytest.raises(StoreDenied, match="left no mark"):
            upload.sweep_store(place, store, older_than=NOW)
    upload.add(other, pictures.draw(3), product_id="p", store=store)
    with pytest.raises(StoreDenied, match="left no mark"):
        upload.sweep_store(other, store, older_than=NOW)
    assert store.exists(uri)
    assert {owner.id for owner in picture_store.take_over(connection, store)} >= {owners.UNKNOWN}
    assert upload.sweep_store(connection, store, older_than=NOW).deleted == 2
    assert (store.exists(uri), store.exists(orphan)) == (True, False)


def test_a_store_that_was_taken_over_is_swept_by_its_new_owner_alone(
    connection: Connection, other: Connection, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload.add(connection, pictures.draw(1), product_id="p", store=store)
    upload.add(other, pictures.draw(2), product_id="p", store=store)
    assert [owner.database for owner in picture_store.take_over(other, store)] == [connection.info.dbname]
    with pytest.raises(StoreDenied):
        upload.sweep_store(connection, store, older_than=NOW)
    assert upload.sweep_store(other, store, older_than=NOW).deleted == 1
    assert holds(store, 2)
    monkeypatch.setattr(owners, "RENEWED", 0.0)  # ten minutes later
    upload.add(connection, pictures.draw(3), product_id="p3", store=store)
    with pytest.raises(StoreDenied):
        upload.sweep_store(other, store, older_than=NOW)
    assert holds(store, 3), "who was gone and puts again is known again"


@pytest.mark.parametrize("way", ["template", "dump", "new"])
def test_a_copy_of_a_database_is_another_one(
    connection: Connection, admin: Connection, settings: Settings, tmp_path: Path, way: str
) -> None:
    before = picture_store.own_store(connection, open_store(settings.storage_url)).owner
    name, original = f"copy_{way}", connection.info.dbname
    address = with_database(settings.database_url, name)
    if way == "template":
        connection.close()
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {original}".encode())
    else:
        admin.execute(f"CREATE DATABASE {name}".encode())
    if way == "dump":
        major = connection.info.server_version // 10000
        dump = str(tmp_path / "dump")
        postgres_programs.run(
            postgres_programs.find("pg_dump", major), "-Fc", f"--file={dump}", url=settings.database_url
        )
        restored = postgres_programs.find("pg_restore", major)
        postgres_programs.run(restored, f"--dbname={name}", dump, url=address)
    elsewhere = load_settings({"DATABASE_URL": address}, environ={})
    if way == "new":
        schema.upgrade(elsewhere)
    try:
        with db.connect(elsewhere, autocommit=True) as lent:
            after = picture_store.own_store(lent, open_store(settings.storage_url)).owner
        assert before
        assert after
        assert after.id != before.id
    finally:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_every_role_says_the_same_of_one_database(connection: Connection) -> None:
    ids = set()
    for role in ("imgsearch_reader", "imgsearch_writer", "imgsearch_worker", "imgsearch_admin", "none"):
        connection.execute(f"SET ROLE {role}".encode())
        ids |= set(connection.execute("SELECT imgsearch_internal.database_id()").fetchall())
    assert len(ids) == 1


def test_the_worker_marks_what_it_reads_and_sweeps_nothing_of_others(
    connection: Connection,
    other: Connection,
    beside: Settings,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Beside its original, a restored copy has rows that name the original's pictures, and has put none."""
    store = upload.open_store(settings.storage_url)
    upload.add(connection, pictures.draw(1), product_id="p", store=store)
    upload.add(connection, pictures.draw(2), product_id="copied", store=store)
    other.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('default', 'copied', %s)",
        (store.put(pictures.draw(2)),),
    )
    age(tmp_path / "pictures")
    for name, value in beside.environment().items():
        monkeypatch.setenv(name, value)
    process_settings.cache_clear()
    tasks.sweep_store()
    assert "store take-over" in caplog.text
    assert holds(store, 1)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IMGSEARCH_")}
    with WorkerProcess(beside, environment | beside.environment(), tmp_path / "worker.log"):
        upload.remove(connection, tenant="default", product_id="copied")
        eventually(lambda: picture_store.others_of(connection, store))
        with pytest.raises(StoreDenied):
            upload.sweep_store(connection, store, older_than=NOW)
    assert holds(store, 2)


def test_a_backup_holds_the_pictures_of_its_own_database_alone(
    connection: Connection, other: Connection, settings: Settings, folder: Path
) -> None:
    store = upload.open_store(settings.storage_url)
    for place, numbers in ((connection, (1, 2)), (other, (2, 3, 4))):
        for number in numbers:
            upload.add(place, pictures.draw(number), product_id=f"p{number}", store=store)
    for kind, listed in (("copied", "pictures"), ("listed", "pictures.txt")):
        into = folder / kind
        made = backup.take(settings, into, pictures=kind)  # type: ignore[arg-type]
        assert made.objects == 2
        assert (into / listed).exists()
    kept = open_store((folder / "copied" / "pictures").as_uri())
    assert {kept.get(stored.uri) for stored in kept.keys()} == {pictures.draw(1), pictures.draw(2)}  # noqa: SIM118


def test_restore_and_doctor_say_whose_store_it_is_as_well(
    connection: Connection, admin: Connection, settings: Settings, folder: Path, run: Run
) -> None:
    store = upload.open_store(settings.storage_url)
    upload.add(connection, pictures.draw(1), product_id="p1", store=store)
    assert shared_store.examine(connection, settings) == []
    backup.take(settings, folder / "backup")
    admin.execute("CREATE DATABASE restored")
    address = {"IMGSEARCH_DATABASE_URL": with_database(settings.database_url, "restored")}
    try:
        done = run("restore", str(folder / "backup"), **settings.environment() | address)
        assert done.code == 0, done.err
        assert f"the database {connection.info.dbname}" in done.err
        assert "imgsearch store take-over" in done.err
        for values, name in ((address, connection.info.dbname), ({}, "restored")):
            doctor = run("doctor", **settings.environment() | values)
            assert doctor.code == 1
            assert f"picture store shared: the picture store is also that of the database {name}" in doctor.out
        swept = run("store", "sweep", **settings.environment() | address)
        assert swept.code == 5
        taken = run("store", "take-over", **settings.environment())
        assert "no longer belongs to the database restored" in taken.out
        assert run("store", "sweep", **settings.environment()).code == 0
    finally:
        admin.execute("DROP DATABASE restored WITH (FORCE)")


def test_a_copied_store_is_known_as_its_owners(
    connection: Connection, other: Connection, settings: Settings, tmp_path: Path, run: Run
) -> None:
    upload.add(connection, pictures.draw(1), product_id="p", store=upload.open_store(settings.storage_url))
    there = (tmp_path / "moved").as_uri()
    assert run("store", "copy", settings.storage_url, there, **settings.environment()).code == 0
    with pytest.raises(StoreDenied):
        upload.sweep_store(other, open_store(there), older_than=NOW)
    assert upload.sweep_store(connection, open_store(there), older_than=NOW).deleted == 0


def test_a_forgotten_tenant_goes_though_the_store_cannot_be_reached(
    connection: Connection, settings: Settings, tmp_path: Path
) -> None:
    store = upload.open_store(settings.storage_url)
    upload.add(connection, pictures.draw(1), product_id="p", tenant="acme", store=store)
    subprocess.run(["mv", str(tmp_path / "pictures" / "owner"), str(tmp_path / "away")], check=True)
    (tmp_path / "pictures" / "owner").write_text("no folder")
    with pytest.raises(StoreError):
        upload.forget(connection, tenant="acme", store=store)
    assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (0,)
