"""What a shop of its own has in its database comes back too: extensions, settings; and a restore knows its own half."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from bench.soak import pictures
from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.errors import DatabaseError, UsageError
from imgsearch.ingest import upload
from imgsearch.ops import backup, manifest, postgres_programs, restore
from imgsearch.settings import Settings
from tests.conftest import with_database, with_settings
from tests.own_server import named
from tests.terminal import Run

Connection = psycopg.Connection[Any]


@pytest.fixture
def target(settings: Settings, admin: Connection, servers: embedded.Servers, folder: Path) -> Iterator[Settings]:
    """Settings of an empty database and store."""
    name = Identifier(named("brought_back"))
    admin.execute(SQL("DROP DATABASE IF EXISTS {}").format(name))
    admin.execute(SQL("CREATE DATABASE {}").format(name))
    url = with_database(servers.database_url, "brought_back")
    yield with_settings(settings, DATABASE_URL=url, STORAGE_URL=(folder / "store").as_uri())
    admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def take(settings: Settings, folder: Path, **more: Any) -> Path:
    backup.take(settings, folder / "backup", **more)
    return folder / "backup"


def test_extensions_and_settings_of_the_shop_come_back(
    connection: Connection, settings: Settings, folder: Path, target: Settings
) -> None:
    made = folder / "extension"
    made.mkdir()
    (made / "shopkit.control").write_text("default_version = '1'\nrelocatable = true\n")
    (made / "shopkit--1.sql").write_text("CREATE DOMAIN code AS text CHECK (VALUE ~ '^[A-Z]+$');")
    (kept, place) = connection.info.dbname, f"extension_control_path = '{folder}:$system'"
    for name in (kept, named("brought_back")):
        connection.execute(f'ALTER DATABASE "{name}" SET {place}'.encode())
    for said in ('search_path = "$user", public, extensions', "work_mem = '5MB'", "imgsearch.tail = 'on'"):
        connection.execute(f'ALTER DATABASE "{kept}" SET {said}'.encode())
    with db.connect(settings, autocommit=True) as shop:
        shop.execute("CREATE SCHEMA extensions; CREATE EXTENSION shopkit SCHEMA extensions")
        shop.execute("CREATE TABLE customer (code code PRIMARY KEY)")
        shop.execute("INSERT INTO customer VALUES ('ADA')")
    restore.bring_back(target, take(settings, folder, pictures="none"))
    with db.connect(target, autocommit=True) as there:
        assert there.execute("SELECT code FROM customer").fetchone() == ("ADA",)
        asked = "SELECT current_setting('search_path'), current_setting('work_mem'), current_setting('imgsearch.tail')"
        assert there.execute(asked).fetchone() == ('"$user", public, extensions', "5MB", "on")


def test_a_manifest_switches_no_triggers_off_and_loads_no_library(
    connection: Connection, settings: Settings, folder: Path, target: Settings
) -> None:
    taken = take(settings, folder, pictures="none")
    written = taken / "manifest.json"
    found = json.loads(written.read_text())
    found["settings"] |= {"session_replication_role": "replica", "session_preload_libraries": "evil", "work_mem": "6MB"}
    written.write_text(json.dumps(found))
    said: list[str] = []
    restore.bring_back(target, taken, tick=lambda line, _: said.append(line))
    assert [line.split(" is not set")[0] for line in said if "is not set" in line] == [
        "session_replication_role",
        "session_preload_libraries",
    ]
    with db.connect(target, autocommit=True) as there:
        asked = "SELECT current_setting('session_replication_role'), current_setting('work_mem')"
        assert there.execute(asked).fetchone() == ("origin", "6MB")


def test_a_restore_that_was_killed_knows_its_own_and_nothing_else(
    connection: Connection, settings: Settings, folder: Path, target: Settings, space: Any
) -> None:
    """Whatever the store holds, and though another database may have as many images."""
    add = "INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('a', 'p', 'x:1')"
    connection.execute(add)
    taken = take(settings, folder)

    def die(said: str, _: int) -> None:
        if said == "gathering statistics":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore.bring_back(target, taken, tick=die)
    with db.connect(target, autocommit=True) as there:
        there.execute(add.replace("'p'", "'q'"))  # somebody began to work
    restore.bring_back(target, taken)
    with db.connect(target, autocommit=True) as there:
        assert there.execute("SELECT to_regnamespace('imgsearch_restore')").fetchone() == (None,)
    for elsewhere in (target, with_settings(settings, STORAGE_URL=(folder / "another store").as_uri())):
        with pytest.raises(UsageError, match="set up in the database"):
            restore.bring_back(elsewhere, taken)


@pytest.fixture
def rented(settings: Settings, admin: Connection, servers: embedded.Servers) -> Iterator[Settings]:
    """A database as rented servers make them, with pgvector in a schema of its own."""
    name = Identifier(named("rented"))
    admin.execute(SQL("DROP DATABASE IF EXISTS {}").format(name))
    admin.execute(SQL("CREATE DATABASE {} TEMPLATE template0").format(name))
    made = with_settings(settings, DATABASE_URL=with_database(servers.database_url, "rented"))
    with db.connect(made, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA extensions; CREATE EXTENSION vector SCHEMA extensions")
    schema.upgrade(made)
    yield made
    admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def test_pgvector_in_a_schema_that_is_here_already(rented: Settings, folder: Path, target: Settings) -> None:
    taken = take(rented, folder, pictures="none")
    with db.connect(target, autocommit=True) as there:
        there.execute("CREATE EXTENSION IF NOT EXISTS vector")
        with pytest.raises(UsageError, match="ALTER EXTENSION vector SET SCHEMA extensions"):
            restore.bring_back(target, taken)
        there.execute("CREATE SCHEMA extensions; ALTER EXTENSION vector SET SCHEMA extensions")
    restore.bring_back(target, taken)
    with db.connect(target, autocommit=True) as there:
        schema.check(there)


def test_pgvector_comes_back_where_it_was(rented: Settings, folder: Path, target: Settings) -> None:
    restore.bring_back(target, take(rented, folder, pictures="none"))
    with db.connect(target, autocommit=True) as there:
        assert there.execute("SELECT to_regtype('extensions.vector') IS NOT NULL").fetchone() == (True,)


def test_what_pg_restore_says_is_told_also_where_a_long_statement_fails(
    connection: Connection, settings: Settings, folder: Path, target: Settings
) -> None:
    lines = "\n".join(f"-- {number}" for number in range(60))
    connection.execute("CREATE FUNCTION one() RETURNS integer LANGUAGE sql RETURN 1; CREATE TYPE mood AS ENUM ('a')")
    connection.execute(
        f"CREATE FUNCTION last() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN {lines} \n END $$".encode()
    )
    taken = take(settings, folder, pictures="none")
    with db.connect(target, autocommit=True) as there:
        there.execute("CREATE FUNCTION last() RETURNS integer LANGUAGE sql RETURN 1")
    with pytest.raises(DatabaseError, match='function "last" already exists'):
        restore.bring_back(target, taken)
    with db.connect(target, autocommit=True) as there:
        there.execute("DROP FUNCTION last()")
    restore.bring_back(target, taken)


def test_a_folder_of_others_is_left_alone_and_two_do_not_write_into_one(
    connection: Connection, settings: Settings, folder: Path
) -> None:
    (folder / "orders.csv").write_text("1")
    before = folder.stat().st_mode
    with pytest.raises(UsageError, match=r"other files \(orders.csv"):
        backup.take(settings, folder)
    assert folder.stat().st_mode == before

    def again(said: str, _: int) -> None:
        if said == "dumping the database":
            with pytest.raises(UsageError, match="Another process writes a backup"):
                backup.take(settings, folder / "backup", pictures="none")

    take(settings, folder, pictures="none", tick=again)
    assert (folder / "backup/database.dump").exists()


def test_a_pg_dump_that_outlived_its_killed_backup_writes_elsewhere(
    connection: Connection, settings: Settings, folder: Path
) -> None:
    (folder / "backup").mkdir()
    with (folder / "backup/database.dump.part").open("wb") as orphan:
        made = backup.take(settings, folder / "backup", pictures="none")
        orphan.write(b"what it still had to say" * 10)
    manifest.verify(folder / "backup", made)


def test_a_picture_with_other_bytes_is_missed(connection: Connection, settings: Settings, folder: Path) -> None:
    settings = with_settings(settings, STORAGE_URL=(folder / "shop").as_uri())
    store = upload.open_store(settings.storage_url)
    upload.add(connection, pictures.draw(1), product_id="p", tenant="acme", store=store)
    [(uri,)] = connection.execute("SELECT uri FROM imgsearch.image").fetchall()
    (folder / "shop" / uri.removeprefix("store:")).write_bytes(b"torn")
    assert backup.take(settings, folder / "backup").missing == (uri,)


def test_the_environment_says_what_the_address_does_not(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    said = folder / "pg_dump"
    said.write_text("#!/bin/sh\nenv >&2\nexit 1\n")
    said.chmod(0o755)
    monkeypatch.setenv("PGPASSWORD", "secret")
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("PGOPTIONS", "-c maintenance_work_mem=1GB")
    heard: list[str] = []
    with pytest.raises(DatabaseError):
        postgres_programs.run(
            said, url="postgresql://shop@db/shop?channel_binding=require&application_name=nightly", say=heard.append
        )
    wanted = {"PGHOST=db", "PGUSER=shop", "PGCHANNELBINDING=require", "PGAPPNAME=nightly", "PGPASSWORD=secret"}
    assert wanted | {"PGOPTIONS=-c maintenance_work_mem=1GB"} <= set(heard)


def test_no_setting_of_the_database_is_printed(
    connection: Connection, settings: Settings, folder: Path, run: Run
) -> None:
    connection.execute(f"ALTER DATABASE \"{connection.info.dbname}\" SET app.jwt_secret = 'hush'".encode())
    done = run("backup", str(folder / "backup"), "--no-pictures", "--json", **settings.environment())
    assert (done.code, done.document["settings"][0]) == (0, "app.jwt_secret")
    assert "hush" not in done.out + done.err
    assert manifest.read(folder / "backup").settings["app.jwt_secret"] == "hush"


def test_a_bound_on_statements_bounds_no_backup(
    connection: Connection, settings: Settings, folder: Path, target: Settings
) -> None:
    for name in (connection.info.dbname, named("brought_back")):
        connection.execute(f"ALTER DATABASE \"{name}\" SET idle_in_transaction_session_timeout = '300ms'".encode())

    def wait(said: str, _: int) -> None:
        if said == "dumping the database":
            time.sleep(0.01)

    restore.bring_back(target, take(settings, folder, pictures="none", tick=wait))


def test_what_comes_and_goes_while_it_is_taken_is_in_it(
    connection: Connection, settings: Settings, folder: Path
) -> None:
    """Copied before: what is swept while the database is dumped. Copied behind: what came before the dump began."""
    settings = with_settings(settings, STORAGE_URL=(folder / "shop").as_uri())
    store = upload.open_store(settings.storage_url)

    def add(number: int) -> str:
        upload.add(connection, pictures.draw(number), product_id=f"p{number}", tenant="acme", store=store)
        [(uri,)] = connection.execute(
            "SELECT uri FROM imgsearch.image WHERE product_id = %s", [f"p{number}"]
        ).fetchall()
        return str(uri)

    uris = [add(1)]

    def meanwhile(said: str, _: int) -> None:
        if said == "dumping the database" and len(uris) == 1:
            uris.append(add(2))
        elif said.startswith("dumping contents"):
            store.delete(uris[0])

    made = backup.take(settings, folder / "backup", tick=meanwhile)
    assert (made.images, made.missing) == (2, ())
    held = upload.open_store((folder / "backup/pictures").as_uri())
    assert [held.get(uri) for uri in uris] == [pictures.draw(1), pictures.draw(2)]


def test_a_database_without_pgvector_is_told_what_to_do(
    settings: Settings, admin: Connection, servers: embedded.Servers, run: Run
) -> None:
    name = Identifier(named("bare"))
    admin.execute(SQL("DROP DATABASE IF EXISTS {}").format(name))
    admin.execute(SQL("CREATE DATABASE {} TEMPLATE template0").format(name))
    bare = with_settings(settings, DATABASE_URL=with_database(servers.database_url, "bare")).environment()
    try:
        assert "`imgsearch db upgrade` installs it" in run("db", "check", **bare).err
        plan = run("db", "upgrade", "--plan", **bare).out
        assert "Nothing of imgsearch is here yet" in plan
        assert "EXCLUSIVE" not in plan, "locks on tables that are not there"
        assert run("db", "upgrade", **bare).code == 0
        assert run("db", "check", **bare).code == 0
    finally:
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))
