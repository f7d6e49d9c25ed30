"""What belongs to a search follows each space: parameters, attributes, calibration, walls, rights, revision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from imgsearch_workers.model import checkpoint

from imgsearch import db, search
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import DiskFull
from imgsearch.ops import lifecycle, maintenance
from imgsearch.settings import Settings
from imgsearch.spaces import space as spaces
from imgsearch.spaces.space import Space
from tests.test_space_beside import an_image
from tests.test_space_doors import two

__all__ = ["two"]
Connection = psycopg.Connection[Any]


def value(connection: Connection, statement: str, *values: Any) -> Any:
    row = connection.execute(statement.encode(), values).fetchone()
    assert row is not None
    return row[0]


def test_tuning_and_calibration_are_each_spaces_own(connection: Connection, settings: Settings, two: Space) -> None:
    lifecycle.fill(settings, "other")
    connection.execute(
        'UPDATE imgsearch.space SET parameters = parameters || \'{"search": {"ef": 77, "pool": 99}}\''
        " WHERE space_id = 2"
    )
    for space_id, bias in ((1, -3.0), (2, 4.0)):
        connection.execute(
            "INSERT INTO imgsearch.calibration (space_id, kind, scale, bias) VALUES (%s, 'picture', 5, %s)",
            (space_id, bias),
        )
    image = an_image(connection)
    told = [
        value(
            connection,
            "SELECT figures -> 'ef' FROM imgsearch.explain_search(imgsearch.vec_of(%s, NULL, %s),"
            " ranking => imgsearch.ranking_of(jsonb_build_object('space', %s::text))) WHERE subject = 'parameters'",
            image.image_id,
            name,
            name,
        )
        for name in ("fakeencoder", "other")
    ]
    assert told[1] == 77 != told[0]
    here, there = search(connection, image, k=3), search(connection, image, space="other", k=3)
    matches = here[0].match, there[0].match
    assert None not in matches
    assert matches[0] < 0.9 < matches[1]  # type: ignore[operator]
    lifecycle.activate(connection, "other")
    assert search(connection, image, k=3)[0].match == pytest.approx(matches[1])
    assert search(connection, image, space="fakeencoder", k=3)[0].match == pytest.approx(matches[0])


def test_a_promoted_attribute_is_one_in_every_space(connection: Connection, settings: Settings, two: Space) -> None:
    lifecycle.fill(settings, "other")
    column = maintenance.promote(connection, "size", "number")
    assert maintenance.index_space(settings, 2) == []
    names = connection.execute("SELECT name FROM imgsearch_internal.indexes_of(2)").fetchall()
    assert (f"image_bits_{column}_2",) in names
    asked = {"attributes": {"size": 3}, "k": 50}
    for _ in range(2):
        found = [search(connection, an_image(connection), space=one, **asked) for one in ("fakeencoder", "other")]
        assert {hit.attributes["size"] for hits in found for hit in hits} == {3}
        assert min(map(len, found)) == 50
        lifecycle.activate(connection, "other")
    maintenance.demote(connection, "size")
    assert len(search(connection, an_image(connection), space="fakeencoder", **asked)) == 50


def test_walls_and_rights_are_those_of_the_first(connection: Connection, settings: Settings, two: Space) -> None:
    lifecycle.fill(settings, "other")
    rights = (
        "SELECT array_agg(DISTINCT grantee || ' ' || privilege_type ORDER BY grantee || ' ' || privilege_type)"
        " FROM information_schema.role_table_grants WHERE table_schema = 'imgsearch' AND table_name = %s"
    )
    assert value(connection, rights, "embedding_1") == value(connection, rights, "embedding_2")
    walls = "SELECT array_agg(p ORDER BY p) FROM (SELECT policyname || cmd || roles::text || coalesce(qual, '') AS p FROM pg_policies WHERE tablename = %s) x"  # noqa: E501
    assert value(connection, walls, "embedding_1") == value(connection, walls, "embedding_2") != []
    image = an_image(connection)
    for role, tenant, rows in (("reader", "nobody", 0), ("reader", "acme", 10), ("writer", "bolt", 10)):
        with connection.transaction(force_rollback=True):
            vector = value(connection, "SELECT imgsearch.vec_of(%s, NULL, '2')::text", image.image_id)
            connection.execute(f"SET LOCAL ROLE imgsearch_{role}".encode())
            connection.execute("SELECT set_config('imgsearch.tenant', %s, true)", (tenant,))
            found = "SELECT count(*) FROM imgsearch.search(%s::halfvec, space => 'other') s JOIN imgsearch.image i USING (image_id) WHERE i.tenant_id = %s"  # noqa: E501
            assert value(connection, found, vector, tenant) == rows
            assert value(connection, "SELECT count(*) FROM imgsearch.embedding_2 WHERE tenant_id <> %s", tenant) == 0
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL ROLE imgsearch_reader")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM imgsearch.embedding_2")


def test_the_commit_is_kept_when_its_branch_moves(
    connection: Connection, space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub whose branch main is another commit by now; what is asked for by its commit stays what it was."""
    asked: list[str | None] = []
    head = "a" * 40

    def snapshot(model: str, *, revision: str | None, **_: Any) -> str:
        asked.append(revision)
        folder = tmp_path / "snapshots" / (revision if revision and len(revision) == 40 else head)
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    monkeypatch.setattr(checkpoint, "snapshot_download", snapshot)
    folder, commit = checkpoint._locate("shop/model", None)
    made = lifecycle.add(
        connection,
        replace(FakeEncoder().describe(), model="shop/model", fingerprint="f" * 64, revision=commit),
        name="pinned",
    )
    head = "b" * 40
    assert checkpoint._locate("shop/model", None)[1] == head, "the branch has moved"
    stored = spaces.named(connection, made).revision
    assert (checkpoint._locate("shop/model", stored), asked[-1]) == ((folder, "a" * 40), "a" * 40)


def test_a_full_disk_ends_a_fill_and_the_next_one_goes_on(
    connection: Connection, settings: Settings, two: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server says so itself while it builds an index: by an expression of that index, as no disk here is full."""
    connection.execute(
        "CREATE FUNCTION public.no_room(i bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN"
        " RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
    )
    whole = maintenance.sql.rows

    def rows(lent: Any, file: str, name: str, *args: Any, **named: Any) -> Any:
        found = whole(lent, file, name, *args, **named)
        if (file, name) != ("maintenance", "indexes"):
            return found
        return [row | {"how": "(public.no_room(image_id))"} if "price" in row["name"] else row for row in found]

    with monkeypatch.context() as patched:
        patched.setattr(maintenance.sql, "rows", rows)
        with pytest.raises(DiskFull, match=r"(?i)space|room"):
            lifecycle.fill(settings, "other")
    assert value(connection, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
    assert not next(one for one in lifecycle.listed(connection) if one["space_id"] == 2)["searchable"]
    assert lifecycle.fill(settings, "other").built, "what was missing"
    with db.connect(settings, autocommit=True) as shop:
        assert len(search(shop, an_image(connection), space="other")) == 10
