"""Vectors brought along: a space that no worker fills, from an empty database to searches, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

import imgsearch
from bench.soak import pictures
from imgsearch import ImageId, ProductId
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import (
    ImgsearchError,
    QueryError,
    TextsNotUnderstood,
    UsageError,
    VectorError,
)
from imgsearch.ops import doctor, lifecycle
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure
from tests.given import WIDE, Connection, add, counts, drawn
from tests.terminal import Run


def test_an_empty_database_is_searched_without_any_worker(settings: Settings, connection: Connection, run: Run) -> None:
    around = settings.environment()
    made = run("space", "add", "mine", "--given", "--dimension", str(WIDE), **around)
    assert made.code == 0, made.err
    assert run("space", "activate", "mine", **around).code == 0
    first = [add(connection, settings, number) for number in range(20)]
    assert {(one.outcome, one.waits) for one in first} == {("added", False)}
    assert counts(connection) == (20, 20, 0, 0)
    found = imgsearch.search(connection, drawn(7), tenant="acme")
    assert found[0].product_id == "p7"
    assert found[0].distance == pytest.approx(0, abs=1e-3)
    assert imgsearch.search(connection, ImageId(first[3].image_id), tenant="acme")[0].product_id == "p3"
    assert "p3" not in {hit.product_id for hit in imgsearch.search(connection, ProductId("p3"), tenant="acme")}
    with pytest.raises(TextsNotUnderstood):
        imgsearch.search(connection, "red shoe", tenant="acme")
    with pytest.raises(QueryError, match="nobody makes one"):
        imgsearch.search(connection, pictures.draw(1), tenant="acme")
    for asked, state in (("'red', NULL", "IM030"), ("NULL, '\\x00'", "IM003")):
        with pytest.raises(psycopg.Error) as refused:
            connection.execute(f"SELECT imgsearch_internal.enqueue_question({asked}, NULL, NULL, NULL, NULL)")
        assert refused.value.sqlstate == state
    status = connection.execute("SELECT images, ready, pending FROM imgsearch.status").fetchone()
    assert status == (20, 20, 0)
    assert [f.check_name for f in doctor.examine(connection) if "worker" in f.check_name] == []
    again = add(connection, settings, 7)
    assert again.outcome == "unchanged"
    assert add(connection, settings, 7, vector=drawn(70)).outcome == "changed"
    done = run("space", "fill", "mine", "--json", **around)
    assert json.loads(done.out)["embedded"] == 20, done.err
    assert imgsearch.search(connection, drawn(70), tenant="acme")[0].product_id == "p7"


def test_a_replaced_picture_loses_its_vector_and_is_missing(
    mine: str, settings: Settings, connection: Connection
) -> None:
    add(connection, settings, 1)
    replaced = add(connection, settings, 2, product_id="p1", vector=None)
    assert (replaced.outcome, replaced.waits) == ("replaced", False)
    assert counts(connection) == (1, 0, 0, 0)
    row = connection.execute("SELECT embedded, waiting, missing FROM imgsearch.spaces").fetchone()
    assert row == (0, 0, 1)
    assert add(connection, settings, 2, product_id="p1").outcome == "changed"
    assert counts(connection) == (1, 1, 0, 0)


def test_bits_follow_the_mean(mine: str, settings: Settings, connection: Connection) -> None:
    """All numbers positive: before the mean is known the signs tell nothing, where vectors are not turned."""
    connection.execute("UPDATE imgsearch.space SET rotation = NULL, signs = NULL")
    for number in range(30):
        add(connection, settings, number)
    bits = "SELECT count(DISTINCT bits_1) FROM imgsearch.image"
    before = connection.execute(bits).fetchone()
    lifecycle.fill(settings, mine)
    after = connection.execute(bits).fetchone()
    assert before == (1,)
    assert after is not None
    assert after[0] > 15
    wanted = connection.execute(
        "SELECT count(*) FROM imgsearch.image i JOIN imgsearch.embedding_1 e USING (tenant_id, image_id),"
        " imgsearch.space s WHERE i.bits_1 = imgsearch_internal.quantized(e.embedding, s.mean, s.signs)"
    ).fetchone()
    assert wanted == (30,)


def test_a_given_space_beside_the_searched_one(settings: Settings, connection: Connection) -> None:
    ensure(connection, FakeEncoder().describe())
    lifecycle.add_given(connection, "mine", WIDE)
    added = [add(connection, settings, number, space="mine") for number in range(5)]
    assert all(one.waits for one in added), "for the worker of the other space"
    vector = json.dumps([1.0] + [0.0] * (FakeEncoder.dimension - 1))
    connection.execute(
        "WITH done AS (DELETE FROM imgsearch.job RETURNING *), v AS (INSERT INTO imgsearch.embedding_1"
        " SELECT i.image_id, i.tenant_id, i.sha256, %s::halfvec FROM done JOIN imgsearch.image i USING (image_id))"
        " UPDATE imgsearch.image SET bits_1 = binary_quantize(%s::halfvec)",
        [vector, vector],
    )
    with pytest.raises(ImgsearchError, match="cannot be searched yet"):
        imgsearch.search(connection, ImageId(added[2].image_id), space="mine", tenant="acme")
    lifecycle.fill(settings, "mine")
    found = imgsearch.search(connection, ImageId(added[2].image_id), space="mine", tenant="acme")
    assert (found[0].product_id, len(found)) == ("p2", 5)
    with pytest.raises(UsageError, match="filled by its workers"):
        add(connection, settings, 9, space="fakeencoder")
    assert counts(connection)[0] == 5


def test_large_and_small_numbers_are_brought_to_length_one(
    mine: str, settings: Settings, connection: Connection
) -> None:
    for number, size in enumerate((1e300, 70000.0, 1e-300), 1):
        add(connection, settings, number, vector=[size * x for x in drawn(number)])
        assert imgsearch.search(connection, drawn(number), tenant="acme")[0].product_id == f"p{number}"
    assert counts(connection) == (3, 3, 0, 0)


def test_many_in_one_statement(mine: str, settings: Settings, connection: Connection) -> None:
    added = [add(connection, settings, number, vector=None) for number in range(40)]
    assert counts(connection) == (40, 0, 0, 0)
    rows: list[dict[str, Any]] = [
        {"tenant": "acme", "product_id": f"p{number}", "vector": np.asarray(drawn(number), np.float32)}
        for number in range(20)
    ]
    rows += [{"image_id": added[number].image_id, "vector": drawn(number)} for number in range(20, 40)]
    assert imgsearch.give_vectors(connection, "mine", rows) == 40
    assert imgsearch.give_vectors(connection, None, rows) == 0, "nothing changed"
    assert imgsearch.give_vectors(connection, "mine", []) == 0
    assert counts(connection) == (40, 40, 0, 0)
    assert imgsearch.search(connection, drawn(33), tenant="acme")[0].product_id == "p33"


def test_change_gives_a_vector_to_one_image(mine: str, settings: Settings, connection: Connection) -> None:
    added = add(connection, settings, 1, vector=None)
    add(connection, settings, 2, product_id="p1", position=1, vector=None)
    found = imgsearch.change(connection, tenant="acme", product_id="p1", position=0, vector=drawn(1), price=5.0)
    assert found.changed == (added.image_id,)
    assert imgsearch.search(connection, drawn(1), tenant="acme")[0].distance == pytest.approx(0, abs=1e-3)
    assert imgsearch.change(connection, tenant="acme", image_id=added.image_id, vector=drawn(1)).changed == ()
    assert imgsearch.change(connection, tenant="other", image_id=added.image_id, vector=drawn(1)).images == ()
    with pytest.raises(UsageError, match="of one image"):
        imgsearch.change(connection, tenant="acme", product_id="p1", vector=drawn(1))
    with pytest.raises(VectorError):
        imgsearch.change(connection, tenant="acme", product_id="p1", position=1, vector=drawn(1)[:3], price=9.0)
    rows = connection.execute("SELECT price FROM imgsearch.image ORDER BY image_id").fetchall()
    assert (rows, counts(connection)) == ([(5.0,), (None,)], (2, 1, 0, 0))


def test_a_catalogue_brings_its_vectors(
    mine: str, settings: Settings, connection: Connection, run: Run, tmp_path: Path
) -> None:
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(pictures.draw(number))
    rows = [{"path": f"{n}.jpg", "product_id": f"p{n}", "vector": drawn(n)} for n in range(2)]
    rows += [{"path": "2.jpg", "product_id": "p2", "vector": [1, "x"]}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "b.csv").write_text(f'path,product_id,vector\n3.jpg,p3,"{json.dumps(drawn(3))}"\n2.jpg,p2,"[1,2]"\n')
    around = settings.environment()
    done = json.loads(run("add", str(tmp_path / "a.jsonl"), "--tenant", "acme", "--json", **around).out)
    assert (done["added"], done["failed"]) == (2, 1)
    assert "no list of numbers" in done["failures"][0]["error"]
    done = json.loads(
        run("add", str(tmp_path / "b.csv"), "--tenant", "acme", "--space", "mine", "--json", **around).out
    )
    assert (done["added"], done["failed"]) == (1, 1)
    assert "2 numbers, space mine has 8" in done["failures"][0]["error"]
    assert counts(connection) == (3, 3, 0, 0)
    assert imgsearch.search(connection, drawn(3), tenant="acme")[0].product_id == "p3"


def test_in_plain_sql(mine: str, settings: Settings, connection: Connection) -> None:
    added = add(connection, settings, 1, vector=None)
    for call, values in (
        ("'mine', 'acme', 'p1', 0, %s::real[]", [drawn(1)]),
        ("'mine', 'acme', 'p1', 0, %s::halfvec", [json.dumps(drawn(2))]),
        ("'mine', %s, %s::real[]", [added.image_id, drawn(3)]),
        ("null, %s, %s::halfvec", [added.image_id, json.dumps(drawn(4))]),
    ):
        assert connection.execute(f"SELECT imgsearch.set_vector({call})", values).fetchone() == (True,)
        assert connection.execute(f"SELECT imgsearch.set_vector({call})", values).fetchone() == (False,)
    for bad in ("NaN", "Infinity", "-Infinity", None):
        with pytest.raises(psycopg.Error, match="holds NaN, infinity or null") as refused:
            connection.execute("SELECT imgsearch.set_vector('mine', 'acme', 'p1', 0, %s::real[])", [[bad, *["1"] * 7]])
        assert refused.value.sqlstate == "IM007"
    assert counts(connection) == (1, 1, 0, 0)


def test_an_address_that_nobody_has_read_keeps_its_vector(
    mine: str, settings: Settings, connection: Connection
) -> None:
    imgsearch.add(
        connection, "https://shop.example/a.jpg", product_id="far", tenant="acme", vector=drawn(1), settings=settings
    )
    assert counts(connection) == (1, 1, 0, 0)
    connection.execute("UPDATE imgsearch.image SET sha256 = sha256('x')")
    assert counts(connection) == (1, 1, 0, 0)
    connection.execute("UPDATE imgsearch.image SET sha256 = sha256('y')")
    assert counts(connection) == (1, 0, 0, 0)
