# ruff: noqa: S608  # the names of the schema are ours
"""The shop's own statement always succeeds: what cannot follow it is listed, shown and mended.

Each case runs with tables found through the search path and with tables of a schema that is not on it.
"""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from imgsearch import db
from imgsearch.settings import Settings
from tests.attach.conftest import Connection, images

HOMES = ("public", "shop")
TABLES = """
CREATE SCHEMA IF NOT EXISTS {at};
CREATE TABLE {at}.thing (
    id integer PRIMARY KEY, store text, kind text, price numeric, size integer DEFAULT 1, photo text, code varchar(300)
);
CREATE TABLE {at}.shot (id serial PRIMARY KEY, thing_id integer REFERENCES {at}.thing ON DELETE CASCADE, file text);
CREATE INDEX ON {at}.shot (thing_id);
CREATE FUNCTION {at}.half(n integer) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 100 / n; END $$;
"""


@pytest.fixture(params=HOMES)
def at(request: pytest.FixtureRequest, connection: Connection) -> str:
    """The schema of the shop's tables: one on the search path, and one that is not."""
    connection.execute(TABLES.format(at=request.param).encode())
    return str(request.param)


def attach(connection: Connection, at: str, more: str = "") -> None:
    table = "thing" if at == "public" else f"{at}.thing"
    connection.execute(
        f"SELECT imgsearch.attach('{table}', key => 'id', image => 'photo', tenant => 'store', category => 'kind',"
        f" price => 'price', base => 'https://x.example' {more})".encode()
    )


def failures(connection: Connection) -> list[tuple[str, str]]:
    return connection.execute("SELECT key, error FROM imgsearch.attachment_failure ORDER BY 1").fetchall()


def test_pictures_of_a_table_of_their_own_are_followed(connection: Connection, at: str) -> None:
    pictures = "shot" if at == "public" else f"{at}.shot"
    connection.execute(
        f"SELECT imgsearch.attach('{pictures.replace('shot', 'thing')}', key => 'id', image => 'file',"
        f" pictures => '{pictures}', picture_of => 'thing_id', ordinal => 'id', base => 'https://x.example')".encode()
    )
    connection.execute(f"INSERT INTO {at}.thing (id) VALUES (1)".encode())
    connection.execute(f"INSERT INTO {at}.shot (id, thing_id, file) VALUES (7, 1, 'a'), (8, 1, 'b')".encode())
    connection.execute(f"DELETE FROM {at}.shot WHERE id = 7".encode())
    assert images(connection) == {("default", "1", 8): "https://x.example/b"}
    assert failures(connection) == []


def test_two_attachments_share_one_table_of_pictures(connection: Connection, at: str) -> None:
    thing, shot = (name if at == "public" else f"{at}.{name}" for name in ("thing", "shot"))
    connection.execute(
        f"SELECT imgsearch.attach('{thing}', key => 'id', image => 'file', pictures => '{shot}',"
        f" picture_of => 'thing_id', base => 'https://x.example')".encode()
    )
    connection.execute(
        f"SELECT imgsearch.attach('{shot}', key => 'id', image => 'file', prefix => 'shot:',"
        " base => 'https://x.example')".encode()
    )
    connection.execute(f"INSERT INTO {at}.thing (id) VALUES (1)".encode())
    connection.execute(f"INSERT INTO {at}.shot (id, thing_id, file) VALUES (7, 1, 'a')".encode())
    assert set(images(connection)) == {("default", "1", 0), ("default", "shot:7", 0)}
    connection.execute(f"TRUNCATE {at}.shot".encode())
    assert images(connection) == {}
    connection.execute("SELECT imgsearch.detach(%s)", (shot,))
    connection.execute(f"INSERT INTO {at}.shot (id, thing_id, file) VALUES (8, 1, 'b')".encode())
    assert set(images(connection)) == {("default", "1", 0)}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"kind": "x" * 5000}, "category has 5000 characters"),
        ({"store": "x" * 5000}, "tenant has 5000 characters"),
        ({"size": 0}, "division by zero"),
    ],
)
def test_what_cannot_follow_is_listed_and_the_others_follow(
    connection: Connection, at: str, columns: dict[str, object], said: str
) -> None:
    attach(connection, at, f", attributes => ARRAY['{at}.half(size) AS half']")
    warned: list[str] = []
    connection.add_notice_handler(lambda notice: warned.append(notice.message_primary or ""))
    rows = [{"id": n, "store": "acme", "photo": f"{n}.jpg", "kind": "k", "size": 1} for n in range(1, 21)]
    rows[6] |= columns
    with connection.cursor() as cursor:
        copied = f"COPY {at}.thing (id, store, photo, kind, size) FROM STDIN"
        with cursor.copy(copied.encode()) as copy:
            for row in rows:
                copy.write_row(list(row.values()))
    assert connection.execute(f"SELECT count(*) FROM {at}.thing".encode()).fetchone() == (20,)
    assert len(images(connection)) == 19
    [(key, error)] = failures(connection)
    assert key == "7"
    assert said in error
    assert [line for line in warned if "is written, but image search could not follow it" in line]
    assert connection.execute("SELECT product_id, error_code FROM imgsearch.failures").fetchall() == [
        ("7", "not_followed")
    ]
    assert connection.execute("SELECT failed FROM imgsearch.attachments").fetchone() == (1,)
    connection.execute(f"UPDATE {at}.thing SET kind = 'k', store = 'acme', size = 2 WHERE id = 7".encode())
    assert failures(connection) == [], "the row was mended, and followed"
    assert len(images(connection)) == 20


def test_values_that_are_no_prices_and_no_categories(connection: Connection, at: str) -> None:
    attach(connection, at)
    connection.execute(
        f"INSERT INTO {at}.thing (id, store, photo, kind, price) VALUES (1, 'a', 'p', '', -1),"
        " (2, 'a', 'p', NULL, 'NaN'),"
        " (3, 'a', 'p', 'k', 1e400), (4, 'a', 'p', 'k', 1e-400), (5, 'a', 'p', 'k', 'Infinity')".encode()
    )
    found = connection.execute("SELECT product_id, category, price FROM imgsearch.image ORDER BY 1").fetchall()
    assert found == [("1", None, None), ("2", None, None), ("3", "k", None), ("4", "k", None), ("5", "k", None)]
    assert connection.execute("SELECT drift FROM imgsearch.attachments").fetchone() == (0,)


def test_a_dropped_column_and_a_dropped_table(connection: Connection, at: str) -> None:
    attach(connection, at)
    connection.execute(f"INSERT INTO {at}.thing (id, store, photo) VALUES (1, 'acme', 'a')".encode())
    connection.execute(f"ALTER TABLE {at}.thing DROP COLUMN kind".encode())
    connection.execute(f"INSERT INTO {at}.thing (id, store, photo) VALUES (2, 'acme', 'b')".encode())
    connection.execute(f"UPDATE {at}.thing SET price = 7".encode())
    connection.execute(f"DELETE FROM {at}.thing WHERE id = 1".encode())
    assert {key for key, _ in failures(connection)} == {"1", "2"}
    assert "a column that is mapped is gone" in failures(connection)[0][1]
    [(problem, cause)] = connection.execute(
        "SELECT problem, cause FROM imgsearch.attachments a, imgsearch.drift(a.relation)"
    ).fetchall()
    assert problem == "unreadable"
    assert "is gone" in cause
    connection.execute(f"DROP TABLE {at}.thing CASCADE".encode())
    assert connection.execute("SELECT relation FROM imgsearch.attachments").fetchone() in {
        ("thing",),
        ("shop.thing",),
    }
    [(found,)] = connection.execute("SELECT name FROM imgsearch.attachment").fetchall()
    assert connection.execute("SELECT imgsearch.detach(%s)", (found,)).fetchone() == (1,)


def test_a_missing_right_and_a_trigger_of_the_shops_own(connection: Connection, at: str, settings: Settings) -> None:
    attach(connection, at)
    connection.execute(
        f"CREATE FUNCTION {at}.refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.price > 9 THEN RAISE EXCEPTION 'too dear'; END IF; RETURN NEW; END $$;"
        f"CREATE TRIGGER z_refuse AFTER INSERT ON {at}.thing FOR EACH ROW EXECUTE FUNCTION {at}.refuse()".encode()
    )

    with pytest.raises(psycopg.errors.RaiseException, match="too dear"):
        connection.execute(f"INSERT INTO {at}.thing (id, store, photo, price) VALUES (1, 'a', 'p', 10)".encode())
    assert (images(connection), failures(connection)) == ({}, [])
    connection.execute("DROP ROLE IF EXISTS seller")
    connection.execute("CREATE ROLE seller")
    connection.execute(f"GRANT USAGE ON SCHEMA {at} TO seller; GRANT ALL ON {at}.thing TO seller".encode())
    connection.execute("ALTER TABLE imgsearch.image ADD CONSTRAINT cheap CHECK (price < 5)")
    with db.connect(settings, autocommit=True) as seller:
        seller.execute("SET ROLE seller")
        seller.execute(f"INSERT INTO {at}.thing (id, store, photo, price) VALUES (2, 'a', 'p', 6)".encode())
    assert [key for key, _ in failures(connection)] == ["2"]
    connection.execute("ALTER TABLE imgsearch.image DROP CONSTRAINT cheap")
    [(found,)] = connection.execute("SELECT name FROM imgsearch.attachment").fetchall()
    assert connection.execute("SELECT imgsearch.refresh(%s, '{2}')", (found,)).fetchone() == (1,)
    assert failures(connection) == []
    connection.execute("DROP OWNED BY seller; DROP ROLE seller")


def test_a_lock_that_others_hold_is_not_waited_for_long(connection: Connection, at: str, settings: Settings) -> None:
    attach(connection, at)
    connection.execute(f"INSERT INTO {at}.thing (id, store, photo, price) VALUES (1, 'a', 'p', 6)".encode())
    with db.connect(settings) as other:
        other.execute("SELECT 1 FROM imgsearch.image FOR UPDATE")
        connection.execute(f"UPDATE {at}.thing SET price = 7 WHERE id = 1".encode())
    [(key, error)] = failures(connection)
    assert key == "1"
    assert "lock timeout" in error
    connection.execute("UPDATE imgsearch.attachment_failure SET failed_at = now() - interval '1 day'")
    assert connection.execute("SELECT imgsearch.retry_attached()").fetchone() == (1,)
    assert connection.execute("SELECT price FROM imgsearch.image").fetchone() == (7,)


def test_transactions_in_each_others_way_both_succeed(connection: Connection, at: str, settings: Settings) -> None:
    """One holds thing 1 and gives thing 2 another picture; the other holds thing 2 and wants thing 1."""
    home = "" if at == "public" else f"{at}."
    connection.execute(
        f"SELECT imgsearch.attach('{home}thing', key => 'id', image => 'file', pictures => '{home}shot',"
        " picture_of => 'thing_id', ordinal => 'id', price => 'price', base => 'https://x.example')".encode()
    )
    connection.execute(f"INSERT INTO {at}.thing (id, price) VALUES (1, 6), (2, 6)".encode())
    connection.execute(f"INSERT INTO {at}.shot (id, thing_id, file) VALUES (1, 1, 'a'), (2, 2, 'b')".encode())
    failed: list[Exception] = []

    def wants_the_first(other: Connection) -> None:
        try:
            other.execute(f"UPDATE {at}.thing SET price = 8 WHERE id = 1".encode())
            other.commit()
        except psycopg.Error as error:
            failed.append(error)

    with db.connect(settings) as one, db.connect(settings) as other:
        one.execute(f"UPDATE {at}.thing SET price = 7 WHERE id = 1".encode())
        other.execute(f"UPDATE {at}.thing SET price = 7 WHERE id = 2".encode())
        thread = threading.Thread(target=wants_the_first, args=(other,))
        thread.start()
        until_waits(connection, other)
        one.execute(f"UPDATE {at}.shot SET file = 'c' WHERE id = 2".encode())
        one.commit()
        thread.join(20)
    assert failed == []
    connection.execute("UPDATE imgsearch.attachment_failure SET failed_at = now() - interval '1 day'")
    connection.execute("SELECT imgsearch.retry_attached()")
    assert failures(connection) == []
    rows = connection.execute("SELECT product_id, price, uri FROM imgsearch.image ORDER BY 1").fetchall()
    assert rows == [("1", 8, "https://x.example/a"), ("2", 7, "https://x.example/c")]


def until_waits(connection: Connection, other: Connection) -> None:
    waits = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
    for _ in range(500):
        if connection.execute(waits, (other.info.backend_pid,)).fetchone() == (True,):
            return
        time.sleep(0.01)
    raise TimeoutError("it never waited")
