"""expand: the question and what its best answers look like, inside the filters, against numpy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import FilterError
from imgsearch.retrieval import explain, search
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure, require
from tests.shop import Row, database, fill

Connection = psycopg.Connection[Any]
Vectors = NDArray[np.float64]


def drawn() -> Vectors:
    """300 vectors in clusters, the first with three near copies; of length one, as the database holds them."""
    dice = np.random.default_rng(3)
    centres = dice.normal(size=(12, 48))
    found = centres[np.arange(300) % 12] + 0.7 * dice.normal(size=(300, 48))
    found[1:4] = found[0] + 0.02 * dice.normal(size=(3, 48))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16).astype(float)


def expanded(vectors: Vectors, query: Vectors, most: int = 10, alpha: float = 3) -> Vectors:
    """Return q' = normalise(q + Σ max(s, 0)^α · x) over the nearest that are not the query itself."""
    cosines = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    near = [at for at in np.argsort(-cosines, kind="stable")[:30] if 1 - cosines[at] >= 0.03][:most]
    made = query / np.linalg.norm(query) + (np.maximum(cosines[near], 0) ** alpha) @ vectors[near]
    found: Vectors = made / np.linalg.norm(made)
    return found


@pytest.fixture(scope="module")
def settings(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    with database(servers, template) as made:
        yield made


@pytest.fixture(scope="module")
def connection(settings: Settings) -> Iterator[Connection]:
    with db.connect(settings, autocommit=True) as opened:
        space = ensure(opened, FakeEncoder().describe())
        rows = [Row(vector=v.tolist(), category="odd" if n % 2 else "even") for n, v in enumerate(drawn())]
        fill(opened, space, rows)
        yield opened


@pytest.mark.parametrize("category", [None, "even"])
@pytest.mark.parametrize("asked", [0, 7, 100])
def test_the_nearest_are_those_of_the_expanded_question(
    connection: Connection, asked: int, category: str | None
) -> None:
    vectors = drawn()
    rows = np.arange(300) if category is None else np.arange(0, 300, 2)
    query = vectors[asked]
    made = expanded(vectors[rows], query)
    cosines = vectors[rows] @ made / np.linalg.norm(vectors[rows], axis=1)
    wanted = rows[np.argsort(-cosines, kind="stable")[:10]]
    hits = search(connection, query.tolist(), k=10, category=category, expand=True)
    assert [hit.product_id for hit in hits] == [f"p{row}" for row in wanted]
    assert [hit.distance for hit in hits] == pytest.approx(list(1 - np.sort(cosines)[::-1][:10]), abs=2e-3)
    plain = search(connection, query.tolist(), k=10, category=category)
    assert [hit.product_id for hit in plain] != [hit.product_id for hit in hits]


def test_pages_go_on_and_tell_another_question(connection: Connection) -> None:
    query = drawn()[5].tolist()
    whole = search(connection, query, k=20, expand=True)
    first = search(connection, query, k=10, expand=True)
    second = search(connection, query, k=10, expand=True, after=first.after)
    assert [hit.image_id for hit in (*first, *second)] == [hit.image_id for hit in whole]
    with pytest.raises(FilterError, match="another question"):
        search(connection, query, after=first.after)


def test_pages_ask_the_same_question_while_others_write(connection: Connection) -> None:
    query = drawn()[5].tolist()
    whole = [hit.image_id for hit in search(connection, query, k=60, expand=True)]
    with connection.transaction(force_rollback=True):
        found: list[int] = []
        after = None
        for _ in range(6):
            page = search(connection, query, k=10, expand=True, after=after)
            found += [hit.image_id for hit in page]
            after = page.after
            # Nearer than most: it would be among the ten that the question is expanded by.
            nearer = (np.array(query) + 0.04 * np.random.default_rng(len(found)).normal(size=48)).tolist()
            fill(connection, require(connection), [Row(vector=nearer, product=f"new{len(found)}")])
        assert len(set(found)) == len(found)
        known = [one for one in found if one in whole]
        assert known == whole[: len(known)]
        with pytest.raises(FilterError):
            search(connection, query, k=10, expand=True, after=f"{after}x")


def test_a_cursor_that_names_other_images_brings_none_beyond_the_filters(connection: Connection) -> None:
    query = drawn()[5].tolist()
    after = search(connection, query, k=2, category="odd", expand=True).after or ""
    plain, _, near = after.partition(",e")
    assert near.count(".i") == 10
    even = [hit.image_id for hit in search(connection, query, k=10, category="even")]
    forged = f"{plain},e" + "".join(f".i{one}" for one in even) + "."
    same = search(connection, query, k=5, category="odd", expand=True, after=f"{plain},e.i999999999.")
    assert list(search(connection, query, k=5, category="odd", expand=True, after=forged)) == list(same)


def test_what_is_expanded_has_no_match_and_ends_where_there_is_a_gap(connection: Connection) -> None:
    query = drawn()[5].tolist()
    assert {hit.match for hit in search(connection, query, expand=True)} == {None}
    with pytest.raises(FilterError, match="expand"):
        search(connection, query, expand=True, min_match=0.5)
    assert len(search(connection, query, expand=True, cutoff="auto", k=20)) <= 20
    assert "the question moved by" in " ".join(explain(connection, query, expand=True))


def test_nothing_to_expand_by_is_the_question_itself(connection: Connection) -> None:
    assert list(search(connection, drawn()[5].tolist(), tenant="nobody", expand=True)) == []
    assert len(search(connection, drawn()[5].tolist(), category="none", expand=True)) == 0
