"""Catalogues as they really are: variants, pictures in an order, values out of other tables, composite keys."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from imgsearch.errors import AttachmentError, UsageError
from imgsearch.ingest import attachment
from tests.attach.conftest import Connection, images
from tests.attach.family import attach_family, drift, make_family, written_rows


@pytest.fixture(params=["public", "shop"])
def family(request: pytest.FixtureRequest, connection: Connection) -> Connection:
    """Products with variants, attached; the tables are found through the search path, or are not on it."""
    make_family(connection, request.param)
    attach_family(connection)
    return connection


def places(connection: Connection, product: int) -> list[str]:
    rows = connection.execute(
        "SELECT position, uri FROM imgsearch.image WHERE product_id = %s ORDER BY position", (str(product),)
    ).fetchall()
    assert [position for position, _ in rows] == list(range(len(rows))), "positions are 0, 1, 2 …"
    return [uri.rpartition("/")[2] for _, uri in rows]


def test_variants_pictures_rank_the_parent_and_children_fall_back(family: Connection) -> None:
    family.execute("INSERT INTO product (id, parent_id, title) VALUES (1, NULL, 'Shoe'), (2, 1, 'red'), (3, 1, 'blue')")
    family.execute("INSERT INTO product (id, like_id, title) VALUES (9, 1, 'A like one')")
    family.execute("INSERT INTO picture (id, product_id, place, file) VALUES (1, 2, 0, 'red'), (2, 3, 0, 'blue')")
    assert places(family, 1) == ["red", "blue"]
    assert places(family, 2) == []
    assert places(family, 9) == ["red", "blue"], "it has none of its own"
    family.execute("INSERT INTO picture (id, product_id, place, file) VALUES (3, 1, 5, 'both'), (4, 9, 0, 'own')")
    assert places(family, 1) == ["both", "red", "blue"], "the row's own come first"
    assert places(family, 9) == ["own"]
    family.execute("DELETE FROM picture WHERE id = 4")
    assert places(family, 9) == ["both", "red", "blue"]
    family.execute("UPDATE product SET parent_id = NULL WHERE id = 3")
    assert (places(family, 1), places(family, 3)) == (["both", "red"], ["blue"])
    family.execute("DELETE FROM picture WHERE product_id = 2; DELETE FROM product WHERE id = 2")
    assert places(family, 1) == ["both"]
    assert drift(family) == []


def test_owners_have_owners_up_to_the_product(family: Connection) -> None:
    family.execute(
        "INSERT INTO product (id, parent_id, title) VALUES (1, NULL, 'Shoe'), (2, 1, 'red'), (3, 2, 'red 44')"
    )
    family.execute("INSERT INTO picture (id, product_id, file) VALUES (1, 3, 'a'), (2, 2, 'b')")
    assert places(family, 1) == ["a", "b"]
    family.execute("INSERT INTO product (id, like_id) VALUES (9, 2)")
    assert places(family, 9) == ["b", "a"], "it falls back on a variant, and what that owns"
    family.execute("INSERT INTO picture (id, product_id, file) VALUES (3, 3, 'c')")
    assert (places(family, 1), places(family, 9)) == (["a", "b", "c"], ["b", "a", "c"])
    family.execute("INSERT INTO product (id) VALUES (5); UPDATE product SET parent_id = 5 WHERE id = 2")
    assert (places(family, 1), places(family, 5)) == ([], ["a", "b", "c"]), "the whole branch moves"
    family.execute("UPDATE picture SET file = 'd' WHERE id = 1; UPDATE product SET parent_id = NULL WHERE id = 2")
    assert (places(family, 5), places(family, 2)) == ([], ["b", "d", "c"])
    assert drift(family) == []


def test_rows_whose_owners_lead_nowhere_are_drift(family: Connection) -> None:
    family.execute("INSERT INTO picture (id, product_id, file) SELECT n, n, 'p' || n FROM generate_series(1, 6) n")
    family.execute("INSERT INTO product (id, parent_id) VALUES (1, NULL), (2, 77), (3, 4), (4, 3), (5, 3), (6, 6)")
    assert {(one[0], one[2]) for one in drift(family)} == {("astray", n) for n in "2345"}
    assert {one.cause for one in attachment.drift(family, "product")} == {
        "its owner, or the owner of that, is missing or is itself"
    }
    family.execute("INSERT INTO product (id) VALUES (77); UPDATE product SET parent_id = NULL WHERE id = 3")
    assert (places(family, 77), places(family, 3), drift(family)) == (["p2"], ["p3", "p4", "p5"], [])


def test_a_picture_in_front_keeps_the_vectors_of_the_others(family: Connection) -> None:
    family.execute("INSERT INTO product (id) VALUES (1), (2)")
    family.execute(
        "INSERT INTO picture (id, product_id, place, file) VALUES (1, 1, 5, 'a'), (2, 1, 5, 'b'), (3, 1, 7, 'c')"
    )
    family.execute("DELETE FROM imgsearch.job")
    family.execute("UPDATE imgsearch.image SET sha256 = sha256(uri::bytea)")
    before = dict(family.execute("SELECT uri, image_id FROM imgsearch.image").fetchall())
    family.execute("INSERT INTO picture (id, product_id, place, file) VALUES (4, 1, 0, 'front')")
    assert places(family, 1) == ["front", "a", "b", "c"]
    family.execute("UPDATE picture SET is_main = true WHERE id = 3")
    assert places(family, 1) == ["c", "front", "a", "b"]
    family.execute("UPDATE picture SET place = -1 WHERE id = 2")
    family.execute("UPDATE product SET parent_id = 2 WHERE id = 1")
    assert places(family, 2) == ["c", "b", "front", "a"]
    after = dict(family.execute("SELECT uri, image_id FROM imgsearch.image").fetchall())
    assert {uri: after[uri] for uri in before} == before
    [(waiting,)] = family.execute("SELECT array_agg(image_id) FROM imgsearch.job").fetchall()
    assert waiting == [after["https://x.example/front"]], "only the new picture is embedded"
    assert drift(family) == []


def test_values_out_of_other_tables_are_kept_in_step(family: Connection) -> None:
    family.execute("INSERT INTO product (id, title) VALUES (1, 'Shoe'), (2, 'Hat')")
    family.execute("INSERT INTO picture (id, product_id, file) VALUES (1, 1, 'a'), (2, 2, 'b')")
    family.execute("INSERT INTO stock (id, product_id, price) VALUES (1, 1, 9), (2, 1, 5), (3, 2, 7)")
    family.execute("INSERT INTO category (id, name) VALUES (1, 'shoes'), (2, 'sale')")
    family.execute("INSERT INTO product_category VALUES (1, 1), (1, 2), (2, 2)")
    query = "SELECT product_id, price, categories FROM imgsearch.image ORDER BY product_id"
    assert family.execute(query).fetchall() == [("1", 5.0, ["sale", "shoes"]), ("2", 7.0, ["sale"])]
    before = written_rows(family)
    family.execute("UPDATE stock SET note = 'counted', price = price")
    assert written_rows(family) == before, "nothing mapped changed"
    family.execute("UPDATE stock SET price = 3 WHERE id = 1; UPDATE stock SET product_id = 2 WHERE id = 2")
    family.execute("UPDATE category SET name = 'SALE' WHERE id = 2; DELETE FROM product_category WHERE category_id = 1")
    assert family.execute(query).fetchall() == [("1", 3.0, ["SALE"]), ("2", 5.0, ["SALE"])]
    family.execute("TRUNCATE stock, product_category")
    assert family.execute(query).fetchall() == [("1", None, None), ("2", None, None)]
    assert drift(family) == []


def test_a_price_elsewhere_never_writes_vectors(family: Connection, space: Any) -> None:
    from tests.shop import embed

    family.execute("INSERT INTO product (id) SELECT generate_series(1, 20)")
    family.execute("INSERT INTO stock (id, product_id, price) SELECT n, n, n FROM generate_series(1, 20) n")
    family.execute(
        "INSERT INTO picture (id, product_id, file) SELECT n, 1 + n % 20, 'p' || n FROM generate_series(1, 60) n"
    )
    ids = [row[0] for row in family.execute("SELECT image_id FROM imgsearch.image ORDER BY 1").fetchall()]
    with family.cursor() as cursor:
        embed(cursor, space, [("default", i, bytes(32), [1.0, *[i / 99] * 47]) for i in ids])
    family.execute("UPDATE imgsearch.image SET sha256 = %s", (bytes(32),))
    rows = family.execute("SELECT image_id, xmin::text FROM imgsearch.embedding_1 ORDER BY 1").fetchall()
    family.execute("UPDATE stock SET price = price + 1")
    assert family.execute("SELECT image_id, xmin::text FROM imgsearch.embedding_1 ORDER BY 1").fetchall() == rows
    assert family.execute("SELECT count(*) FROM imgsearch.image WHERE price > 1").fetchone() == (60,)
    assert family.execute("SELECT count(*) FROM imgsearch.job").fetchone() == (0,)


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (
            {"price": "(SELECT min(s.price) FROM stock s WHERE s.product_id = product.id)"},
            "reads public.stock",
            '"product_id"',
        ),
        ({"price": "dear(id)"}, "may read other tables", "follow => '{}'"),
        ({"price": "random()"}, r"random\(\) is volatile", "STABLE"),
        ({"price": "loud(id)"}, r"loud\(integer\) is volatile", "STABLE"),
        ({"category": "to_jsonb(product) ->> 'title'"}, "reads the whole row", "Name the columns"),
        ({"follow": {"stock": "nothing"}}, "does not exist", "It gives id"),
        ({"follow": {"stock": "SELECT product_id, id FROM changed"}}, "2 columns|gives", "key"),
        ({"follow": {"nowhere": "id"}}, "no table nowhere", "schema"),
        ({"follow": {"seen": "id"}}, "not an ordinary table", "null"),
        ({"owner": "parent_id, id"}, "does not give the whole key", "as many"),
        (
            {"owner": "price"},
            "no index that begins with price",
            "CREATE INDEX ON public.product (price);  -- in a model of SQLAlchemy: index=True",
        ),
        ({"main": "title"}, "main => 'title' is of type text", "boolean"),
    ],
)
def test_what_cannot_be_kept_in_step_is_refused_with_the_line_to_add(
    connection: Connection, arguments: dict[str, Any], said: str, hint: str
) -> None:
    make_family(connection, "public")
    connection.execute(
        "ALTER TABLE product ADD price integer, ADD photo text; CREATE VIEW seen AS SELECT * FROM stock;"
        "CREATE FUNCTION dear(n integer) RETURNS numeric LANGUAGE sql STABLE AS 'SELECT max(price) FROM stock';"
        "CREATE FUNCTION loud(n integer) RETURNS numeric LANGUAGE sql AS 'SELECT max(price) FROM stock'"
    )
    with pytest.raises(AttachmentError, match=said) as refused:
        attachment.attach(connection, "product", **({"key": "id", "image": "photo"} | arguments))
    assert hint in str(refused.value)


def test_tables_that_are_not_followed_are_refreshed_by_keys(connection: Connection) -> None:
    make_family(connection, "public")
    connection.execute("INSERT INTO product (id) SELECT generate_series(1, 9)")
    connection.execute("INSERT INTO picture (id, product_id, file) SELECT n, n, 'p' || n FROM generate_series(1, 9) n")
    connection.execute("INSERT INTO stock (id, product_id, price) SELECT n, n, n FROM generate_series(1, 9) n")
    attachment.attach(
        connection,
        "product",
        key="id",
        image="file",
        pictures="picture",
        picture_of="product_id",
        base="https://x.example",
        price="(SELECT min(s.price) FROM stock s WHERE s.product_id = product.id)",
        follow={"stock": None},
    )
    connection.execute("UPDATE stock SET price = 50 WHERE id < 4")
    found = attachment.drift(connection, "product")
    assert [(one.product_id, one.problem, one.cause) for one in found] == [
        (str(n), "stale", "other table, not followed: stock") for n in (1, 2, 3)
    ]
    assert attachment.refresh(connection, "product", [1, 2, 77, 2]) == 2
    assert [one.product_id for one in attachment.drift(connection, "product")] == ["3"]
    with pytest.raises(AttachmentError, match="no key of product"):
        attachment.refresh(connection, "product", ["x'); --"])
    with pytest.raises(AttachmentError, match="100000 at most"):
        attachment.refresh(connection, "product", range(100_001))
    with pytest.raises(UsageError, match="no argument colour"):
        attachment.attach_query(connection, "q", "SELECT 1", colour="red")


def test_a_query_is_attached_and_refreshed_by_keys(connection: Connection) -> None:
    make_family(connection, "public")
    connection.execute("INSERT INTO product (id, title) VALUES (1, 'Shoe'), (2, 'Hat')")
    connection.execute("INSERT INTO stock (id, product_id, price) VALUES (1, 1, 5), (2, 2, 7)")
    connection.execute(
        "CREATE VIEW seen AS SELECT p.id, p.title, min(s.price) AS price, 'p' || p.id AS photo"
        " FROM product p JOIN stock s ON s.product_id = p.id GROUP BY p.id"
    )
    mapping: dict[str, Any] = {
        "key": "id",
        "image": "photo",
        "price": "price",
        "title": "title",
        "base": "https://x.example",
    }
    attachment.attach_query(connection, "offers", "seen", **mapping)
    attachment.attach_query(connection, "hats", "SELECT * FROM seen WHERE title = 'Hat'", **mapping, prefix="hat:")
    assert set(images(connection)) == {("default", n, 0) for n in ("1", "2", "hat:2")}
    connection.execute("UPDATE stock SET price = price + 1; DELETE FROM stock WHERE id = 1")
    assert {(d.problem, d.product_id, d.cause) for d in attachment.drift(connection, "offers")} == {
        ("extra", "1", "not refreshed"),
        ("stale", "2", "not refreshed"),
    }
    assert attachment.refresh(connection, "offers", [1, 2]) == 2
    assert attachment.drift(connection, "offers") == []
    assert attachment.repair(connection, "hats") == 1
    assert connection.execute("SELECT p.title FROM imgsearch.product p ORDER BY 1").fetchall() == [("Hat",), ("Hat",)]
    assert [one.relation for one in attachment.attachments(connection)] == ["hats", "offers"]
    assert attachment.detach(connection, "hats") == 1
    with pytest.raises(AttachmentError, match="syntax error"):
        attachment.attach_query(connection, "bad", "SELECT FROM WHERE", key="id", image="x")


def test_keys_of_several_columns_and_uuids(connection: Connection) -> None:
    connection.execute(
        "CREATE TABLE ware (shop_id integer, sku text, photo text, price int, PRIMARY KEY (shop_id, sku));"
        "CREATE TABLE side (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), shop_id integer, sku text, file text);"
        "CREATE INDEX ON side (shop_id, sku)"
    )
    attachment.attach(
        connection,
        "ware",
        key="shop_id, sku",
        image="file",
        pictures="side",
        picture_of="shop_id, sku",
        price="price",
        base="https://x.example",
    )
    attachment.attach(connection, "side", key="id", image="file", prefix="side:", base="https://x.example")
    connection.execute("INSERT INTO ware VALUES (1, 'a/b', NULL, 5), (1, 'a%2Fb', NULL, 6), (2, 'a/b', NULL, 7)")
    connection.execute("INSERT INTO side (shop_id, sku, file) SELECT shop_id, sku, shop_id || sku FROM ware")
    query = "SELECT product_id, price FROM imgsearch.image WHERE product_id NOT LIKE 'side:%' ORDER BY price"
    assert connection.execute(query).fetchall() == [("1/a%2Fb", 5.0), ("1/a%252Fb", 6.0), ("2/a%2Fb", 7.0)]
    connection.execute("UPDATE ware SET price = 1 WHERE (shop_id, sku) = (1, 'a/b')")
    connection.execute("UPDATE ware SET sku = 'c' WHERE shop_id = 2")
    connection.execute("DELETE FROM ware WHERE sku = 'a%2Fb'")
    assert connection.execute(query).fetchall() == [("1/a%2Fb", 1.0)]
    assert attachment.refresh(connection, "ware", ["1/a%2Fb", "2/c"]) == 0
    connection.execute("UPDATE side SET sku = 'c' WHERE shop_id = 2")
    assert connection.execute(query).fetchall() == [("1/a%2Fb", 1.0), ("2/c", 7.0)]
    for name in ("ware", "side"):
        assert attachment.drift(connection, name) == []


def test_a_followed_table_may_be_renamed_and_come_back(connection: Connection) -> None:
    """Its writes succeed meanwhile, and what they concern is listed until it can be read again."""
    make_family(connection, "public")
    attach_family(connection)
    connection.execute("ALTER TABLE stock RENAME TO supply")
    connection.execute("INSERT INTO product (id) VALUES (1)")
    connection.execute("INSERT INTO picture (id, product_id, file) VALUES (1, 1, 'a')")
    connection.execute("INSERT INTO supply (id, product_id, price) VALUES (1, 1, 5)")
    assert connection.execute("SELECT count(*) FROM imgsearch.attachment_failure").fetchone() == (1,)
    connection.execute("ALTER TABLE supply RENAME TO stock")
    assert attachment.repair(connection, "product") == 1
    assert drift(connection) == []
    assert connection.execute("SELECT count(*) FROM imgsearch.attachment_failure").fetchone() == (0,)
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("INSERT INTO product (id) VALUES (1)")
