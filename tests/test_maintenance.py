"""Keeping it fast: the index is built, cleaned and rebuilt beside searches; a promoted attribute is used by them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import FilterError, UsageError
from imgsearch.ops import maintenance
from imgsearch.query import ImageId
from imgsearch.retrieval import explain, search
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space, ensure
from tests.crowd import crowd
from tests.processes import eventually
from tests.shop import Row, database, fill
from tests.terminal import Run

Connection = psycopg.Connection[Any]
HNSW = (
    "SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index "
    "WHERE indexrelid = to_regclass('imgsearch.embedding_1_hnsw')"
)


@pytest.fixture(scope="module")
def settings(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    with database(servers, template) as made:
        yield made


@pytest.fixture(scope="module")
def connection(settings: Settings) -> Iterator[Connection]:
    with db.connect(settings, autocommit=True) as opened:
        crowd(opened, ensure(opened, FakeEncoder().describe()), 1500)
        yield opened


@pytest.fixture
def space(connection: Connection) -> Space:
    return ensure(connection, FakeEncoder().describe())


def test_a_bulk_load_without_index_is_searched_correctly_and_ends_with_the_same_index(
    settings: Settings, connection: Connection, space: Space
) -> None:
    before = connection.execute(HNSW).fetchall()
    assert maintenance.drop(settings)
    assert not maintenance.drop(settings)
    assert connection.execute("SELECT check_name FROM imgsearch.doctor_indexes").fetchall() == [("no HNSW",)]
    [loaded] = fill(connection, space, [Row(vector=[1.0] * 48)], first=5000)
    hits = search(connection, ImageId(loaded), k=5)
    assert hits[0].image_id == loaded
    assert hits.strategy in {"bits", "exact"}
    phases: list[str] = []
    assert maintenance.build(settings, memory="64MB", tick=lambda phase, done, total: phases.append(phase))
    assert not maintenance.build(settings)
    assert connection.execute(HNSW).fetchall() == before


def test_an_interrupted_build_leaves_nothing_and_reindex_mends_an_invalid_index(
    settings: Settings, connection: Connection
) -> None:
    maintenance.drop(settings)
    with db.connect(settings) as writer:
        writer.execute("UPDATE imgsearch.space SET revision = revision")  # a transaction the build has to wait for
        writer.execute("INSERT INTO imgsearch.embedding_1 SELECT * FROM imgsearch.embedding_1 LIMIT 0")
        building = threading.Thread(target=cancelled, args=(settings,))
        building.start()
        # Not before it waits for the writer: what was cancelled earlier would have left nothing to clean up.
        waits = "SELECT pid FROM pg_stat_progress_create_index WHERE phase ~ '^waiting for writers'"
        pids = eventually(lambda: connection.execute(waits.encode()).fetchall(), what="the build")
        connection.execute("SELECT pg_cancel_backend(%s)", pids[0])
        writer.rollback()  # cleaning up waits for it as well
        building.join()
    assert connection.execute(HNSW).fetchall() == []
    maintenance.build(settings)
    connection.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'imgsearch.embedding_1_hnsw'::regclass"
    )
    connection.execute("CREATE INDEX image_bits_1_ccnew ON imgsearch.image (position)")
    connection.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'imgsearch.image_bits_1_ccnew'::regclass"
    )
    connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'imgsearch.image_bits_1'::regclass")
    done = maintenance.reindex(settings)
    assert len(done) == 3
    assert connection.execute(
        "SELECT count(*) FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid WHERE "
        "c.relnamespace = 'imgsearch'::regnamespace AND NOT x.indisvalid"
    ).fetchone() == (0,)
    assert connection.execute("SELECT to_regclass('imgsearch.image_bits_1_ccnew')").fetchone() == (None,)
    assert maintenance.reindex(settings) == []
    assert maintenance.reindex(settings, everything=True) == ["rebuilt embedding_1_hnsw"]


def test_a_build_after_a_cancelled_one_waits_for_the_session_that_is_about_to_end(settings: Settings) -> None:
    with db.connect(settings, autocommit=True) as ending:
        ending.execute("SELECT pg_advisory_lock(hashtext('imgsearch.upkeep'))")
        timer = threading.Timer(0.5, ending.execute, ["SELECT pg_advisory_unlock_all()"])
        timer.start()
        maintenance.build(settings)
        timer.join()


def cancelled(settings: Settings) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        maintenance.build(settings)


def test_two_at_once_are_refused_with_the_others_name_and_nonsense_too(
    settings: Settings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "LOCK_SECONDS", 0.2)
    connection.execute("SELECT pg_advisory_lock(hashtext('imgsearch.upkeep'))")
    with pytest.raises(UsageError, match=rf"Another index .* by process {connection.info.backend_pid} \(postgres\)"):
        maintenance.build(settings)
    connection.execute("SELECT pg_advisory_unlock_all()")
    with pytest.raises(UsageError, match="2GB"):
        maintenance.build(settings, memory="lots")


def test_vacuum_and_prewarm(settings: Settings, connection: Connection) -> None:
    assert maintenance.vacuum(settings) == ["image", "job", "query_vector", "embedding_1", "region_1"]
    ticks: list[str] = []
    assert maintenance.prewarm(connection, seconds=1, tick=lambda what, done, total: ticks.append(what)).startswith(
        "read"
    )
    assert ticks


CONDITIONS: list[Any] = [
    "red",
    ["red", "blue"],
    ["red", 3],
    "nothing",
    None,
    True,
    3,
    3.0,
    {"min": 5},
    {"max": 5, "above": 1},
    {"below": 1e300},
    {"min": 0.1, "max": "x"},
    [3, 4],
    12345678901234567890,
    {"not": "red"},
    {"exists": True},
    {"in": []},
    {"min": "g"},
    {"is": ["red"]},
]


def test_a_promoted_attribute_finds_what_the_attribute_found(connection: Connection, space: Space) -> None:
    odd: list[Any] = [
        "red",
        3,
        3.5,
        1e-9,
        10**30,
        True,
        False,
        None,
        ["red"],
        {"a": 1},
        "3",
        "true",
        "",
        12345678901234567891,
    ]
    fill(
        connection,
        space,
        [
            Row(vector=[1.0, float(n)] + [0.1] * 46, attributes={"colour": v, "size": v, "new": v})
            for n, v in enumerate(odd)
        ],
        first=7000,
    )
    asked = [{name: condition} for name in ("colour", "size", "new") for condition in CONDITIONS]
    before = [answers(connection, attributes) for attributes in asked]
    assert any(before)
    for name, kind in (("colour", "text"), ("size", "number"), ("new", "boolean")):
        assert maintenance.promote(connection, name, kind) == f"attribute_{name}"
        assert maintenance.promote(connection, name, kind) == f"attribute_{name}"
    connection.execute("SELECT imgsearch.refresh_sample()")
    for attributes, found in zip(asked, before, strict=True):
        assert answers(connection, attributes) == found, attributes
    # A number too large for the column is still a number to store.
    [large] = fill(connection, space, [Row(vector=[1.0] * 48, attributes={"size": 10**400, "colour": 1})], first=8000)
    assert not any("promote" in line for line in explain(connection, ImageId(1), attributes={"colour": "red"}))
    assert "attribute_colour" in str(
        connection.execute(
            "EXPLAIN SELECT count(bits_1) FROM imgsearch.image WHERE attribute_colour = 'reddish'"
        ).fetchall()
    )
    connection.execute("DELETE FROM imgsearch.image WHERE image_id = %s", (large,))
    for name in ("colour", "size", "new"):
        assert maintenance.demote(connection, name)
        assert not maintenance.demote(connection, name)
    for attributes, found in zip(asked, before, strict=True):
        assert answers(connection, attributes) == found, attributes


def answers(connection: Connection, attributes: dict[str, Any]) -> list[int] | str:
    try:
        return [hit.image_id for hit in search(connection, ImageId(1), attributes=attributes, k=1000)]
    except FilterError as error:
        return str(error)


@pytest.mark.parametrize(("name", "kind"), [("colour", "date"), ("", "text")])
def test_promoting_nonsense_is_refused(connection: Connection, name: str, kind: str) -> None:
    with pytest.raises(UsageError, match="text, number or boolean"):
        maintenance.promote(connection, name, kind)


def test_names_from_outside_stay_names(connection: Connection) -> None:
    for name in ("it's", 'a"b', "x'); DROP TABLE imgsearch.image; --", "Ärmel länge", "$1", "%s {index}"):
        column = maintenance.promote(connection, name, "text")
        connection.execute(
            "INSERT INTO imgsearch.image (tenant_id, product_id, uri, attributes) "
            "VALUES ('names', %s, 'store:x', jsonb_build_object(%s::text, 'here'))",
            (name, name),
        )
        assert connection.execute(
            psycopg.sql.SQL("SELECT count(*) FROM imgsearch.image WHERE {} = 'here'").format(
                psycopg.sql.Identifier(column)
            )
        ).fetchone() == (1,)
        assert maintenance.demote(connection, name)


def test_the_commands(run: Run, connection: Connection, settings: Settings) -> None:
    environ = {"IMGSEARCH_DATABASE_URL": settings.database_url}
    assert run("index", "drop", "--json", **environ).document == {"dropped": True}
    assert "built" in run("index", "build", **environ).out
    assert run("index", "reindex", "--json", **environ).document == {"done": []}
    assert "embedding_1" in run("index", "vacuum", **environ).out
    assert run("index", "prewarm", "--seconds", 1, **environ).code == 0
    assert run("index", "promote", "colour", "--json", **environ).document == {"column": "attribute_colour"}
    assert "gone" in run("index", "demote", "colour", **environ).out
