"""A large tenant's searches walk a graph of its own, no other search does, and nothing is missed for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from sqlalchemy import select
from sqlalchemy.dialects import postgresql

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import UsageError
from imgsearch.ops import maintenance, tenant_graphs
from imgsearch.retrieval import nearest
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure
from imgsearch.sqlalchemy.models import Image
from tests.crowd import TENANTS, crowd
from tests.shop import database

Connection = psycopg.Connection[Any]
ODD = """o'brien's "100 %s" {shop} ü"""  # an index must hold it
EASY = """{"ef": 40, "spread": 4}"""  # so that a walk costs less than the bits of this small a shop
# Twenty times what there is, so that walks cost less than bits; of all alike, as the planner compares them.
LARGE = """UPDATE pg_class c SET reltuples = CASE WHEN x.indpred IS NULL THEN 120000
        WHEN pg_get_expr(x.indpred, x.indrelid) ~ 'acme' THEN 60000 ELSE 30000 END
    FROM pg_index x WHERE x.indexrelid = c.oid AND c.relname ~ '^embedding_1_hnsw'"""
FIND = """SELECT (f.answer).strategy, (f.plan).tenant, (f.answer).images FROM imgsearch_internal.find(
    imgsearch.vec_of(%(image)s), imgsearch.filters_of(%(filters)s::jsonb), jsonb_populate_record(
        imgsearch_internal.page_of(5), jsonb_build_object('per_product', %(per_product)s::boolean))) f"""


@pytest.fixture(scope="module")
def settings(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    """6,000 pictures, half of them acme's, which has its own graph, a quarter of one with an odd name."""
    with database(servers, template) as made:
        with db.connect(made, autocommit=True) as connection:
            tenants = [ODD if name == "bolt" else name for name in TENANTS]
            crowd(connection, ensure(connection, FakeEncoder().describe()), 6000, tenants=tenants)
        for tenant in ("acme", ODD):
            [name] = tenant_graphs.keep(made, tenant)
            assert name.startswith("embedding_1_hnsw_")
        with db.connect(made, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("ALTER TABLE imgsearch.embedding_1 SET (autovacuum_enabled = false)")
        yield made


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    with db.connect(settings, autocommit=True) as opened:
        opened.execute("SELECT set_config('imgsearch.search', %s, false)", [EASY])
        opened.execute(LARGE)
        opened.execute("UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,pictures}', '120000')")
        yield opened


@pytest.fixture
def walled(connection: Connection) -> Connection:
    """A connection behind the wall that speaks for acme."""
    connection.execute("SET imgsearch.tenant = 'acme'")
    connection.execute("SET ROLE imgsearch_reader")
    return connection


def graph_of(connection: Connection, tenant: str) -> str:
    row = connection.execute("SELECT imgsearch_internal.tenant_graph_name(1, %s)", [tenant]).fetchone()
    assert row is not None
    return str(row[0])


def walks(connection: Connection) -> dict[str, int]:
    """Return how often this transaction scanned the graph of all and each tenant's."""
    names = {"all": "embedding_1_hnsw", "acme": graph_of(connection, "acme"), ODD: graph_of(connection, ODD)}
    count = "SELECT pg_stat_get_xact_numscans(to_regclass('imgsearch.' || %s))"
    return {of: int((connection.execute(count, [name]).fetchone() or [0])[0]) for of, name in names.items()}


def found(connection: Connection, filters: str, *, per_product: bool = False, image: int = 1) -> tuple[Any, ...]:
    row = connection.execute(
        FIND, {"image": image, "filters": filters, "per_product": per_product}, prepare=False
    ).fetchone()
    assert row is not None
    return row


@pytest.mark.parametrize("per_product", [False, True])
@pytest.mark.parametrize("filters", ['{"tenant": "acme"}', '{"tenant": "acme", "in_stock": true, "min_price": 2}'])
def test_a_search_of_a_large_tenant_walks_its_own_graph_and_no_other(
    connection: Connection, filters: str, per_product: bool
) -> None:
    with connection.transaction():
        strategy, tenant, images = found(connection, filters, per_product=per_product)
        assert (strategy, tenant) == ("hnsw", "acme")
        assert walks(connection) == {"all": 0, "acme": 1, ODD: 0}
    owners = connection.execute("SELECT DISTINCT tenant_id FROM imgsearch.image WHERE image_id = ANY(%s)", [images])
    assert owners.fetchall() == [("acme",)]


@pytest.mark.parametrize("filters", ["{}", '{"in_stock": true}', '{"tenant": "coop"}', '{"tenant": "nobody"}'])
@pytest.mark.parametrize("per_product", [False, True])
def test_no_other_search_walks_it(connection: Connection, filters: str, per_product: bool) -> None:
    with connection.transaction():
        _, tenant, _ = found(connection, filters, per_product=per_product)
        assert tenant is None
        assert walks(connection) | {"all": 0} == {"all": 0, "acme": 0, ODD: 0}


def test_it_is_walked_wider_than_the_graph_of_all_and_believed_as_cautiously(connection: Connection) -> None:
    both = connection.execute(
        """SELECT c.ef, t.ef, t.trust_divisor
           FROM imgsearch_internal.search_context(imgsearch.vec_of(1), 10, NULL, NULL) c,
           imgsearch_internal.within_tenant(c, 'acme') t"""
    ).fetchone()
    assert both == (40, 52, 6)
    connection.execute("SET imgsearch.search = '{\"ef\": 0}'")
    context = "imgsearch_internal.search_context(imgsearch.vec_of(1), 10, NULL, NULL)"
    none = f"SELECT (imgsearch_internal.within_tenant({context}, 'acme')).ef"
    assert connection.execute(none.encode()).fetchone() == (0,), (
        "where no walk finds enough, none of a tenant is made either"
    )


def test_a_tenant_of_any_name_has_one(connection: Connection) -> None:
    with connection.transaction():
        row = connection.execute(
            """SELECT (f.answer).strategy, (f.plan).tenant FROM imgsearch_internal.find(imgsearch.vec_of(1),
               imgsearch.filters_of(jsonb_build_object('tenant', %s::text)), imgsearch_internal.page_of(5)) f""",
            [ODD],
        ).fetchone()
        assert row == ("hnsw", ODD)
        assert walks(connection) == {"all": 0, "acme": 0, ODD: 1}


@pytest.mark.parametrize("filters", ["{}", '{"in_stock": true}', '{"tenant": "acme"}'])
@pytest.mark.parametrize("per_product", [False, True])
def test_behind_a_wall_it_is_walked_whether_the_tenant_is_named_or_not(
    walled: Connection, filters: str, per_product: bool
) -> None:
    with walled.transaction():
        strategy, tenant, _ = found(walled, filters, per_product=per_product)
        assert (strategy, tenant) == ("hnsw", "acme")
        assert walks(walled) == {"all": 0, "acme": 1, ODD: 0}


def test_behind_a_wall_another_tenants_graph_shows_nothing(walled: Connection) -> None:
    row = walled.execute(
        """SELECT (f.answer).images FROM imgsearch_internal.find((SELECT mean FROM imgsearch.space),
           imgsearch.filters_of(jsonb_build_object('tenant', %s::text)), imgsearch_internal.page_of(5)) f""",
        [ODD],
    ).fetchone()
    assert row == ([],)


@pytest.mark.parametrize("role", ["imgsearch_admin", "imgsearch_worker", "postgres"])
def test_who_sees_all_tenants_finds_all_whatever_it_speaks_for(connection: Connection, role: str) -> None:
    connection.execute("SET imgsearch.tenant = 'acme'")
    connection.execute(SQL("SET ROLE {}").format(Identifier(role)))
    others = 0
    for image in range(1, 40):
        _, tenant, images = found(connection, "{}", image=image)
        assert tenant is None
        told = connection.execute("SELECT tenant_id FROM imgsearch.image WHERE image_id = ANY(%s)", [images])
        others += sum(owner != "acme" for (owner,) in told)
    assert others > 20


@pytest.mark.parametrize("groups", [{}, {"per": Image.product_id}])
def test_nearest_walks_it_behind_a_wall(walled: Connection, groups: dict[str, Any]) -> None:
    statement = nearest(select(Image.image_id), [1.0, *[0.1] * 47], limit=5, **groups)
    compiled = statement.compile(dialect=postgresql.psycopg.dialect())  # type: ignore[no-untyped-call]
    with walled.transaction():
        walled.execute(str(compiled).encode(), dict(compiled.params)).fetchall()
        assert walks(walled) == {"all": 0, "acme": 1, ODD: 0}


def test_it_finds_what_comparing_all_finds(connection: Connection) -> None:
    truth = """SELECT imgsearch_internal.exact_distances(imgsearch.vec_of(%s), imgsearch.filters_of(%s::jsonb), 5)"""
    right = 0
    for image in range(1, 101):
        filters = '{"tenant": "acme"}'
        _, _, images = found(connection, filters, image=image)
        row = connection.execute(truth, [image, filters]).fetchone()
        assert row is not None
        told = connection.execute(
            "SELECT count(*) FROM imgsearch.vectors v"
            " WHERE image_id = ANY(%s) AND v.embedding <=> imgsearch.vec_of(%s) <= %s",
            [images, image, row[0][-1] + 1e-6],
        ).fetchone()
        right += told[0] if told else 0
    assert right >= 0.99 * 500


@pytest.mark.parametrize("per_product", [False, True])
def test_what_waits_outside_the_graph_is_found_and_others_is_not(connection: Connection, per_product: bool) -> None:
    """The nearest of all wait in the tail: acme's is found by acme, the odd one's by nobody else."""
    like = connection.execute("SELECT image_id FROM imgsearch.image WHERE tenant_id = 'acme' LIMIT 1").fetchone()
    assert like is not None
    with connection.transaction(force_rollback=True):
        connection.execute(
            """WITH near AS (SELECT v.image_id, v.tenant_id FROM imgsearch.vectors v
                   WHERE v.tenant_id IN ('acme', %s) ORDER BY (v.embedding <=> imgsearch.vec_of(%s)) + 0 LIMIT 40),
               gone AS (DELETE FROM ONLY imgsearch.embedding_1 e USING near n
                        WHERE e.image_id = n.image_id RETURNING e.*)
               INSERT INTO imgsearch.embedding_1_tail SELECT * FROM gone""",
            [ODD, like[0]],
        )
        strategy, tenant, images = found(connection, '{"tenant": "acme"}', image=like[0], per_product=per_product)
        assert (strategy, tenant) == ("hnsw", "acme")
        assert walks(connection)["acme"] == 1
        truth = connection.execute(
            """SELECT array_agg(x.image_id) FROM (SELECT image_id FROM imgsearch.vectors v WHERE tenant_id = 'acme'
               ORDER BY (v.embedding <=> imgsearch.vec_of(%s)) + 0, image_id LIMIT 5) x""",
            [like[0]],
        ).fetchone()
        assert truth == (images,)
        waits = "SELECT count(*) FROM imgsearch.embedding_1_tail WHERE tenant_id = 'acme' AND image_id = ANY(%s)"
        assert connection.execute(waits, [images]).fetchone() != (0,)


def test_a_new_vector_stands_in_both_graphs(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute(
            "UPDATE imgsearch.embedding_1 SET embedding = l2_normalize(array_fill(-1::real, ARRAY[48])::halfvec)"
            " WHERE image_id = 1"
        )
        for filters in ('{"tenant": "acme"}', "{}"):
            _, _, images = found(connection, filters, image=1)
            assert images[0] == 1


def test_an_invalid_one_is_told_never_walked_and_mended(settings: Settings, connection: Connection) -> None:
    name = graph_of(connection, "acme")
    broken = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass('imgsearch.' || %s)"
    connection.execute(broken, [name])
    with connection.transaction():
        assert found(connection, '{"tenant": "acme"}')[1] is None
        assert walks(connection)["acme"] == 0
    assert connection.execute("SELECT violation, tenant_id, space FROM imgsearch.violations").fetchall() == [
        ("invalid graph of a tenant", "acme", "fakeencoder")
    ]
    told = connection.execute("SELECT check_name, detail FROM imgsearch.doctor_indexes").fetchall()
    assert told == [("invalid index", f"imgsearch.{name} is invalid: its build was interrupted")]
    assert connection.execute("SELECT imgsearch.repair_violations()").fetchone() == (0,), "not by embedding it again"
    assert maintenance.reindex(settings) == [f"built {name}"]
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []
    assert found(connection, '{"tenant": "acme"}')[1] == "acme"


def test_a_bulk_load_goes_without_any_graph_and_ends_with_all(settings: Settings, connection: Connection) -> None:
    graphs = "SELECT count(*) FROM pg_index WHERE indrelid = 'imgsearch.embedding_1'::regclass AND indpred IS NOT NULL"
    assert connection.execute(graphs).fetchone() == (2,)
    assert maintenance.drop(settings)
    assert connection.execute(graphs).fetchone() == (0,)
    assert maintenance.build(settings)
    assert connection.execute(graphs).fetchone() == (2,)


def test_the_explanation_says_so(connection: Connection) -> None:
    row = connection.execute(
        """SELECT e.explanation, e.figures ->> 'tenant' FROM imgsearch.explain_search(imgsearch.vec_of(1),
           imgsearch.filters_of('{"tenant": "acme"}'), ranking => imgsearch.ranking_of('{"per": "image"}')) e
           WHERE e.subject = 'way'"""
    ).fetchone()
    assert row is not None
    assert row[0].startswith("hnsw: walked the graph of this tenant alone to the nearest"), row
    assert row[1] == "acme"


def test_a_tenant_without_pictures_gets_none(settings: Settings) -> None:
    with pytest.raises(UsageError, match="has no images"):
        tenant_graphs.keep(settings, "nobody")
