"""Attached tables: pictures follow the shop's own rows, inside its transactions, whatever way they change."""

from __future__ import annotations

from typing import Any

from imgsearch import attach, detach
from tests.attach.conftest import Connection, images, insert, written


def test_a_row_becomes_a_picture_with_everything_to_filter_on(attached: Connection) -> None:
    insert(attached, 1)
    row = attached.execute(
        "SELECT tenant_id, product_id, position, category, price, in_stock, attributes, uri FROM imgsearch.image"
    ).fetchone()
    title = {"brand": "Nord", "title": "Shoe 1"}
    assert row == ("acme", "1", 0, "shoes", 1.0, True, title, "https://cdn.example.com/m/p.jpg")
    assert attached.execute("SELECT count(*) FROM imgsearch.job").fetchone() == (1,), "it waits for a worker"


def test_pictures_follow_in_the_same_transaction(attached: Connection) -> None:
    with attached.transaction(force_rollback=True):
        insert(attached, 1, 2)
        assert len(images(attached)) == 2
    assert images(attached) == {}


def test_every_way_to_write_is_followed(attached: Connection) -> None:
    with attached.cursor() as cursor, cursor.copy("COPY shop.product (id, store, photo) FROM STDIN") as copy:
        for n in range(100):
            copy.write_row((n, "acme", f"{n}.jpg"))
    assert len(images(attached)) == 100
    attached.execute("DELETE FROM shop.product WHERE id >= 10")
    assert len(images(attached)) == 10
    attached.execute(
        "INSERT INTO shop.product (id, store, photo) VALUES (0, 'acme', 'new.jpg'), (77, 'acme', '77.jpg')"
        " ON CONFLICT (id) DO UPDATE SET photo = EXCLUDED.photo"
    )
    assert images(attached)["acme", "0", 0].endswith("/new.jpg")
    assert images(attached)["acme", "77", 0].endswith("/77.jpg")
    attached.execute(
        "MERGE INTO shop.product p USING (VALUES (1), (88)) n (id) ON p.id = n.id"
        " WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, store, photo) VALUES (n.id, 'acme', 'm.jpg')"
    )
    assert ("acme", "1", 0) not in images(attached)
    assert ("acme", "88", 0) in images(attached)
    attached.execute(
        "WITH gone AS (DELETE FROM shop.product WHERE id = 2 RETURNING *)"
        " INSERT INTO shop.product (id, store, photo) SELECT 200 + id, store, photo FROM gone"
    )
    assert ("acme", "202", 0) in images(attached)
    attached.execute("TRUNCATE shop.product")
    assert images(attached) == {}


def test_keys_tenants_and_pictures_may_change(attached: Connection) -> None:
    insert(attached, 1, 2, 3)
    attached.execute("UPDATE shop.product SET id = id + 10")
    assert set(images(attached)) == {("acme", "11", 0), ("acme", "12", 0), ("acme", "13", 0)}
    attached.execute(
        "ALTER TABLE shop.product DROP CONSTRAINT product_pkey, ADD PRIMARY KEY (id) DEFERRABLE INITIALLY IMMEDIATE"
    )
    attached.execute("UPDATE shop.product SET id = id + 1, name = 'moved ' || id")
    assert set(images(attached)) == {("acme", "12", 0), ("acme", "13", 0), ("acme", "14", 0)}
    attached.execute("UPDATE shop.product SET store = 'bolt' WHERE id = 12")
    attached.execute("UPDATE shop.product SET photo = NULL WHERE id = 13")
    attached.execute("UPDATE shop.product SET store = NULL WHERE id = 14")
    assert set(images(attached)) == {("bolt", "12", 0)}
    attached.execute("UPDATE shop.product SET photo = 'https://x.example/a b.jpg', store = 'bolt'")
    assert images(attached)["bolt", "13", 0] == "https://x.example/a b.jpg", "an address is taken as it stands"


def test_only_what_changed_is_written(attached: Connection) -> None:
    insert(attached, 1, 2)
    before = written(attached)
    attached.execute("UPDATE shop.product SET note = 'unrelated', price = price, stock = 5")
    assert written(attached) == before, (
        "neither an unmapped column, nor the same value, nor the same answer of an expression"
    )
    attached.execute("UPDATE shop.product SET price = 99 WHERE id = 1")
    after = written(attached)
    assert [x for x in after if x[0] == "job"] == [x for x in before if x[0] == "job"], "a price is not a new picture"
    assert len(set(after) - set(before)) == 1
    assert attached.execute("SELECT price FROM imgsearch.image WHERE product_id = '1'").fetchone() == (99.0,)


def test_a_price_change_embeds_nothing_again(attached: Connection, space: Any) -> None:
    from tests.shop import embed

    insert(attached, *range(1, 21))
    ids = [row[0] for row in attached.execute("SELECT image_id FROM imgsearch.image ORDER BY 1").fetchall()]
    with attached.cursor() as cursor:
        embed(cursor, space, [("acme", i, bytes(32), [1.0, *[i / 9] * 47]) for i in ids])
    attached.execute("UPDATE imgsearch.image SET sha256 = %s", (bytes(32),))
    vectors = attached.execute("SELECT image_id, xmin::text FROM imgsearch.embedding_1 ORDER BY 1").fetchall()
    size = attached.execute("SELECT pg_relation_size('imgsearch.embedding_1_hnsw')").fetchone()
    attached.execute("UPDATE shop.product SET price = price + 1, stock = 0, category = 'Sale', name = 'x'")
    assert attached.execute("SELECT image_id, xmin::text FROM imgsearch.embedding_1 ORDER BY 1").fetchall() == vectors
    assert attached.execute("SELECT pg_relation_size('imgsearch.embedding_1_hnsw')").fetchone() == size
    assert attached.execute(
        "SELECT count(*) FROM imgsearch.images WHERE NOT in_stock AND category = 'sale'"
    ).fetchone() == (20,)
    attached.execute("UPDATE shop.product SET photo = 'other.jpg' WHERE id = 1")
    assert attached.execute("SELECT count(*) FROM imgsearch.images").fetchone() == (20,), (
        "until other bytes are embedded"
    )
    waiting = attached.execute("SELECT image_id, anew FROM imgsearch.job WHERE anew").fetchall()
    assert waiting == [(ids[0], True)]


def test_values_that_image_would_refuse_do_not_break_the_shop(attached: Connection) -> None:
    attached.execute(
        "INSERT INTO shop.product (id, store, photo, price) VALUES (0, 'acme', 'p', -1), (1, 'acme', 'p', 'NaN')"
    )
    attached.execute("INSERT INTO shop.product (id, store, photo) VALUES (8, '', 'p'), (9, 'acme', '')")
    assert attached.execute("SELECT product_id, price, in_stock FROM imgsearch.image ORDER BY 1").fetchall() == [
        ("0", None, False),
        ("1", None, False),
    ]


def test_several_picture_columns_are_positions(shop: Connection) -> None:
    shop.execute(
        "SELECT imgsearch.attach('shop.product', key => 'id', images => ARRAY['photo', 'back'], base => 'https://x.example')"
    )
    shop.execute("INSERT INTO shop.product (id, photo, back) VALUES (1, 'a', 'b'), (2, NULL, 'b')")
    assert set(images(shop)) == {("default", "1", 0), ("default", "1", 1), ("default", "2", 1)}
    shop.execute("UPDATE shop.product SET back = NULL, photo = 'c'")
    assert images(shop) == {("default", "1", 0): "https://x.example/c", ("default", "2", 0): "https://x.example/c"}
    assert shop.execute("SELECT * FROM imgsearch.drift('shop.product')").fetchall() == []


def test_pictures_may_have_a_table_of_their_own(shop: Connection) -> None:
    shop.execute(
        "CREATE TABLE shop.photo (id serial PRIMARY KEY, product_id integer NOT NULL REFERENCES shop.product"
        " ON DELETE CASCADE, place integer, file text, UNIQUE (product_id, place))"
    )
    shop.execute("INSERT INTO shop.product (id, store, price) VALUES (1, 'acme', 5), (2, 'acme', 6)")
    shop.execute("INSERT INTO shop.photo (product_id, place, file) VALUES (1, 0, 'a.jpg')")
    shop.execute(
        "SELECT imgsearch.attach('shop.product', key => 'id', tenant => 'store', price => 'price',"
        " pictures => 'shop.photo', picture_of => 'product_id', ordinal => 'place', image => 'file', base => 'https://x.example')"
    )
    assert set(images(shop)) == {("acme", "1", 0)}
    shop.execute("INSERT INTO shop.photo (product_id, place, file) VALUES (1, 1, 'b.jpg'), (2, 0, 'c.jpg')")
    shop.execute("UPDATE shop.product SET price = 7")
    assert shop.execute("SELECT array_agg(price) FROM imgsearch.image").fetchone() == ([7.0, 7.0, 7.0],)
    shop.execute("UPDATE shop.photo SET product_id = 2, place = 1 WHERE file = 'b.jpg'")
    assert set(images(shop)) == {("acme", "1", 0), ("acme", "2", 0), ("acme", "2", 1)}
    shop.execute("DELETE FROM shop.photo WHERE file = 'c.jpg'")
    shop.execute("UPDATE shop.product SET store = 'bolt' WHERE id = 2")
    assert set(images(shop)) == {("acme", "1", 0), ("bolt", "2", 1)}
    shop.execute("DELETE FROM shop.product WHERE id = 2")
    assert set(images(shop)) == {("acme", "1", 0)}
    assert shop.execute("SELECT * FROM imgsearch.drift('shop.product')").fetchall() == []
    shop.execute("TRUNCATE shop.product CASCADE")
    assert images(shop) == {}


def test_a_partitioned_table_is_followed_across_its_partitions(shop: Connection) -> None:
    shop.execute(
        "CREATE TABLE shop.item (id integer, store text, photo text, price float8, PRIMARY KEY (store, id))"
        " PARTITION BY LIST (store)"
    )
    shop.execute("CREATE TABLE shop.item_a PARTITION OF shop.item FOR VALUES IN ('a')")
    shop.execute("CREATE TABLE shop.item_b PARTITION OF shop.item FOR VALUES IN ('b')")
    shop.execute(
        "SELECT imgsearch.attach('shop.item', key => 'id', tenant => 'store', image => 'photo', price => 'price')"
    )
    shop.execute(
        "INSERT INTO shop.item"
        " VALUES (1, 'a', 'https://x/1', 1), (1, 'b', 'https://x/2', 2), (2, 'b', 'https://x/3', 3)"
    )
    shop.execute("UPDATE shop.item SET store = 'a' WHERE id = 2")
    shop.execute("UPDATE shop.item SET price = 9 WHERE store = 'b'")
    assert set(images(shop)) == {("a", "1", 0), ("b", "1", 0), ("a", "2", 0)}
    assert shop.execute("SELECT price FROM imgsearch.image WHERE tenant_id = 'b'").fetchone() == (9.0,)
    shop.execute("DELETE FROM shop.item WHERE store = 'a'")
    assert set(images(shop)) == {("b", "1", 0)}


ODD = """
CREATE SCHEMA "Mein Laden";
CREATE TABLE "Mein Laden"."Ware""x" (
    "Schlüssel %s" integer PRIMARY KEY, "Foto's" text, "old" text, position text, uri text, "{n}" text
)
"""


def test_names_with_capitals_spaces_and_quotes(connection: Connection) -> None:
    name = '"Mein Laden"."Ware""x"'
    connection.execute(ODD.encode())
    attach(
        connection,
        name,
        key="Schlüssel %s",
        image="Foto's",
        category="old",
        attributes=["position", "uri", "{n}"],
        prefix="w'%s:",
    )
    connection.execute(f"INSERT INTO {name} VALUES (1, 'https://x/1', 'o', 'p', 'u', 'n')".encode())  # noqa: S608
    connection.execute(f"UPDATE {name} SET old = 'new'".encode())  # noqa: S608
    connection.execute(f'UPDATE {name} SET "Schlüssel %s" = 2'.encode())  # noqa: S608
    row = connection.execute("SELECT product_id, category, attributes, uri FROM imgsearch.image").fetchall()
    assert row == [("w'%s:2", "new", {"position": "p", "uri": "u", "{n}": "n"}, "https://x/1")]
    assert detach(connection, name) == 1


def test_columns_may_be_renamed_altered_and_the_table_too(attached: Connection) -> None:
    attached.execute("ALTER TABLE shop.product RENAME COLUMN category TO section")
    insert(attached, 1)
    attached.execute("UPDATE shop.product SET section = 'Hats'")
    assert attached.execute("SELECT category FROM imgsearch.image").fetchone() == ("hats",)
    attached.execute("ALTER TABLE shop.product ALTER COLUMN section TYPE varchar(99), ALTER COLUMN price TYPE float8")
    attached.execute("ALTER TABLE shop.product RENAME TO ware")
    attached.execute("UPDATE shop.ware SET section = 'Shoes', price = 7")
    assert attached.execute("SELECT category, price FROM imgsearch.image").fetchone() == ("shoes", 7.0)
    assert attached.execute("SELECT relation FROM imgsearch.attachments").fetchone() == ("shop.ware",)
    assert attached.execute("SELECT * FROM imgsearch.attachment_failure").fetchall() == []
    attached.execute("ALTER TABLE shop.ware RENAME TO product")
