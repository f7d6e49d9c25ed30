"""What attach() writes for four mappings, beside a file each: `git diff` shows what a change of the generator means.

Delete a file and run the test to have it written anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from imgsearch import db
from imgsearch.schema import migrate
from imgsearch.settings import Settings
from tests.attach.conftest import MAPPING
from tests.conftest import behind

Connection = psycopg.Connection[Any]
GOLDEN = Path(__file__).parent / "golden"
CASES = {
    "one_table": MAPPING,
    "pictures_of_their_own": "key => 'id', image => 'file', price => 'price * 1.2', attributes => ARRAY['brand'],"
    " pictures => 'shop.photo', picture_of => 'product_id', ordinal => 'id', prefix => 'p:'",
    "family": "key => 'id', image => 'file', pictures => 'shop.photo', picture_of => 'product_id', ordinal => 'place',"
    " main => 'place = 1', owner => 'coalesce(parent, id)', fallback => 'like_id', title => 'name',"
    " categories => 'SELECT n FROM shop.kind WHERE kind.id = product.id', follow => '{\"shop.kind\": \"id\"}'",
    "key_of_each_tenant": "key => 'sku', images => ARRAY['front', 'back'], tenant => 'store', category => 'kind'",
}
TABLES = """
CREATE TABLE shop.photo (id integer PRIMARY KEY, product_id integer REFERENCES shop.product, file text, place integer);
CREATE INDEX ON shop.photo (product_id);
CREATE TABLE shop.kind (id integer, n text);
ALTER TABLE shop.product ADD parent integer, ADD like_id integer;
CREATE INDEX ON shop.product (parent); CREATE INDEX ON shop.product (like_id);
CREATE TABLE shop.part (
    store text NOT NULL, sku text NOT NULL, kind text, front text, back text, UNIQUE (store, sku)
) PARTITION BY LIST (store);
"""


def generated(connection: Connection) -> str:
    """Return the two functions and the triggers of attachment 1."""
    functions = connection.execute(
        "SELECT pg_get_functiondef(oid), obj_description(oid) FROM pg_proc"
        " WHERE proname IN ('attached_1', 'attached_1_write') ORDER BY proname"
    ).fetchall()
    triggers = connection.execute(
        "SELECT pg_get_triggerdef(oid), obj_description(oid) FROM pg_trigger"
        " WHERE tgname LIKE 'imgsearch%' AND tgparentid = 0 ORDER BY tgname"
    ).fetchall()
    parts = [f"{made};\n-- {said}" for made, said in (*functions, *triggers)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


@pytest.mark.parametrize("case", CASES)
def test_what_is_generated_is_what_is_expected_and_an_upgrade_writes_the_same(
    case: str, shop: Connection, settings: Settings
) -> None:
    shop.execute(TABLES.encode())
    table = "shop.part" if case == "key_of_each_tenant" else "shop.product"
    shop.execute(f"SELECT imgsearch.attach('{table}', {CASES[case]})".encode())
    golden = GOLDEN / f"{case}.sql"
    if not golden.exists():
        golden.write_text(generated(shop))
        pytest.fail(f"{golden} was written; read it")
    made = generated(shop)
    if case != "family" or shop.info.server_version >= 160000:  # 15 writes a subquery out with the table's name
        assert made == golden.read_text()
    behind(settings)
    migrate.upgrade(shop)
    assert generated(shop) == made


def test_an_upgrade_brings_a_correction_of_the_generator_to_attached_tables(
    attached: Connection, settings: Settings
) -> None:
    wrong = "CREATE OR REPLACE FUNCTION imgsearch_internal.attached_1() RETURNS trigger LANGUAGE plpgsql"
    attached.execute(f"{wrong} AS 'BEGIN RETURN NULL; END'".encode())
    attached.execute("UPDATE imgsearch.attachment SET generated = 'as an older release wrote it'")
    behind(settings)
    migrate.upgrade(attached)
    attached.execute("INSERT INTO shop.product (id, store, photo, price) VALUES (1, 'acme', 'a.jpg', 5)")
    assert attached.execute("SELECT price FROM imgsearch.image").fetchall() == [(5.0,)]


def test_a_correction_of_functions_alone_asks_your_table_for_no_lock(attached: Connection, settings: Settings) -> None:
    triggers = "SELECT oid, tgname FROM pg_trigger WHERE tgname LIKE 'imgsearch%' ORDER BY 1"
    before = attached.execute(triggers).fetchall()
    attached.execute("UPDATE imgsearch.attachment SET generated = 'older/' || split_part(generated, '/', 2)")
    behind(settings)
    with db.connect(settings) as writer:
        writer.execute("SELECT 1 FROM shop.product")
        migrate.upgrade(attached, patience=0)
    assert attached.execute(triggers).fetchall() == before
    assert attached.execute("SELECT generated ~ '^older' FROM imgsearch.attachment").fetchone() == (False,)


def test_a_renamed_column_does_not_stop_an_upgrade(attached: Connection, settings: Settings) -> None:
    attached.execute("ALTER TABLE shop.product RENAME price TO cost")
    attached.execute("UPDATE imgsearch.attachment SET generated = 'as an older release wrote it'")
    behind(settings)
    migrate.upgrade(attached)
    attached.execute("INSERT INTO shop.product (id, store, photo, cost) VALUES (1, 'acme', 'a.jpg', 5)")
    assert attached.execute("SELECT price FROM imgsearch.image").fetchall() == [(5.0,)]


def test_tables_of_the_search_path_are_found_with_another_one(connection: Connection) -> None:
    """Trigger functions run with a search path of their own: names in them are written in full."""
    connection.execute(
        "CREATE TABLE thing (id integer PRIMARY KEY, price integer);"
        "CREATE TABLE shot (id integer PRIMARY KEY, thing_id integer, file text); CREATE INDEX ON shot (thing_id)"
    )
    connection.execute(
        "SELECT imgsearch.attach('thing', key => 'id', image => 'file', price => 'price',"
        " pictures => 'shot', picture_of => 'thing_id', ordinal => 'id')"
    )
    connection.execute("INSERT INTO thing VALUES (1, 5)")
    connection.execute("INSERT INTO shot VALUES (7, 1, 'https://x/1')")
    assert connection.execute("SELECT uri, price FROM imgsearch.image").fetchall() == [("https://x/1", 5.0)]
