"""What cannot be attached, and who may attach and reach what."""

from __future__ import annotations

import psycopg
import pytest

from imgsearch import db
from imgsearch.settings import Settings
from tests.attach.conftest import MAPPING, Connection, images, insert


def test_a_role_that_may_write_the_shop_needs_no_right_here_and_reaches_nothing(
    attached: Connection, settings: Settings
) -> None:
    attached.execute("DROP ROLE IF EXISTS shop_app")
    attached.execute("CREATE ROLE shop_app")
    attached.execute("GRANT USAGE ON SCHEMA shop TO shop_app")
    attached.execute("GRANT ALL ON shop.product TO shop_app")
    with db.connect(settings, autocommit=True) as app:
        app.execute("SET ROLE shop_app")
        insert(app, 1, 2)
        app.execute("UPDATE shop.product SET price = 50")
        app.execute("DELETE FROM shop.product WHERE id = 2")
        for reach in (
            "SELECT * FROM imgsearch.image",
            "SELECT imgsearch_internal.attached_1()",
            "SELECT imgsearch.attach('shop.product', key => 'id')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(reach.encode())
    assert set(images(attached)) == {("acme", "1", 0)}
    attached.execute("DROP OWNED BY shop_app")
    attached.execute("DROP ROLE shop_app")


def test_walls_hold_behind_an_attached_table(attached: Connection, settings: Settings) -> None:
    insert(attached, 1, store="acme")
    insert(attached, 2, store="bolt")
    with db.connect(settings) as reader:
        reader.execute("SET ROLE imgsearch_reader")
        reader.execute("SELECT set_config('imgsearch.tenant', 'bolt', true)")
        assert set(images(reader)) == {("bolt", "2", 0)}
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("SELECT imgsearch_internal.attached_1_write('{1}', true)")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("key => 'id', image => 'picture'", "no such column"),
        ("key => 'ident', image => 'photo'", "no such column"),
        ("key => 'id * 2', image => 'photo'", "not a column"),
        ("key => 'category', image => 'photo'", "not unique"),
        ("key => 'id'", "no picture column"),
        ("key => 'id', image => 'stock'", "not text"),
        ("key => 'id', image => 'photo', price => 'name'", "of type text"),
        ("key => 'id', image => 'photo', in_stock => 'stock'", "of type integer"),
        ("key => 'id', image => 'photo', category => 'lowr(category)'", "does not exist"),
        ("key => 'id', image => 'photo', category => 'max(category)'", "aggregate"),
        ("key => 'id', image => 'photo', category => 'regexp_split_to_table(category, name)'", "set-returning"),
        (
            "key => 'id', image => 'photo', category => '(SELECT max(n) FROM shop.kind)'",
            r"reads shop\.kind, and nothing says",
        ),
        (
            "key => 'id', image => 'photo', category => 'category) FROM pg_class; DROP TABLE shop.product; SELECT (1'",
            "not one expression",
        ),
        ("key => 'id', image => 'photo', category => 'category), (price'", "not one expression"),
        ("key => 'id', image => 'photo', category => 'category --'", "not one expression"),
        ("key => 'id', image => 'photo', attributes => ARRAY['upper(name)']", "has no name"),
        ("key => 'id', image => 'photo', base => 'media'", "no address"),
        ("key => 'id', image => 'photo', pictures => 'shop.photo'", "no table"),
        ("key => 'id', image => 'photo', picture_of => 'id'", "go together"),
    ],
)
def test_what_cannot_be_attached_says_why_and_leaves_nothing(shop: Connection, arguments: str, said: str) -> None:
    shop.execute("CREATE TABLE shop.kind (n text)")
    with pytest.raises(psycopg.Error, match=said) as error:
        shop.execute(f"SELECT imgsearch.attach('shop.product', {arguments})".encode())
    assert error.value.sqlstate == "IM010"
    assert error.value.diag.message_hint
    left = shop.execute(
        "SELECT count(*) FROM pg_class WHERE relname LIKE 'attached%'"
        " OR oid IN (SELECT tgrelid FROM pg_trigger WHERE tgname LIKE 'imgsearch%')"
    )
    assert left.fetchone() == (0,)


def test_paths_without_a_base_are_noticed_at_once(shop: Connection) -> None:
    shop.execute("INSERT INTO shop.product (id, photo) VALUES (1, 'shoes/1.jpg')")
    with pytest.raises(psycopg.Error, match=r'holds "shoes/1\.jpg"'):
        shop.execute("SELECT imgsearch.attach('shop.product', key => 'id', image => 'photo')")


def test_what_is_no_table_of_ours_to_follow_is_refused(shop: Connection) -> None:
    shop.execute("CREATE VIEW shop.seen AS SELECT * FROM shop.product")
    for name, said in (
        ("shop.seen", "not an ordinary table"),
        ("shop.nothing", "no table"),
        ("imgsearch.image", "not an ordinary"),
    ):
        with pytest.raises(psycopg.Error, match=said):
            shop.execute("SELECT imgsearch.attach(%s, key => 'id', image => 'photo')", (name,))


def test_missing_rights_are_named(shop: Connection, settings: Settings) -> None:
    shop.execute("DROP ROLE IF EXISTS keeper")
    shop.execute("CREATE ROLE keeper")
    shop.execute("GRANT ALL ON SCHEMA imgsearch, imgsearch_internal TO keeper")
    for relation in ("image", "attachment", "attachment_failure", "job"):
        shop.execute(f"ALTER TABLE imgsearch.{relation} OWNER TO keeper".encode())
    shop.execute("SELECT imgsearch.enable_rls()")
    call = "SELECT imgsearch.attach('shop.product', key => 'id', image => 'photo', tenant => 'store')"
    with db.connect(settings, autocommit=True) as keeper:
        keeper.execute("SET ROLE imgsearch_admin")
        with pytest.raises(psycopg.Error, match="may not attach"):
            keeper.execute(call.encode())
        keeper.execute("SET ROLE keeper")
        shop.execute("GRANT USAGE ON SCHEMA shop TO keeper")
        with pytest.raises(psycopg.Error, match="may not read, lock and put triggers") as error:
            keeper.execute(call.encode())
        shop.execute(error.value.diag.message_hint.split("run: ")[1].encode())  # type: ignore[union-attr]
        shop.execute("ALTER TABLE shop.product ENABLE ROW LEVEL SECURITY")
        with pytest.raises(psycopg.Error, match="may hide rows") as error:
            keeper.execute(call.encode())
        shop.execute(error.value.diag.message_hint.encode())  # type: ignore[union-attr]
        keeper.execute(call.encode())
    shop.execute("INSERT INTO shop.product (id, store, photo) VALUES (1, 'acme', 'https://x/1')")
    assert set(images(shop)) == {("acme", "1", 0)}
    shop.execute("SELECT imgsearch.detach('shop.product')")
    shop.execute("REASSIGN OWNED BY keeper TO CURRENT_USER")
    shop.execute("DROP OWNED BY keeper")
    shop.execute("DROP ROLE keeper")


def test_attaching_again_is_safe_and_another_mapping_is_noticed(attached: Connection) -> None:
    insert(attached, 1)
    again = attached.execute(
        f"SELECT imgsearch.attach('shop.product', {MAPPING}, if_not_exists => true)".encode()
    ).fetchone()
    assert again == attached.execute("SELECT attachment_id FROM imgsearch.attachment").fetchone()
    for arguments in (MAPPING, MAPPING.replace("lower(category)", "category") + ", if_not_exists => true"):
        with pytest.raises(psycopg.Error, match="attached already"):
            attached.execute(f"SELECT imgsearch.attach('shop.product', {arguments})".encode())
    attached.execute("CREATE TABLE shop.article (LIKE shop.product INCLUDING ALL)")
    with pytest.raises(psycopg.Error, match="could meet"):
        attached.execute(f"SELECT imgsearch.attach('shop.article', {MAPPING})".encode())
    attached.execute(f"SELECT imgsearch.attach('shop.article', {MAPPING}, prefix => 'article:')".encode())
    attached.execute("INSERT INTO shop.article (id, store, photo) VALUES (1, 'acme', 'x')")
    assert set(images(attached)) == {("acme", "1", 0), ("acme", "article:1", 0)}
    assert attached.execute("SELECT imgsearch.detach('shop.article')").fetchone() == (1,)
    assert set(images(attached)) == {("acme", "1", 0)}
