"""Bits are signs of turned vectors: the same rotation on every machine, orthogonal, as mixed as a random one."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np
import psycopg
import pytest

import imgsearch
from bench.rotation import turned
from imgsearch.spaces.space import Space, vector_literal
from tests.given import WIDE, add, drawn, mine  # noqa: F401  # a fixture

Connection = psycopg.Connection[Any]
DIMENSIONS = (1, 2, 3, 7, 48, 100, 255, 256, 257, 768, 1023, 1280, 4000)
# Of the signs of seed 7's first 768: another one would turn what spaces hold into noise.
GOLDEN = "87cb3d0d460229fdfc7d8b1e420f927833eca89960422bee968b1b72faa28ced"
IN_SQL = "SELECT imgsearch_internal.turned(%s::real[]::halfvec, imgsearch_internal.signs_of(%s, %s))::real[]"


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_sql_and_numpy_turn_alike_to_the_last_bit(connection: Connection, dimension: int) -> None:
    for seed in (1, 7, 2**40):
        vector = np.random.default_rng(seed).normal(size=dimension).astype(np.float16).astype(np.float32)
        row = connection.execute(IN_SQL, (vector.tolist(), seed, dimension)).fetchone()
        assert row is not None
        np.testing.assert_array_equal(np.asarray(row[0], np.float32), turned(vector, seed))


@pytest.mark.parametrize("dimension", DIMENSIONS[:-1])
def test_a_rotation_is_orthogonal_whatever_the_dimension(dimension: int) -> None:
    matrix = turned(np.eye(dimension, dtype=np.float32), 7).astype(np.float64)
    product = matrix @ matrix.T
    np.testing.assert_allclose(product / product[0, 0], np.eye(dimension), atol=1e-5)


@pytest.mark.parametrize("dimension", [100, 257, 768, 1280])
def test_a_single_number_reaches_all_places_as_by_a_random_rotation(dimension: int) -> None:
    matrix = turned(np.eye(dimension, dtype=np.float32), 7).astype(np.float64)
    parts = matrix / np.linalg.norm(matrix, axis=1, keepdims=True) * np.sqrt(dimension)
    assert np.abs(parts).max() < 6, "a normal number of so many"
    assert (parts**4).mean() / 3 == pytest.approx(1, abs=0.05), "a normal number's fourth moment"


def test_the_same_seed_gives_the_same_rotation_for_ever(connection: Connection) -> None:
    row = connection.execute("SELECT (imgsearch_internal.signs_of(7, 768))::text").fetchone()
    assert row is not None
    assert sha256(row[0].encode()).hexdigest() == GOLDEN


def test_each_space_has_a_rotation_of_its_own_that_restores_with_it(connection: Connection, space: Space) -> None:
    row = connection.execute(
        "SELECT rotation, signs = imgsearch_internal.signs_of(rotation, dimension) FROM imgsearch.space"
    ).fetchone()
    assert row == (space.space_id, True)


def test_a_space_from_before_is_searched_as_it_was(connection: Connection, space: Space) -> None:
    vector = vector_literal(np.random.default_rng(1).normal(size=space.dimension))
    row = connection.execute(
        "SELECT imgsearch_internal.quantized(%(v)s::halfvec, mean, NULL) = binary_quantize(%(v)s::halfvec - mean),"
        " imgsearch_internal.quantized(%(v)s::halfvec, mean, signs) = binary_quantize(%(v)s::halfvec - mean)"
        " FROM imgsearch.space",
        {"v": vector},
    ).fetchone()
    assert row == (True, False)


def test_vectors_stay_as_they_were_given(connection: Connection, settings: Any, mine: str) -> None:  # noqa: F811
    for number in range(5):
        add(connection, settings, number)
    rows = connection.execute("SELECT embedding::real[] FROM imgsearch.vectors ORDER BY image_id").fetchall()
    given = np.array([drawn(number) for number in range(5)])
    given /= np.linalg.norm(given, axis=1, keepdims=True)
    np.testing.assert_array_equal(
        np.array([row[0] for row in rows], np.float16), given.astype(np.float32).astype(np.float16)
    )
    found = imgsearch.search(connection, drawn(3), tenant="acme")
    assert (found[0].product_id, round(found[0].distance, 3)) == ("p3", 0)
    literal = connection.execute("SELECT product_id FROM imgsearch.search(%s::halfvec)", [vector_literal(drawn(3))])
    assert [row[0] for row in literal.fetchall()] == [hit.product_id for hit in found]
    assert len(given[0]) == WIDE
