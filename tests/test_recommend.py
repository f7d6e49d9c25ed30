"""Recommendations, products as questions, and weights that make no sense."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from imgsearch import db
from imgsearch.db import sql
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import FilterError, QueryError, UnknownImage
from imgsearch.query import ImageId, ProductId, resolve
from imgsearch.retrieval import nearest, search
from imgsearch.retrieval.hits import Hit
from imgsearch.retrieval.recommendation import recommend
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure, vector_literal
from imgsearch.sqlalchemy.models import Image
from tests.shop import Row, database, fill

Connection = psycopg.Connection[Any]
Vectors = NDArray[np.float64]
PRODUCTS, PICTURES = 60, 3


def drawn() -> Vectors:
    """60 products of three pictures each, in clusters."""
    dice = np.random.default_rng(8)
    centres = dice.normal(size=(6, 48))
    products = np.repeat(centres[np.arange(PRODUCTS) % 6] + 0.8 * dice.normal(size=(PRODUCTS, 48)), PICTURES, 0)
    found = products + 0.3 * dice.normal(size=products.shape)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16).astype(float)


@pytest.fixture(scope="module")
def settings(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    with database(servers, template) as made:
        yield made


@pytest.fixture(scope="module")
def connection(settings: Settings) -> Iterator[Connection]:
    with db.connect(settings, autocommit=True) as opened:
        space = ensure(opened, FakeEncoder().describe())
        rows = [Row(vector=v.tolist(), in_stock=n // PICTURES % 4 > 0) for n, v in enumerate(drawn())]
        fill(opened, space, rows)
        fill(opened, space, [Row(vector=drawn()[0].tolist(), tenant="bolt")], first=900)
        # Pictures 3n, 3n + 1 and 3n + 2 are those of product n.
        opened.execute(
            "UPDATE imgsearch.image SET position = (substr(product_id, 2)::int) % 3,"
            " product_id = 's' || substr(product_id, 2)::int / 3 WHERE tenant_id = 'acme'"
        )
        opened.execute("UPDATE imgsearch.image SET product_id = 's7' WHERE tenant_id = 'bolt'")
        yield opened


def cosines(query: Vectors) -> Vectors:
    vectors = drawn()
    found: Vectors = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    return found


def products(scores: Vectors, without: set[int] = frozenset(), count: int = 10) -> list[str]:  # type: ignore[assignment]
    """Return products by their best picture's score."""
    best = scores.reshape(PRODUCTS, PICTURES).max(1)
    return [f"s{n}" for n in np.argsort(-best, kind="stable") if n not in without][:count]


def found(hits: Sequence[Hit], count: int = 10) -> list[str]:
    """Return the first products of a long page, each once."""
    return list(dict.fromkeys(hit.product_id for hit in hits))[:count]


def test_similar_products_are_those_near_the_mean_of_all_pictures(connection: Connection) -> None:
    mean = drawn()[21:24].mean(0)
    hits = search(connection, ProductId("s7"), tenant="acme", k=60)
    assert found(hits) == products(cosines(mean), {7})
    asked = search(connection, ProductId("s7", tenant="acme"))
    assert "s7" not in {hit.product_id for hit in asked}
    [(stored,)] = connection.execute("SELECT imgsearch.vec_of_product('s7', 'acme')::text").fetchall()
    assert stored == resolve(connection, ProductId("s7", "acme")).vector
    paged = search(connection, ProductId("s7"), tenant="acme", after=hits.after)
    assert not {hit.image_id for hit in paged} & {hit.image_id for hit in hits}


def test_nearest_takes_a_product_and_leaves_it_out(settings: Settings, connection: Connection) -> None:
    wanted = products(cosines(drawn()[21:24].mean(0)), {7}, 5)
    engine = create_engine(settings.database_url.replace("postgresql://", "postgresql+psycopg://"))
    with Session(engine) as session:
        here = select(Image).where(Image.tenant_id == "acme")
        for asked in (ProductId("s7", "acme"), resolve(session, ProductId("s7"), tenant="acme")):
            rows = session.scalars(nearest(here, asked, limit=5, per=Image.product_id)).all()
            assert [row.product_id for row in rows] == wanted
    engine.dispose()


def test_an_unknown_product_and_one_of_several_tenants_say_so(connection: Connection) -> None:
    with connection.transaction():
        with pytest.raises(UnknownImage, match="Product nothing"):
            search(connection, ProductId("nothing"))
        with pytest.raises(QueryError, match="Several tenants have a product s7"):
            search(connection, ProductId("s7"))
        connection.execute("SELECT 1")  # the caller's transaction is whole
    for asked, state in (("'nothing'", "IM004"), ("'s7'", "IM003"), ("'s7', 'nobody'", "IM004")):
        with pytest.raises(psycopg.Error) as refused:
            connection.execute(f"SELECT imgsearch.vec_of_product({asked})")
        assert refused.value.sqlstate == state


def test_a_tenant_does_not_see_anothers_product(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL ROLE imgsearch_reader")
        connection.execute("SELECT set_config('imgsearch.tenant', 'bolt', true)")
        with pytest.raises(UnknownImage):
            resolve(connection, ProductId("s8"))
        assert resolve(connection, ProductId("s7")).products == ("s7",)


def test_by_the_middle_is_a_search_for_all_of_it(connection: Connection) -> None:
    like = [(ProductId("s7"), 2.0), (ImageId(1), 1.0), drawn()[90].tolist()]
    hits = recommend(connection, like, tenant="acme", k=60)
    unit = [v / np.linalg.norm(v) for v in (drawn()[21:24].mean(0), drawn()[0], drawn()[90])]
    middle = 2 * unit[0] + unit[1] + unit[2]
    assert found(hits, 8) == products(cosines(middle), {7, 0}, 8)
    far = recommend(
        connection, like, [(ProductId(hits[0].product_id), 1)], tenant="acme", seen=["s9", ImageId(31)], k=8
    )
    assert not {hits[0].product_id, "s7", "s0", "s9", "s10"} & {hit.product_id for hit in far}


@pytest.mark.parametrize("unlike", [[], [25], [25, 40]])
def test_by_the_best_is_what_numpy_ranks(connection: Connection, unlike: list[int]) -> None:
    vectors = drawn()
    liked = np.stack([cosines(vectors[0]), cosines(vectors[100])])
    # A product stands by the picture that is nearest to one of the liked.
    nearest_ones = liked.reshape(2, PRODUCTS, PICTURES).argmax(2) + np.arange(PRODUCTS) * PICTURES
    scores = np.where(np.isin(np.arange(len(vectors)), nearest_ones), np.max(liked.T * [1.0, 0.8], axis=1), -9)
    if unlike:
        scores = scores - np.max([0.5 * cosines(vectors[at]) for at in unlike], axis=0)
    hits = recommend(
        connection,
        [vectors[0].tolist(), (vectors[100].tolist(), 0.8)],
        [(vectors[at].tolist(), 0.5) for at in unlike],
        strategy="best",
        tenant="acme",
        in_stock=True,
    )
    sold_out = {n for n in range(PRODUCTS) if n % 4 == 0}
    assert [hit.product_id for hit in hits] == products(scores, sold_out)
    best = np.sort(scores.reshape(PRODUCTS, PICTURES).max(1)[[n for n in range(PRODUCTS) if n % 4]])[::-1]
    assert [hit.distance for hit in hits] == pytest.approx(list(1 - best[:10]), abs=2e-3)
    assert {hit.pictures for hit in hits} == {3}


def test_pages_of_the_best_go_on_and_repeat_nothing(connection: Connection) -> None:
    asked: dict[str, Any] = {"like": [ImageId(1), ProductId("s7")], "strategy": "best", "tenant": "acme"}
    whole = recommend(connection, k=58, **asked)
    pages = [recommend(connection, k=20, **asked)]
    while pages[-1].after:
        pages.append(recommend(connection, k=20, after=pages[-1].after, **asked))
    assert [hit.image_id for page in pages for hit in page] == [hit.image_id for hit in whole]
    assert len(whole) == PRODUCTS - 2
    assert [hit.image_id for hit in recommend(connection, k=5, skip=3, **asked)] == [h.image_id for h in whole[3:8]]
    images = recommend(connection, k=100, per="image", **asked)
    assert len({hit.image_id for hit in images}) == 100
    with pytest.raises(FilterError, match="another question"):
        recommend(connection, **{**asked, "like": [ImageId(4)]}, after=whole[3].after)
    with pytest.raises(FilterError, match="first 1000"):
        recommend(connection, **asked, skip=995)


@pytest.mark.parametrize("strategy", ["centroid", "best"])
@pytest.mark.parametrize(
    ("like", "unlike"),
    [
        ([], []),
        ([], [ImageId(1)]),
        ([(ImageId(1), math.nan)], []),
        ([(ImageId(1), math.inf)], []),
        ([(ImageId(1), 0)], []),
        ([(ImageId(1), -1)], []),
        ([(ImageId(1), "much")], []),
        ([(ImageId(1), True)], []),
        ([ImageId(1)], [(ImageId(4), math.nan)]),
        ([ImageId(1)] * 65, []),
        ([ImageId(1)] * 33, [ImageId(4)] * 32),
        ([(ImageId(1), 1e7)], []),
        (["   "], []),
    ],
)
def test_examples_that_make_no_sense_are_refused(connection: Connection, strategy: Any, like: Any, unlike: Any) -> None:
    with pytest.raises(QueryError):
        recommend(connection, like, unlike, strategy=strategy, tenant="acme")


def test_unknown_things_ways_and_rankings_are_refused(connection: Connection) -> None:
    for thing in (ImageId(10**9), ProductId("nothing")):
        with pytest.raises(UnknownImage):
            recommend(connection, [thing], tenant="acme")
    with pytest.raises(QueryError, match="centroid and best"):
        recommend(connection, [ImageId(1)], strategy="worst")  # type: ignore[arg-type]
    with pytest.raises(FilterError, match="leave sort out"):
        recommend(connection, [ImageId(1)], strategy="best", sort="price")
    for weight in (math.nan, "heavy", 0, None):
        with pytest.raises(QueryError):
            search(connection, [(ImageId(1), weight)])  # type: ignore[list-item]


def test_sixty_four_examples_are_taken(connection: Connection) -> None:
    for strategy in ("centroid", "best"):
        hits = recommend(
            connection,
            [ImageId(n) for n in range(1, 33)],
            [ImageId(n) for n in range(100, 132)],
            strategy=strategy,
            tenant="acme",
        )  # type: ignore[arg-type]
        assert len(hits) == 10


def test_sql_recommends_as_python_does(connection: Connection) -> None:
    like, unlike = drawn()[0].tolist(), drawn()[40].tolist()
    for strategy in ("centroid", "best"):
        rows = connection.execute(
            "SELECT image_id, after_this FROM imgsearch.recommend(ARRAY[%s, %s]::halfvec[], ARRAY[%s]::halfvec[],"
            ' ARRAY[1, 0.5], strategy => %s, filters => imgsearch.filters_of(\'{"tenant": "acme"}\'), k => 12)',
            (vector_literal(like), vector_literal(drawn()[90]), vector_literal(unlike), strategy),
        ).fetchall()
        hits = recommend(
            connection, [like, (drawn()[90].tolist(), 0.5)], [unlike], strategy=strategy, tenant="acme", k=12
        )  # type: ignore[arg-type]
        assert [image for image, _ in rows] == [hit.image_id for hit in hits]


@pytest.mark.parametrize(
    "arguments",
    [
        "'{}'",
        "NULL",
        "ARRAY[imgsearch.vec_of(1)], like_weights => ARRAY['NaN'::float8]",
        "ARRAY[imgsearch.vec_of(1)], like_weights => ARRAY[1, 2]",
        "ARRAY[imgsearch.vec_of(1)], like_weights => ARRAY[-1]",
        "ARRAY[imgsearch.vec_of(1)], ARRAY[NULL::halfvec]",
        "array_fill(imgsearch.vec_of(1), ARRAY[65])",
        "ARRAY[imgsearch.vec_of(1)], strategy => 'worst'",
    ],
)
@pytest.mark.parametrize("strategy", ["best", "centroid"])
def test_sql_refuses_what_makes_no_sense(connection: Connection, arguments: str, strategy: str) -> None:
    if "worst" not in arguments:
        arguments += f", strategy => '{strategy}'"
    with pytest.raises(psycopg.Error) as refused:
        connection.execute(f"SELECT * FROM imgsearch.recommend({arguments})")  # noqa: S608
    assert refused.value.sqlstate in {"IM003", "IM008"}
    assert refused.value.diag.message_hint


def test_both_statements_have_the_same_columns() -> None:
    """A page of the best is made of the rows of search.sql as any other."""
    both = [sql.statements("search")[name] for name in ("search", "best")]
    columns, other = (text[text.index("SELECT") : text.index("\nFROM")] for text in both)
    assert columns == other
    joins, others = (text[text.index("LEFT JOIN LATERAL") :].replace("q.asked", "NULL") for text in both)
    assert joins == others
