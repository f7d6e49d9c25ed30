"""What is asked while another model takes over: it is asked anew, once, and never compared with the wrong pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
import pytest

from imgsearch import db, resolve, search
from imgsearch.errors import SpaceBusy, SpaceChanged
from imgsearch.ops import lifecycle
from imgsearch.query import cache
from imgsearch.retrieval import by_filters
from imgsearch.settings import Settings
from imgsearch.spaces import space as spaces
from imgsearch.spaces.space import Space
from tests.crowd import crowd
from tests.loops import add_another

Connection = psycopg.Connection[Any]


@pytest.fixture
def two(connection: Connection, space: Space) -> Space:
    """Two spaces of one dimension over the same pictures; vectors of the second are those of the first, reversed."""
    crowd(connection, space, 900)  # more than the few that are compared one by one
    other = spaces.named(connection, add_another(connection))
    connection.execute(
        b"INSERT INTO imgsearch.embedding_2 SELECT e.image_id, e.tenant_id, e.sha256, "
        b"(SELECT array_agg(x ORDER BY n DESC)"
        b" FROM unnest(e.embedding::real[]) WITH ORDINALITY t (x, n))::halfvec FROM imgsearch.embedding_1 e"
    )
    connection.execute(
        b"UPDATE imgsearch.image i SET bits_2 = imgsearch_internal.quantized(e.embedding, s.mean, s.signs)"
        b" FROM imgsearch.embedding_2 e, imgsearch.space s WHERE e.image_id = i.image_id AND s.space_id = 2"
    )
    connection.execute("DELETE FROM imgsearch.job")
    for one, way in ((space, 1), (other, -1)):
        answer(connection, one, np.arange(1, 49, dtype=np.float32)[::way])
    return other


def answer(connection: Connection, one: Space, vector: Any) -> None:
    cache.ask(connection, cache.of_text("red shoe"), one.space_id)
    cache.answer(connection, one.space_id, cache.of_text("red shoe"), vector / np.linalg.norm(vector))


def found(hits: Any) -> list[Any]:
    return [(hit.image_id, round(hit.distance, 3)) for hit in hits]


def test_a_question_of_the_model_before_is_asked_anew(
    connection: Connection, settings: Settings, two: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = found(search(connection, "red shoe"))
    asked, activated = by_filters.asked, []

    def late(*args: Any) -> Any:
        resolved = asked(*args)
        if not activated:
            activated.append(resolved.space_id)
            with db.connect(settings, autocommit=True) as admin:
                lifecycle.activate(admin, "other")
        return resolved

    monkeypatch.setattr(by_filters, "asked", late)
    assert found(search(connection, "red shoe")) == before, "the reversed question among the reversed pictures"
    assert activated == [1]
    assert resolve(connection, "red shoe").space_id == two.space_id


def test_a_vector_that_was_kept_is_refused_and_never_compared(connection: Connection, two: Space) -> None:
    kept = resolve(connection, "red shoe")
    lifecycle.activate(connection, "other")
    with pytest.raises(SpaceChanged, match="Ask again"):
        search(connection, kept)


def test_a_transaction_that_has_asked_is_waited_for(connection: Connection, settings: Settings, two: Space) -> None:
    connection.execute("SET imgsearch.lock_patience = '500ms'")
    with db.connect(settings) as shop:
        resolved = resolve(shop, "red shoe")
        with pytest.raises(SpaceBusy):
            lifecycle.activate(connection, "other")
        assert len(search(shop, resolved)) == 10
        shop.commit()
    lifecycle.activate(connection, "other")


def test_the_sample_is_there_when_the_space_is_searched(connection: Connection, two: Space) -> None:
    connection.execute("SELECT imgsearch.refresh_sample()")
    lifecycle.activate(connection, "other")
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE s.bits <> i.bits_2), count(*)"
        " FROM imgsearch.image_sample s JOIN imgsearch.image i USING (tenant_id, image_id)"
    ).fetchone()
    assert row is not None
    assert (row[0], row[1] > 100) == (0, True)
    assert spaces.require(connection).parameters["sample"]["pictures"] >= 512
