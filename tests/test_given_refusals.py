"""Vectors brought along: a space that no worker fills, what is refused, with nothing written beside it."""

from __future__ import annotations

import math
from typing import Any

import psycopg
import pytest

import imgsearch
from imgsearch import db
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import (
    ImgsearchError,
    SpaceBusy,
    SpaceMismatch,
    UnknownImage,
    UnknownSpace,
    UsageError,
    VectorError,
)
from imgsearch.ingest import vectors
from imgsearch.ops import lifecycle
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure
from tests.given import AS_ACME, WIDE, Connection, add, counts, drawn

BAD: list[tuple[Any, str]] = [
    ([1.0] * (WIDE - 1), "has 7 numbers, space mine has 8"),
    ([], "1 to 4000 numbers"),
    ([math.nan] + [1.0] * (WIDE - 1), "NaN or infinity"),
    ([math.inf] + [1.0] * (WIDE - 1), "NaN or infinity"),
    ([0.0] * WIDE, "is zero"),
    ("red shoe", "list of numbers"),
    ([[1.0] * WIDE], "shape"),
]


@pytest.mark.parametrize(("vector", "why"), BAD)
def test_a_bad_vector_is_refused_and_nothing_is_written_beside_it(
    mine: str, settings: Settings, connection: Connection, vector: Any, why: str
) -> None:
    with pytest.raises(VectorError, match=why):
        add(connection, settings, 1, vector=vector, title="Shoe")
    assert counts(connection) == (0, 0, 0, 0)
    assert connection.execute("SELECT count(*) FROM imgsearch.product").fetchone() == (0,)


def test_spaces_that_take_no_vector(settings: Settings, connection: Connection) -> None:
    with pytest.raises(UnknownSpace, match="no space whose vectors are given"):
        add(connection, settings, 1)
    lifecycle.add_given(connection, "mine", WIDE)
    with pytest.raises(UnknownSpace, match="there is no space 'yours'"):
        add(connection, settings, 1, space="yours")
    lifecycle.add_given(connection, "other", WIDE)
    with pytest.raises(UsageError, match="several spaces are given: mine, other"):
        add(connection, settings, 1)
    with pytest.raises(UsageError, match="there is no vector"):
        add(connection, settings, 1, vector=None, space="mine")
    for name, dimension in (("Mine", 8), ("12", 8), ("all", 8), ("x", 0), ("x", 4001)):
        with pytest.raises(UsageError):
            lifecycle.add_given(connection, name, dimension)
    assert counts(connection)[0] == 0


REFUSED: list[tuple[dict[str, Any], type[ImgsearchError], str]] = [
    ({"tenant": "acme", "product_id": "none", "vector": drawn(1)}, UnknownImage, "product none, position 0"),
    ({"tenant": "other", "product_id": "p0", "vector": drawn(1)}, UnknownImage, "no picture of product p0"),
    ({"image_id": 99, "vector": drawn(1)}, UnknownImage, "no picture of image 99"),
    ({"tenant": "acme", "product_id": "p0", "vector": drawn(1)}, UsageError, "named twice"),
    ({"tenant": "acme", "product_id": "p1", "vector": [0.0] * WIDE}, VectorError, "Row 2: .*zero"),
    ({"tenant": "acme", "product_id": "p1", "vector": drawn(1)[:5]}, VectorError, "as many each"),
    ({"tenant": "acme", "product_id": "p1", "vector": drawn(1), "sha256": b"x"}, UnknownImage, "other bytes"),
    ({"tenant": "acme", "vector": drawn(1)}, UsageError, "either an image_id or a product_id"),
    ({"tenant": "acme", "product_id": "p1", "vectors": drawn(1)}, UsageError, "'vectors'"),
]


@pytest.mark.parametrize(("row", "kind", "why"), REFUSED)
def test_a_bad_row_keeps_all_of_its_statement_from_being_stored(
    mine: str, settings: Settings, connection: Connection, row: dict[str, Any], kind: type[ImgsearchError], why: str
) -> None:
    for number in range(2):
        add(connection, settings, number, vector=None)
    good = {"tenant": "acme", "product_id": "p0", "vector": drawn(0)}
    with pytest.raises(kind, match=why):
        imgsearch.give_vectors(connection, "mine", [good, row])
    assert counts(connection) == (2, 0, 0, 0)


def test_a_worker_does_not_fill_it(mine: str, connection: Connection) -> None:
    with pytest.raises(SpaceMismatch, match="brought along, no worker makes them"):
        ensure(connection, FakeEncoder().describe())
    assert counts(connection) == (0, 0, 0, 0)


def test_more_vectors_than_one_statement_takes(mine: str, connection: Connection) -> None:
    many = [1] * (vectors.TOGETHER + 1)
    with pytest.raises(psycopg.Error, match="at most 10000") as refused:
        connection.execute("SELECT imgsearch_internal.give('mine', null, %s::bigint[], null, null, null, null)", [many])
    assert refused.value.sqlstate == "IM007"


def test_an_activation_does_not_wait_for_ever_for_an_open_upload(
    mine: str, settings: Settings, connection: Connection
) -> None:
    lifecycle.add_given(connection, "other", WIDE)
    with db.connect(settings) as shop:
        add(shop, settings, 1, space="mine")
        with pytest.raises(SpaceBusy, match=r"imgsearch\.space was in use"):
            lifecycle.activate(connection, "other")
        shop.commit()
    assert counts(connection) == (1, 1, 0, 0)


def test_a_role_of_one_tenant_gives_to_its_own_pictures(mine: str, settings: Settings, connection: Connection) -> None:
    for tenant in ("acme", "other"):
        add(connection, settings, 1, tenant=tenant, vector=None)
    give = "SELECT imgsearch.set_vector('mine', %s, 'p1', 0, %s::real[])"
    with connection.transaction():
        connection.execute(AS_ACME)
        assert connection.execute(give, ["acme", drawn(1)]).fetchone() == (True,)
    for statement, values in (
        (give, ["other", drawn(1)]),
        ("SELECT imgsearch.set_vector('mine', 2, %s::real[])", [drawn(1)]),
        ("SELECT imgsearch_internal.store_given_here(1, '{other}', '{2}', '{null}', %s::real[])", [drawn(1)]),
        ("SELECT imgsearch_internal.store_given_here(1, '{acme}', '{2}', '{null}', %s::real[])", [drawn(1)]),
        ("INSERT INTO imgsearch.embedding_1 SELECT 1, 'acme', 'x', %s::real[]", [drawn(1)]),
    ):
        with connection.transaction(force_rollback=True):
            connection.execute(AS_ACME)
            with pytest.raises(psycopg.Error):
                connection.execute(statement, values)
    assert counts(connection) == (2, 1, 0, 0)
