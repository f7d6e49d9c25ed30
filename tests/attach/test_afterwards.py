"""Attached tables afterwards: copying what was there, races, drift, and detaching."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from imgsearch import attach, db, detach
from imgsearch.errors import AttachmentError, UsageError
from imgsearch.ingest import attachment
from imgsearch.settings import Settings
from tests.attach.conftest import MAPPING, Connection, images, insert
from tests.processes import eventually


def test_detaching_for_a_change_of_the_table_embeds_nothing_again(attached: Connection) -> None:
    insert(attached, 1, 2)
    attached.execute("DELETE FROM imgsearch.job")
    attached.execute("UPDATE imgsearch.image SET sha256 = %s", (bytes(32),))
    attached.execute("SELECT imgsearch.detach('shop.product', keep => true)")
    attached.execute(
        "ALTER TABLE shop.product ALTER COLUMN price TYPE double precision, ALTER COLUMN photo TYPE varchar(99)"
    )
    attached.execute("DELETE FROM shop.product WHERE id = 2")
    attached.execute("UPDATE shop.product SET price = 77")
    attached.execute(f"SELECT imgsearch.attach('shop.product', {MAPPING})".encode())
    assert attached.execute("SELECT product_id, price, sha256 FROM imgsearch.image").fetchall() == [
        ("1", 77.0, bytes(32))
    ]
    assert attached.execute("SELECT count(*) FROM imgsearch.job").fetchone() == (0,)
    attached.execute(
        "INSERT INTO imgsearch.job (tenant_id, image_id, space_id) SELECT tenant_id, image_id, 1 FROM imgsearch.image"
    )


def test_rows_that_were_there_are_copied_in_resumable_steps(shop: Connection) -> None:
    shop.execute(
        "INSERT INTO shop.product (id, store, photo)"
        " SELECT n, 'acme', 'https://x/' || n FROM generate_series(1, 1000) n"
    )
    shop.execute(
        "SELECT imgsearch.attach('shop.product', key => 'id', image => 'photo', tenant => 'store', backfill => false)"
    )
    assert images(shop) == {}
    insert(shop, 5000, photo="https://x/new")
    for _ in range(3):
        assert shop.execute("SELECT * FROM imgsearch_internal.backfill_step('shop.product', 100)").fetchone() == (
            100,
            False,
        )
    shop.execute("UPDATE shop.product SET price = 3 WHERE id IN (1, 999)")
    shop.execute("DELETE FROM shop.product WHERE id IN (2, 998)")
    assert shop.execute("SELECT backfilled, images FROM imgsearch.attachments").fetchone() == (False, 300)
    shop.execute("CALL imgsearch.backfill('shop.product', 150)")
    assert shop.execute("SELECT backfilled, images, drift FROM imgsearch.attachments").fetchone() == (True, 999, 0)


def test_what_went_out_of_step_is_found_and_mended(attached: Connection) -> None:
    insert(attached, 1, 2, 3, 4)
    attached.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('acme', 'by hand', 'https://x/1')"
    )
    with attached.transaction():
        attached.execute("SET LOCAL session_replication_role = replica")
        attached.execute("DELETE FROM shop.product WHERE id = 1")
        attached.execute("UPDATE shop.product SET price = 88 WHERE id = 2")
        insert(attached, 9)
    found = attached.execute("SELECT problem, product_id FROM imgsearch.drift('shop.product') ORDER BY 1").fetchall()
    assert found == [("extra", "1"), ("missing", "9"), ("stale", "2")]
    assert attached.execute("SELECT drift FROM imgsearch.attachments").fetchone() == (3,)
    assert attached.execute("SELECT imgsearch.repair('shop.product')").fetchone() == (3,)
    assert ("acme", "by hand", 0) in images(attached), "what was added by hand is not ours to remove"


@pytest.fixture
def photos(shop: Connection) -> Connection:
    """One product whose pictures have a table of their own, attached."""
    shop.execute(
        "CREATE TABLE shop.photo (id serial PRIMARY KEY, product_id integer NOT NULL"
        " REFERENCES shop.product, file text)"
    )
    shop.execute("CREATE INDEX ON shop.photo (product_id)")
    shop.execute("INSERT INTO shop.product (id, store, price) VALUES (1, 'acme', 5)")
    shop.execute(
        "SELECT imgsearch.attach('shop.product', key => 'id', tenant => 'store', price => 'price',"
        " pictures => 'shop.photo', picture_of => 'product_id', ordinal => 'id', image => 'file')"
    )
    return shop


PICTURE = "INSERT INTO shop.photo (product_id, file) VALUES (1, 'https://x/1')"


PRICE = "UPDATE shop.product SET price = 50"


@pytest.mark.parametrize(("first", "second"), [(PICTURE, PRICE), (PRICE, PICTURE)])
def test_a_picture_and_a_price_that_come_at_once_see_each_other(
    photos: Connection, settings: Settings, first: str, second: str
) -> None:
    with db.connect(settings) as one, db.connect(settings) as other, ThreadPoolExecutor(1) as thread:
        one.execute(first.encode())
        late = thread.submit(lambda: (other.execute(second.encode()), other.commit()))
        eventually(lambda: blocked(photos), what="the second writer waits for the first")
        one.commit()
        late.result(20)
    assert photos.execute("SELECT price FROM imgsearch.image").fetchall() == [(50.0,)]


def test_a_change_under_way_is_not_overtaken_by_the_backfill(shop: Connection, settings: Settings) -> None:
    shop.execute(
        "INSERT INTO shop.product (id, store, photo, price)"
        " VALUES (1, 'acme', 'https://x/1', 5), (2, 'acme', 'https://x/2', 5)"
    )
    shop.execute(
        "SELECT imgsearch.attach('shop.product', key => 'id', image => 'photo', price => 'price', backfill => false)"
    )
    with db.connect(settings) as writer, db.connect(settings) as copier, ThreadPoolExecutor(1) as thread:
        writer.execute(PRICE)
        writer.execute("DELETE FROM shop.product WHERE id = 2")
        late = thread.submit(
            lambda: (copier.execute("SELECT imgsearch_internal.backfill_step('shop.product')"), copier.commit())
        )
        eventually(lambda: blocked(shop), what="the copier waits for the writer")
        writer.commit()
        late.result(20)
    assert shop.execute("SELECT product_id, price FROM imgsearch.image").fetchall() == [("1", 50.0)]


def blocked(connection: Connection) -> bool:
    found = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND"
        " pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database()))"
    )
    return bool(found.fetchone()[0])  # type: ignore[index]


def test_python_attaches_copies_mends_and_detaches(shop: Connection) -> None:
    insert(shop, *range(1, 51), photo="https://x/p")
    number = attach(shop, "shop.product", key="id", image="photo", tenant="store", attributes=["brand"], backfill=False)
    assert number > 0
    assert list(attachment.backfill(shop, "shop.product", size=20)) == [20, 40, 50]
    shop.execute("DELETE FROM imgsearch.image WHERE product_id = '7'")
    [found] = attachment.attachments(shop, drift=True)
    assert (found.relation, found.images, found.backfilled, found.drift) == ("shop.product", 49, True, 1)
    assert found.mapping["attributes"] == ["brand"]
    assert attachment.repair(shop, "shop.product") == 1
    assert detach(shop, "shop.product") == 50
    assert detach(shop, "shop.product", if_exists=True) == 0
    with pytest.raises(AttachmentError, match="is not attached"):
        detach(shop, "shop.product")
    with pytest.raises(AttachmentError, match=r"no such column.*It has: id, store"):
        attach(shop, "shop.product", key="id", image="picture")
    with psycopg.connect(shop.info.dsn) as inside, pytest.raises(UsageError, match="autocommit"):
        list(attachment.backfill(inside, "shop.product"))


def test_the_command_line_attaches_with_progress_and_json(shop: Connection, environment: dict[str, str]) -> None:
    insert(shop, *range(1, 31), photo="p.jpg")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "imgsearch", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    mapping = ["--image", "photo", "--tenant", "store", "--in-stock", "stock > 0", "--attribute", "name AS title"]
    said = run("attach", "shop.product", *mapping, "--base", "https://x.example", "--json")
    assert json.loads(said) == {"attached": "shop.product", "copied": 30}
    assert "is detached, 0 images removed" in run("detach", "shop.product", "--keep")
    assert "is attached" in run("attach", "shop.product", *mapping, "--base", "https://x.example")
    assert json.loads(run("backfill", "shop.product", "--json")) == {"copied": 0}
    shop.execute("DELETE FROM imgsearch.image WHERE product_id = '7'")
    assert "shop.product" in run("attachments")
    [found] = json.loads(run("attachments", "--repair", "--json"))
    assert (found["images"], found["drift"]) == (30, 0)
    assert json.loads(run("detach", "shop.product", "--json")) == {"detached": "shop.product", "images": 30}
    assert "No table is attached" in run("attachments")
