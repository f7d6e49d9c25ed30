"""Whatever a shop writes, in whatever order, nothing is out of step after the transaction."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.attach.conftest import Connection
from tests.attach.family import attach_family, drift, make_family

N = st.integers(1, 5)
FILE = st.sampled_from(["a", "b", "c", "d", "", None])
STORE = st.sampled_from(["default", "other", "", None])
MAYBE = st.none() | N


def statement(text: str, *values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, tuple[Any, ...]]]:
    return st.tuples(st.just(text), st.tuples(*values))


STATEMENTS = st.one_of(
    statement(
        "INSERT INTO product (id, parent_id, like_id, store, title) VALUES (%s, %s, %s, %s, %s) ON CONFLICT (id)"
        " DO UPDATE SET parent_id = EXCLUDED.parent_id, like_id = EXCLUDED.like_id, store = EXCLUDED.store",
        *(N, MAYBE, MAYBE, STORE, FILE),
    ),
    statement(
        "UPDATE product p SET id = x.new FROM (SELECT %s::integer AS new, %s::integer AS old) x"
        " WHERE p.id = x.old AND NOT EXISTS (SELECT 1 FROM product WHERE id = x.new)",
        *(N, N),
    ),
    statement("UPDATE product SET parent_id = %s, title = %s WHERE id > %s", MAYBE, FILE, N),
    statement("UPDATE product SET like_id = %s WHERE id = %s", MAYBE, N),
    statement("DELETE FROM product WHERE id = %s", N),
    statement(
        "INSERT INTO picture SELECT n, %s, %s, %s, %s FROM generate_series(%s::integer, %s) n ON CONFLICT (id)"
        " DO UPDATE SET product_id = EXCLUDED.product_id, place = EXCLUDED.place, file = EXCLUDED.file",
        *(MAYBE, N, st.booleans(), FILE, N, N),
    ),
    statement("UPDATE picture SET place = -place, file = %s WHERE id <> %s", FILE, N),
    statement("UPDATE picture SET is_main = id = %s, product_id = %s", N, N),
    statement("DELETE FROM picture WHERE product_id = %s", N),
    statement(
        "INSERT INTO stock VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE SET price = EXCLUDED.price", N, MAYBE, N
    ),
    statement("UPDATE stock SET product_id = %s, price = price - %s", MAYBE, N),
    statement("DELETE FROM stock WHERE id < %s", N),
    statement("INSERT INTO category VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name", N, FILE),
    statement("INSERT INTO product_category VALUES (%s, %s) ON CONFLICT DO NOTHING", N, N),
    statement("UPDATE category SET name = name || 'x' WHERE id = %s", N),
    statement("DELETE FROM product_category WHERE category_id = %s", N),
    statement("TRUNCATE stock"),
    statement("TRUNCATE picture"),
    statement("TRUNCATE product CASCADE"),
    statement(
        "WITH gone AS (DELETE FROM picture WHERE id = %s RETURNING *) INSERT INTO picture"
        " SELECT id + 10, %s, place, false, file FROM gone ON CONFLICT (id) DO NOTHING",
        *(N, N),
    ),
)
TRANSACTIONS = st.lists(st.tuples(st.booleans(), st.lists(STATEMENTS, min_size=1, max_size=4)), min_size=3, max_size=8)


def astray(connection: Connection) -> set[str]:
    """Rows with pictures, their own or those of rows that they own, whose owners lead to no product."""
    owner = {
        key: None if up in {None, key} else up
        for key, up in connection.execute("SELECT id, parent_id FROM product").fetchall()
    }
    with_pictures = {row[0] for row in connection.execute("SELECT product_id FROM picture WHERE file <> ''").fetchall()}

    def way(key: int) -> list[int | None]:
        """The row, its owner, the owner of that; ends with None at a product."""
        found: list[int | None] = [key]
        while found[-1] is not None and found[-1] in owner and found[-1] not in found[:-1]:
            found.append(owner[found[-1]])
        return found

    lost = {key for key in owner if way(key)[-1] is not None}
    return {str(key) for key in lost if any(key in way(one) for one in with_pictures & set(owner))}


@given(transactions=TRANSACTIONS)
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_after_any_transaction_nothing_is_out_of_step(
    connection: Connection, transactions: list[tuple[bool, list[tuple[str, tuple[Any, ...]]]]]
) -> None:
    if connection.execute("SELECT to_regclass('product')").fetchone() == (None,):
        make_family(connection, "public")
        connection.execute("ALTER TABLE stock DROP CONSTRAINT stock_product_id_fkey")
        attach_family(connection)
    connection.execute("TRUNCATE product, picture, stock, category, product_category CASCADE")
    connection.execute(
        "INSERT INTO product (id, parent_id, like_id, title) VALUES (1, NULL, NULL, 'one'), (2, 1, NULL, 'two'),"
        " (3, NULL, 1, 'three'), (4, 3, NULL, 'four'), (5, NULL, 3, NULL)"
    )
    connection.execute("INSERT INTO picture SELECT n, n % 3, n, n = 3, 'p' || n FROM generate_series(1, 5) n")
    for keep, statements in transactions:
        with connection.transaction(force_rollback=not keep):
            for text, values in statements:
                connection.execute(text.encode(), values)
        out = drift(connection)
        assert [one for one in out if one[0] != "astray"] == [], statements
        assert {one[2] for one in out} == astray(connection), statements
        assert connection.execute("SELECT * FROM imgsearch.attachment_failure").fetchall() == []
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []
    words = connection.execute(
        "SELECT * FROM imgsearch.product p WHERE NOT EXISTS (SELECT 1 FROM imgsearch.image i"
        " WHERE i.tenant_id = p.tenant_id AND i.product_id = p.product_id)"
    )
    assert words.fetchall() == [], "words without a picture"
