"""Nothing where nothing fits: match, min_match and cutoff, in SQL and in Python."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import FilterError
from imgsearch.query import Resolved
from imgsearch.retrieval import explain, search
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space, ensure, vector_literal
from tests.shop import Row, database, fill

Connection = psycopg.Connection[Any]
COSINES = [0.9, 0.8, 0.7, 0.5, 0.45, 0.4, 0.1, 0.0, -0.2]


@pytest.fixture(scope="module")
def settings(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    with database(servers, template) as made:
        yield made


@pytest.fixture(scope="module")
def shop(settings: Settings) -> Iterator[Connection]:
    """Pictures at known cosines to the question (1, 0, 0, …), of one shop and another."""
    with db.connect(settings, autocommit=True) as connection:
        space = ensure(connection, FakeEncoder().describe())
        fill(connection, space, [Row(vector=at(cosine)) for cosine in COSINES])
        fill(connection, space, [Row(vector=at(0.6), tenant="bolt")], first=100)
        yield connection


@pytest.fixture
def connection(shop: Connection) -> Iterator[Connection]:
    """The same; what a test changes is undone."""
    with shop.transaction(force_rollback=True):
        yield shop


def at(cosine: float) -> list[float]:
    return [cosine, math.sqrt(1 - cosine**2), *([0.0] * 46)]


def question(kind: Any = "text") -> Resolved:
    return Resolved(
        vector=vector_literal(at(1.0)), space_id=1, source="given", took_ms=0, kind=kind, words="red", key="red"
    )


def sigmoid(cosine: float, scale: float = 10, bias: float = -2) -> float:
    return 1 / (1 + math.exp(-(scale * cosine + bias)))


def calibrate(connection: Connection, **columns: Any) -> None:
    names = ", ".join(columns)
    connection.execute(
        f"INSERT INTO imgsearch.calibration (space_id, {names}) VALUES (1, {', '.join(['%s'] * len(columns))})",  # noqa: S608
        list(columns.values()),
    )


def test_each_row_of_a_text_says_how_likely_it_fits(connection: Connection) -> None:
    hits = search(connection, question(), tenant="acme")
    assert [hit.match for hit in hits] == pytest.approx([sigmoid(cosine) for cosine in COSINES], abs=2e-3)
    images = search(connection, question(), tenant="acme", per="image")
    assert [hit.match for hit in images] == [hit.match for hit in hits]


@pytest.mark.parametrize("kind", ["picture", "image", "vector"])
def test_what_nobody_has_fitted_has_no_match(connection: Connection, kind: str) -> None:
    assert {hit.match for hit in search(connection, question(kind))} == {None}
    with pytest.raises(FilterError, match="imgsearch calibrate"):
        search(connection, question(kind), min_match=0.5)


def test_sql_says_it_too(connection: Connection, settings: Settings) -> None:
    connection.execute(
        "INSERT INTO imgsearch.query_vector (tenant_id, space_id, kind, key, embedding, answered_at)"
        " VALUES ('', 1, 'text', sha256('red'), %s::halfvec, now())",
        (vector_literal(at(1.0)),),
    )
    rows = connection.execute(
        "SELECT match FROM imgsearch.search('Red!', tenant => 'acme', min_match => 0.5)"
    ).fetchall()
    assert [match for (match,) in rows] == pytest.approx(
        [sigmoid(cosine) for cosine in COSINES if cosine >= 0.2], abs=2e-3
    )
    told = connection.execute(
        "SELECT explanation FROM imgsearch.explain_search('red', ranking => imgsearch.ranking_of(%s))"
        " WHERE subject IN ('match', 'cut')",
        ('{"min_match": 0.5}',),
    ).fetchall()
    assert [line for (line,) in told] == [
        "Match: by the figures that the model was trained with.",
        "The answer ends at a distance of 0.8000, a match of 0.50.",
    ]


@pytest.mark.parametrize("least", [0.0, 0.1, 0.5, 0.9, 0.95, 0.999, 1.0])
def test_min_match_keeps_what_reaches_it_and_nothing_else(connection: Connection, least: float) -> None:
    everything = search(connection, question(), k=100)
    hits = search(connection, question(), k=100, min_match=least)
    assert [h.image_id for h in hits] == [h.image_id for h in everything if (h.match or 0) >= least]
    assert hits.complete


def test_pages_end_where_the_cut_is(connection: Connection) -> None:
    first = search(connection, question(), tenant="acme", min_match=0.9, k=4)
    second = search(connection, question(), tenant="acme", min_match=0.9, k=4, after=first.after)
    assert [hit.match for hit in (*first, *second)] == pytest.approx([sigmoid(c) for c in COSINES[:5]], abs=2e-3)
    with pytest.raises(FilterError, match="another question"):
        search(connection, question(), tenant="acme", min_match=0.8, after=first.after)


def test_max_distance_stays_the_stricter_of_the_two(connection: Connection) -> None:
    assert len(search(connection, question(), tenant="acme", min_match=0.1, max_distance=0.25)) == 2
    assert len(search(connection, question(), tenant="acme", min_match=0.5, max_distance=2)) == 6


def test_a_shop_of_its_own_judgements_is_asked_by_them_alone(connection: Connection) -> None:
    calibrate(connection, kind="text", tenant_id="acme", scale=20, bias=-14, judged=100)
    assert search(connection, question(), tenant="acme")[0].match == pytest.approx(sigmoid(0.9, 20, -14), abs=5e-3)
    assert search(connection, question(), tenant="bolt")[0].match == pytest.approx(sigmoid(0.6), abs=2e-3)
    assert search(connection, question())[0].match == pytest.approx(sigmoid(0.9), abs=2e-3)
    assert "100 judgements of this tenant" in " ".join(explain(connection, question(), tenant="acme"))


def test_one_tenant_reads_its_own_figures_and_those_of_all(connection: Connection) -> None:
    calibrate(connection, kind="text", tenant_id="acme", scale=20, bias=-14)
    calibrate(connection, kind="text", tenant_id="bolt", scale=30, bias=-14)
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL ROLE imgsearch_reader")
        connection.execute("SELECT set_config('imgsearch.tenant', 'acme', true)")
        seen = connection.execute("SELECT tenant_id FROM imgsearch.calibration ORDER BY 1").fetchall()
        assert [tenant for (tenant,) in seen] == ["", "acme"]
        assert search(connection, question())[0].match == pytest.approx(sigmoid(0.9, 20, -14), abs=5e-3)


def test_pictures_have_a_match_once_it_was_fitted(connection: Connection) -> None:
    calibrate(connection, kind="picture", scale=20, bias=-9.5)
    for kind in ("picture", "image"):
        hits = search(connection, question(kind), tenant="acme", min_match=0.5)
        assert [hit.match for hit in hits] == pytest.approx([sigmoid(c, 20, -9.5) for c in COSINES[:4]], abs=5e-3)


def test_steps_are_read_as_numpy_reads_them_and_back(connection: Connection) -> None:
    cosines, matches = [-0.1, 0.2, 0.3, 0.6, 0.61], [0.05, 0.05, 0.4, 0.4, 0.9]
    wanted = np.interp([-1, -0.1, 0, 0.2, 0.25, 0.3, 0.5, 0.605, 0.61, 1], cosines, matches)
    calibrate(connection, kind="picture", cosines=cosines, matches=matches)
    told = connection.execute(
        "SELECT imgsearch_internal.match_of(1 - x, c) FROM imgsearch.calibration c,"
        " unnest(ARRAY[-1, -0.1, 0, 0.2, 0.25, 0.3, 0.5, 0.605, 0.61, 1]) x WHERE c.kind = 'picture'"
    ).fetchall()
    assert [match for (match,) in told] == pytest.approx(list(wanted))
    back = connection.execute(
        "SELECT 1 - imgsearch_internal.distance_of(m, c) FROM imgsearch.calibration c,"
        " unnest(ARRAY[0, 0.05, 0.1, 0.4, 0.5, 0.9, 0.91]) m WHERE c.kind = 'picture'"
    ).fetchall()
    assert [cosine if cosine is None else round(cosine, 6) for (cosine,) in back] == [
        None, None, round(0.2 + 0.1 / 7, 6), 0.3, 0.602, 0.61, 2.0,
    ]  # fmt: skip


@pytest.mark.parametrize("scale", [1e-3, 1.0, 27.0, 1e6])
def test_a_sigmoid_never_overflows_and_comes_back(connection: Connection, scale: float) -> None:
    calibrate(connection, kind="picture", scale=scale, bias=-scale / 3)
    rows = connection.execute(
        "SELECT d, imgsearch_internal.match_of(d, c), m,"
        " imgsearch_internal.match_of(imgsearch_internal.distance_of(m, c), c)"
        " FROM imgsearch.calibration c, unnest(%s::double precision[], %s::double precision[]) AS x (d, m)"
        " WHERE c.kind = 'picture'",
        ([0.0, 0.5, 1.0, 2.0], [1e-9, 0.5, 0.99, 1.0]),
    ).fetchall()
    for distance, match, asked, back in rows:
        exponent = max(-700.0, min(700.0, scale * (1 - distance) - scale / 3))
        assert match == pytest.approx(1 / (1 + math.exp(-exponent)))
        assert back == pytest.approx(asked, rel=1e-6)


def test_auto_leaves_out_what_hardly_fits_and_everything_where_nothing_does(connection: Connection) -> None:
    calibrate(connection, kind="text", tenant_id="acme", scale=20, bias=-10)
    hits = search(connection, question(), tenant="acme", cutoff="auto")
    assert [hit.match for hit in hits] == pytest.approx([sigmoid(c, 20, -10) for c in COSINES[:6]], abs=5e-3)
    assert not hits.doubtful
    calibrate(connection, kind="text", tenant_id="bolt", scale=20, bias=-18)
    assert list(search(connection, question(), tenant="bolt", cutoff="auto")) == []


def test_a_page_on_which_nothing_likely_fits_is_doubtful(connection: Connection) -> None:
    calibrate(connection, kind="text", tenant_id="bolt", scale=20, bias=-13)
    hits = search(connection, question(), tenant="bolt", cutoff="auto")
    assert len(hits) == 1
    assert hits.doubtful
    assert not search(connection, question("vector"), tenant="bolt").doubtful


def test_auto_without_figures_ends_at_the_first_clear_gap(connection: Connection) -> None:
    hits = search(connection, question("picture"), tenant="acme", cutoff="auto", k=3)
    rest = search(connection, question("picture"), tenant="acme", cutoff="auto", k=20, after=hits.after)
    assert len(hits) + len(rest) == len(COSINES)  # no gap is half of the whole
    with connection.transaction(force_rollback=True):
        connection.execute("DELETE FROM imgsearch.image WHERE tenant_id = 'acme' AND product_id IN ('p3', 'p4', 'p5')")
        hits = search(connection, question("picture"), tenant="acme", cutoff="auto")
        assert [round(hit.distance, 1) for hit in hits] == [0.1, 0.2, 0.3]
        assert "The answer ends at a distance of 0.6" in " ".join(
            explain(connection, question("picture"), tenant="acme", cutoff="auto")
        )


def test_auto_of_a_shop_that_has_nothing_is_empty(connection: Connection) -> None:
    for kind in ("text", "vector"):
        assert list(search(connection, question(kind), tenant="nobody", cutoff="auto")) == []


def test_a_worker_keeps_what_was_fitted(connection: Connection) -> None:
    described = FakeEncoder().describe()
    stored = "SELECT scale, bias, judged FROM imgsearch.calibration WHERE kind = 'text' AND tenant_id = ''"
    assert connection.execute(stored).fetchall() == [(10.0, -2.0, 0)]
    connection.execute("UPDATE imgsearch.calibration SET scale = 5, judged = 9")
    made: Space = ensure(connection, described)
    assert connection.execute(stored).fetchall() == [(5.0, -2.0, 9)]
    connection.execute("DELETE FROM imgsearch.calibration WHERE space_id = %s", (made.space_id,))
    ensure(connection, described)
    assert connection.execute(stored).fetchall() == [(10.0, -2.0, 0)]


def test_words_alone_have_no_match_however_they_are_ordered(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO imgsearch.product (tenant_id, product_id, title) SELECT tenant_id, product_id, 'Zimtstern'"
        " FROM imgsearch.image WHERE tenant_id = 'acme'"
    )
    for order in ({}, {"sort": "newest"}):
        hits = search(connection, "zimtstern", tenant="acme", look_weight=0, **order)  # type: ignore[arg-type]
        assert [hit.match for hit in hits] == [None] * len(COSINES)
        assert not hits.doubtful
