"""A backup is whole, comes back into a cluster that has nothing of imgsearch, and answers what it answered before."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

import imgsearch
from bench.soak import pictures
from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import embed
from imgsearch.ingest import upload
from imgsearch.ops import backup, postgres_programs, restore, tenant_graphs
from imgsearch.ops.doctor import examine
from imgsearch.settings import Settings, load_settings
from tests.conftest import with_database, with_settings
from tests.places import made_folder
from tests.terminal import Run
from tests.test_readme import DOCS, blocks

Connection = psycopg.Connection[Any]
MANY = 40
WORDS = [f"shoe {n}" for n in range(10)]


@pytest.fixture
def shop(connection: Connection, settings: Settings, space: Any) -> Connection:
    store = upload.open_store(settings.storage_url)
    for number in range(MANY):
        upload.add(connection, pictures.draw(number), product_id=f"p{number}", tenant="acme", store=store)
    embed(connection, texts=WORDS)
    tenant_graphs.keep(settings, "acme")
    connection.execute(
        "INSERT INTO imgsearch.worker (name, queue, host, pid, device, space_id, seen_at)"
        " VALUES ('w', 'both', 'h', 1, 'cpu', 1, now() + interval '1 hour')"
    )
    return connection


@pytest.fixture
def taken(shop: Connection, settings: Settings, folder: Path) -> Path:
    backup.take(settings, folder / "backup")
    return folder / "backup"


@pytest.fixture
def elsewhere() -> Iterator[Settings]:
    """Settings of a cluster and a store that nothing of imgsearch was ever in."""
    home = made_folder("imgs-")
    servers = embedded.start(home, memory_mb=512, durable=False)
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE empty")
    values = {"DATABASE_URL": with_database(servers.database_url, "empty"), "STORAGE_URL": (home / "pictures").as_uri()}
    yield load_settings(values | {"HOME": str(home)}, environ={})
    embedded.stop(home)
    shutil.rmtree(home, ignore_errors=True)


def answers(settings: Settings) -> list[Any]:
    with db.connect(settings, autocommit=True) as connection:
        found = [imgsearch.search(connection, words, tenant="acme") for words in WORDS]
        found += [imgsearch.search(connection, imgsearch.ImageId(n), tenant="acme") for n in range(1, MANY, 5)]
        return [[(hit.image_id, hit.distance) for hit in hits] for hits in found]


def test_it_comes_back_into_a_cluster_without_roles(
    taken: Path, settings: Settings, elsewhere: Settings, run: Run, shop: Connection
) -> None:
    before = answers(settings)
    done = run("restore", str(taken), **elsewhere.environment())
    assert done.code == 0, done.err
    assert f"{MANY} images are back" in done.out
    assert answers(elsewhere) == before
    with db.connect(elsewhere, autocommit=True) as connection:
        assert examine(connection) == []
        assert [(one["tenant_id"], one["state"]) for one in tenant_graphs.listed(connection)] == [("acme", "valid")]
        assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []
        assert connection.execute("SELECT count(*) FROM imgsearch_internal.missing_rights()").fetchone() == (0,)
        [(uri,)] = connection.execute("SELECT uri FROM imgsearch.image WHERE product_id = 'p7'").fetchall()
    assert upload.open_store(elsewhere.storage_url).get(uri) == pictures.draw(7)
    again = run("restore", str(taken), **elsewhere.environment())
    assert again.code == 2
    assert "set up in the database empty already" in again.err


def test_an_interrupted_restore_goes_on(taken: Path, elsewhere: Settings) -> None:
    def stop(said: str, _: int) -> None:
        if said == "copying pictures":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore.bring_back(elsewhere, taken, tick=stop)
    found = restore.bring_back(elsewhere, taken)
    assert sum(1 for _ in upload.open_store(elsewhere.storage_url).keys()) == found.objects >= MANY  # noqa: SIM118


def test_roles_and_rights_that_a_restore_by_hand_leaves_out_are_named_and_mended(
    taken: Path, elsewhere: Settings, run: Run
) -> None:
    restore.bring_back(elsewhere, taken, pictures=False)
    with db.connect(elsewhere, autocommit=True) as connection:
        connection.execute("GRANT EXECUTE ON FUNCTION imgsearch_internal.link_secret() TO PUBLIC")
        connection.execute(
            "DROP OWNED BY imgsearch_reader; REVOKE imgsearch_reader FROM imgsearch_writer; DROP ROLE imgsearch_reader"
        )
        named = {finding.check_name for finding in examine(connection)}
    assert {"roles missing", "rights missing"} <= named
    checked = run("db", "check", **elsewhere.environment())
    assert checked.code == 5
    assert "imgsearch db mend" in checked.out
    assert "CREATE ROLE imgsearch_reader NOLOGIN;" in checked.err
    assert run("db", "mend", **elsewhere.environment()).code == 0
    with db.connect(elsewhere, autocommit=True) as connection:
        assert examine(connection) == []
    assert run("db", "check", **elsewhere.environment()).code == 0


def test_by_hand_as_the_page_says(shop: Connection, settings: Settings, elsewhere: Settings, folder: Path) -> None:
    said = [line.partition("#")[0] for block in blocks("sh", DOCS["backup.md"]) for line in block.splitlines()]
    dump, bring = (
        shlex.split(next(line for line in said if line.startswith(name))) for name in ("pg_dump", "pg_restore")
    )
    put = {
        "--file=shop.dump": f"--file={folder / 'shop.dump'}",
        "shop.dump": str(folder / "shop.dump"),
        "--dbname=shop": "--dbname=empty",
    }
    for words, target in ((dump, settings), (bring, elsewhere)):
        if target is elsewhere:
            with db.connect(elsewhere, autocommit=True) as connection:
                connection.execute(blocks("sql", DOCS["backup.md"])[0].encode())
        arguments = [put.get(word, word) for word in words[1:] if word != "$DATABASE_URL"]
        postgres_programs.run(postgres_programs.find(words[0], 18), *arguments, url=target.database_url)
    with db.connect(elsewhere, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM imgsearch_internal.missing_rights()").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (MANY,)
    [console] = blocks("console", DOCS["backup.md"])
    assert [line.split()[2] for line in console.splitlines()] == ["backup", "restore"]


def test_an_owner_who_is_no_superuser_takes_and_restores(
    connection: Connection, settings: Settings, folder: Path, run: Run
) -> None:
    """All that rented Postgres gives: a database of one's own, pgvector in it, and roles that an administrator made."""
    role, kept = "shopkeeper_of_backups", connection.info.dbname
    for name in ("source", "target"):
        connection.execute(SQL("DROP DATABASE IF EXISTS {}").format(Identifier(f"{kept}_{name}")))
    connection.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(role)))
    connection.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(role)))
    connection.execute(SQL("GRANT imgsearch_reader, imgsearch_writer TO {} WITH ADMIN OPTION").format(Identifier(role)))
    theirs = {}
    try:
        for name in ("source", "target"):
            connection.execute(
                SQL("CREATE DATABASE {} OWNER {}").format(Identifier(f"{kept}_{name}"), Identifier(role))
            )
            url = settings.database_url.replace(f"/{kept}?", f"/{kept}_{name}?")
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute("CREATE EXTENSION vector")
            theirs[name] = with_settings(
                settings, DATABASE_URL=url.replace("postgres@", f"{role}@"), STORAGE_URL=(folder / name).as_uri()
            )
        assert run("db", "upgrade", **theirs["source"].environment()).code == 0
        with db.connect(theirs["source"], autocommit=True) as owner:
            owner.execute("CREATE TABLE order_of_the_shop (id integer)")
            owner.execute("INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('a', '1', 'x:1')")
        took = run("backup", str(folder / "backup"), **theirs["source"].environment())
        assert took.code == 0, took.err
        back = run("restore", str(folder / "backup"), **theirs["target"].environment())
        assert back.code == 0, back.err
        with db.connect(theirs["target"], autocommit=True) as owner:
            assert owner.execute(
                "SELECT count(*) FROM imgsearch.image, pg_tables WHERE tablename = 'order_of_the_shop'"
            ).fetchone() == (1,)
    finally:
        for name in theirs:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(f"{kept}_{name}")))
        connection.execute(SQL("DROP OWNED BY {}").format(Identifier(role)))
        connection.execute(SQL("DROP ROLE {}").format(Identifier(role)))


def test_a_torn_backup_is_refused_and_changes_nothing(
    taken: Path, settings: Settings, run: Run, admin: Connection, servers: embedded.Servers
) -> None:
    admin.execute("DROP DATABASE IF EXISTS torn")
    admin.execute("CREATE DATABASE torn")
    target = with_settings(settings, DATABASE_URL=with_database(servers.database_url, "torn")).environment()
    try:
        whole = (taken / "database.dump").read_bytes()
        (taken / "database.dump").write_bytes(whole[:-100])
        cut = run("restore", str(taken), **target)
        assert (cut.code, "other bytes than were written" in cut.err) == (5, True)
        (taken / "database.dump").unlink()
        assert run("restore", str(taken), **target).code == 5
        (taken / "manifest.json").unlink()
        (taken / "database.dump.part").write_bytes(whole[:100])
        unfinished = run("restore", str(taken), **target)
        assert "was not finished" in unfinished.err
        assert run("restore", str(taken / "nothing"), **target).code == 2
        with psycopg.connect(with_database(servers.database_url, "torn")) as found:
            assert found.execute("SELECT to_regnamespace('imgsearch')").fetchone() == (None,)
    finally:
        admin.execute("DROP DATABASE torn WITH (FORCE)")


def test_a_database_that_is_not_empty_is_left_alone(
    taken: Path, settings: Settings, run: Run, admin: Connection, servers: embedded.Servers
) -> None:
    assert run("restore", str(taken), **settings.environment()).code == 2
    admin.execute("DROP DATABASE IF EXISTS filled")
    admin.execute("CREATE DATABASE filled")
    try:
        with psycopg.connect(with_database(servers.database_url, "filled"), autocommit=True) as other:
            other.execute("CREATE TABLE customers (id integer)")
        done = run(
            "restore",
            str(taken),
            **with_settings(settings, DATABASE_URL=with_database(servers.database_url, "filled")).environment(),
        )
        assert done.code == 2
        assert "holds 1 tables and views (customers, …)" in done.err
    finally:
        admin.execute("DROP DATABASE filled WITH (FORCE)")


def test_what_the_store_lacks_is_said_and_pictures_may_be_listed(
    shop: Connection, settings: Settings, folder: Path, run: Run
) -> None:
    [(uri,)] = shop.execute("SELECT uri FROM imgsearch.image WHERE product_id = 'p3'").fetchall()
    upload.open_store(settings.storage_url).delete(uri)
    listed = run("backup", str(folder / "listed"), "--list-pictures", "--json", **settings.environment())
    assert listed.code == 0, listed.err
    assert listed.document["pictures"] == "listed"
    assert len((folder / "listed/pictures.txt").read_text().splitlines()) == listed.document["objects"] >= MANY - 1
    done = run("backup", str(folder / "copied"), **settings.environment())
    assert done.code == 1
    assert f"1 pictures are missing from the store itself, the first: {uri}" in done.err
    assert json.loads((folder / "copied/manifest.json").read_text())["missing"] == [uri]
    assert run("backup", str(folder / "copied"), **settings.environment()).code == 2, "there is one already"


def test_an_interrupted_backup_goes_on(shop: Connection, settings: Settings, folder: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(said: str, _: int) -> None:
        if said.startswith("dumping"):
            raise Stopped

    with pytest.raises(Stopped):
        backup.take(settings, folder / "backup", tick=stop)
    assert not (folder / "backup/manifest.json").exists()
    assert backup.take(settings, folder / "backup").images == MANY
