"""What a mapping or a query calls runs with the rights of the table's owner, whoever attached and replaces it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from imgsearch import db, schema
from imgsearch.settings import Settings
from tests.attach.conftest import images
from tests.conftest import with_settings
from tests.test_migrations import empty  # noqa: F401  # a fixture

Connection = psycopg.Connection[Any]
SHOP = """
CREATE ROLE shopapp;
CREATE SCHEMA theirs AUTHORIZATION shopapp;
CREATE TABLE public.loot (role name, called text);
GRANT INSERT ON public.loot TO PUBLIC;
SET ROLE shopapp;
CREATE TABLE theirs.product (id bigint PRIMARY KEY, store text, name text, price numeric, photo text);
CREATE TABLE theirs.stock (product_id bigint PRIMARY KEY, many integer);
CREATE TABLE theirs.photo (id bigint PRIMARY KEY, product_id bigint, file text);
CREATE INDEX ON theirs.photo (product_id);
CREATE FUNCTION theirs.cat_of(id bigint) RETURNS text LANGUAGE sql STABLE AS 'SELECT ''shoes''';
CREATE FUNCTION theirs.key_of(id bigint) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT id';
INSERT INTO theirs.product VALUES (1, 'acme', 'Boot', 5, 'https://x.example/1'), (2, 'acme', 'Clog', 6, 'https://x.example/2');
INSERT INTO theirs.stock VALUES (1, 3);
RESET ROLE;
"""
HOSTILE = """
SET ROLE shopapp;
CREATE OR REPLACE FUNCTION theirs.cat_of(id bigint) RETURNS text LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO public.loot VALUES (current_user, 'cat_of'); RETURN 'bags'; END $$;
CREATE OR REPLACE FUNCTION theirs.key_of(id bigint) RETURNS bigint LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO public.loot VALUES (current_user, 'key_of'); RETURN id; END $$;
RESET ROLE;
"""


@pytest.fixture
def theirs(connection: Connection) -> Iterator[Connection]:
    """A shop of a role that is a stranger to imgsearch's owner."""
    connection.execute(SHOP.encode())
    yield connection
    connection.execute("RESET ROLE; DROP OWNED BY shopapp CASCADE; DROP ROLE shopapp")


def runners(connection: Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT role FROM public.loot").fetchall()}


def as_shop(connection: Connection, statement: str) -> None:
    connection.execute(b"SET ROLE shopapp")
    connection.execute(statement.encode())
    connection.execute("RESET ROLE")


def attach(connection: Connection, more: str = ", follow => '{}'", image: str = "photo") -> None:
    connection.execute(
        b"SELECT imgsearch.attach('theirs.product', key => 'id', image => '"
        + image.encode()
        + b"', tenant => 'store', price => 'price',"
        b" category => 'theirs.cat_of(id)', title => 'name'" + more.encode() + b")"
    )


FOLLOW = """, follow => '{"theirs.stock": "theirs.key_of(product_id)"}'"""


def test_a_mapping_runs_as_the_owner_of_the_table(theirs: Connection) -> None:
    attach(theirs, FOLLOW)
    assert set(images(theirs)) == {("acme", "1", 0), ("acme", "2", 0)}
    theirs.execute(HOSTILE.encode())
    as_shop(theirs, "INSERT INTO theirs.product VALUES (3, 'acme', 'Bag', 7, 'https://x.example/3')")
    as_shop(theirs, "UPDATE theirs.product SET price = 8 WHERE id = 1; UPDATE theirs.stock SET many = 4")
    theirs.execute("SELECT imgsearch.refresh('theirs.product', ARRAY['2'])")
    assert theirs.execute("SELECT * FROM imgsearch.drift('theirs.product')").fetchall() == []
    theirs.execute("SELECT imgsearch.repair('theirs.product'), imgsearch.retry_attached()")
    theirs.execute("CALL imgsearch.backfill('theirs.product')")
    assert runners(theirs) == {"shopapp"}
    assert theirs.execute("SELECT * FROM imgsearch.failures").fetchall() == []
    rows = theirs.execute("SELECT product_id, category, price FROM imgsearch.image ORDER BY 1").fetchall()
    assert rows == [("1", "bags", 8), ("2", "bags", 6), ("3", "bags", 7)]
    as_shop(theirs, "DELETE FROM theirs.product WHERE id = 2")
    assert set(images(theirs)) == {("acme", "1", 0), ("acme", "3", 0)}
    as_shop(theirs, "TRUNCATE theirs.product")
    assert images(theirs) == {}


def test_a_query_runs_as_the_owner_of_what_it_reads(theirs: Connection) -> None:
    as_shop(theirs, "CREATE VIEW theirs.cat AS SELECT id, store, photo, 'a'::text AS kind FROM theirs.product")
    theirs.execute(
        "SELECT imgsearch.attach_query('c', 'SELECT * FROM theirs.cat', key => 'id', image => 'photo',"
        " tenant => 'store', category => 'kind')"
    )
    theirs.execute(HOSTILE.encode())
    as_shop(
        theirs,
        "CREATE OR REPLACE VIEW theirs.cat AS SELECT id, store, photo, theirs.cat_of(id) AS kind FROM theirs.product",
    )
    theirs.execute("SELECT imgsearch.refresh('c', ARRAY['1', '2']), imgsearch.repair('c'), imgsearch.retry_attached()")
    theirs.execute("SELECT * FROM imgsearch.drift('c')")
    assert runners(theirs) == {"shopapp"}
    assert {row[0] for row in theirs.execute("SELECT category FROM imgsearch.image")} == {"bags"}


def test_pictures_of_a_table_of_their_own_follow_too(theirs: Connection) -> None:
    attach(theirs, ", pictures => 'theirs.photo', picture_of => 'product_id', follow => '{}'", image="file")
    as_shop(theirs, "INSERT INTO theirs.photo VALUES (7, 1, 'https://x.example/7')")
    assert theirs.execute("SELECT * FROM imgsearch.failures").fetchall() == []
    assert theirs.execute("SELECT * FROM imgsearch.drift('theirs.product')").fetchall() == []


@pytest.mark.parametrize("change", ["SECURITY INVOKER", "SECURITY INVOKER SET search_path = theirs, pg_catalog"])
def test_the_owner_gains_nothing_by_altering_what_he_was_given(theirs: Connection, change: str) -> None:
    attach(theirs)
    theirs.execute(HOSTILE.encode())
    as_shop(theirs, "ALTER FUNCTION imgsearch_internal.attached_1_read(text, text[], integer) " + change)
    as_shop(
        theirs,
        "CREATE FUNCTION theirs.trap(a name, b name) RETURNS boolean LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO public.loot VALUES (current_user, 'trap'); RETURN false; END $$;"
        "CREATE OPERATOR theirs.<> (LEFTARG = name, RIGHTARG = name, FUNCTION = theirs.trap);",
    )
    with pytest.raises(psycopg.Error, match="permission denied"):
        theirs.execute(
            "SET ROLE shopapp; CREATE FUNCTION imgsearch_internal.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'"
        )
    theirs.execute("RESET ROLE")
    as_shop(theirs, "UPDATE theirs.product SET price = 9 WHERE id = 1")
    theirs.execute("SELECT imgsearch.drift('theirs.product')")
    assert runners(theirs) <= {"shopapp"}
    theirs.execute("SELECT imgsearch.repair('theirs.product')")
    assert theirs.execute("SELECT * FROM imgsearch.drift('theirs.product')").fetchall() == []
    assert runners(theirs) == {"shopapp"}


def test_a_table_that_gets_another_owner_is_read_with_his_rights(theirs: Connection) -> None:
    theirs.execute("ALTER TABLE theirs.product OWNER TO CURRENT_USER")
    attach(theirs)
    theirs.execute("ALTER TABLE theirs.product OWNER TO shopapp")
    theirs.execute(HOSTILE.encode())
    as_shop(theirs, "UPDATE theirs.product SET price = 9 WHERE id = 1")
    theirs.execute("SELECT imgsearch.repair('theirs.product')")
    assert runners(theirs) == {"shopapp"}
    assert theirs.execute("SELECT * FROM imgsearch.failures").fetchall() == []


def test_an_owner_who_is_no_superuser_becomes_a_member_first(empty: Settings) -> None:  # noqa: F811
    with db.connect(empty, autocommit=True) as root:
        root.execute("CREATE EXTENSION vector")
        root.execute("DROP ROLE IF EXISTS keeper")
        root.execute("CREATE ROLE keeper LOGIN")
        root.execute(SQL("GRANT CREATE ON DATABASE {} TO keeper").format(Identifier(root.info.dbname)))
        root.execute(SHOP.encode())
        root.execute(
            "GRANT USAGE ON SCHEMA theirs TO keeper; GRANT SELECT, UPDATE, TRIGGER ON theirs.product TO keeper"
        )
        root.execute("GRANT SELECT ON public.loot TO keeper")
    keepers = with_settings(empty, DATABASE_URL=(empty.database_url or "").replace("postgres@", "keeper@"))
    schema.upgrade(keepers)
    with db.connect(empty, autocommit=True) as root, db.connect(keepers, autocommit=True) as keeper:
        with pytest.raises(psycopg.Error, match="is no member of it") as refused:
            attach(keeper)
        assert refused.value.diag.message_hint == "As an administrator run: GRANT shopapp TO keeper;"
        root.execute("GRANT shopapp TO keeper")
        attach(keeper)
        root.execute(HOSTILE.encode())
        as_shop(root, "UPDATE theirs.product SET price = 9 WHERE id = 1")
        keeper.execute("SELECT imgsearch.repair('theirs.product')")
        assert runners(root) == {"shopapp"}
        assert keeper.execute("SELECT category FROM imgsearch.image WHERE product_id = '1'").fetchone() == ("bags",)
        assert root.execute("SELECT * FROM imgsearch.failures").fetchall() == []
        assert root.execute("SELECT has_schema_privilege('shopapp', 'imgsearch_internal', 'CREATE')").fetchone() == (
            False,
        )
        keeper.execute("SELECT imgsearch.detach('theirs.product')")
        root.execute("DROP OWNED BY shopapp CASCADE; DROP OWNED BY keeper CASCADE; DROP ROLE shopapp, keeper")
