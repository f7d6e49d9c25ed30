"""Each function that a shop's products are searched by, as each role: its own tenant's rows, and no error of rights."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from imgsearch.spaces.space import Space
from tests.asking import shop as drawn
from tests.shop import Row, fill
from tests.test_walls import As, acting

__all__ = ["acting"]

Connection = psycopg.Connection[Any]
VECTOR = str([1.0] + [0.1] * 47)
NARROW = 'imgsearch.ranking_of(\'{"diversity": 0.3, "words": "boot", "expand": true}\')'
# Functions whose rows name products; {filters} are of the tenant that is named.
ROWS = {
    "plain": f"search('{VECTOR}'::halfvec, k => 9, tenant => %(tenant)s)",
    "per image": f"search('{VECTOR}'::halfvec, per => 'image', tenant => %(tenant)s)",
    "words": f"search('{VECTOR}'::halfvec, words => 'bot zebrano', tenant => %(tenant)s)",
    "words alone": "search('boot', look_weight => 0, tenant => %(tenant)s)",
    "code": "search('SKU-12345', look_weight => 0, tenant => %(tenant)s)",
    "sort": f"search('{VECTOR}'::halfvec, sort => 'price', tenant => %(tenant)s)",
    "boost": f"""search('{VECTOR}'::halfvec, boost => '{{"in_stock": 0.1}}', tenant => %(tenant)s)""",
    "diversity": f"search('{VECTOR}'::halfvec, diversity => 0.3, tenant => %(tenant)s)",
    "expand": f"search('{VECTOR}'::halfvec, expand => true, tenant => %(tenant)s)",
    "cutoff": f"search('{VECTOR}'::halfvec, cutoff => 'auto', tenant => %(tenant)s)",
    "centroid": f"recommend(ARRAY['{VECTOR}'::halfvec], filters => {{filters}})",
    "best": f"recommend(ARRAY['{VECTOR}'::halfvec], strategy => 'best', filters => {{filters}})",
    "all of it": f"recommend(ARRAY['{VECTOR}'::halfvec], filters => {{filters}}, ranking => {NARROW})",
    "browse": "browse_products({filters})",
    "browse sorted": "browse_products({filters}, sort => 'attributes.size')",
    "suggest": "suggest('boo', %(tenant)s) WHERE kind = 'title'",
}
FILTERS = "imgsearch.filters_of(jsonb_build_object('tenant', %(tenant)s::text))"
OTHERS = {
    "facets": "SELECT count FROM imgsearch.facets({filters}) WHERE facet = 'images'",
    "suggest": "SELECT count(*) FROM imgsearch.suggest('zebr', %(tenant)s)",
    "explain": "SELECT count(*) FROM imgsearch.explain_search({vector}::halfvec, {filters}, ranking => {narrow})",
    "keep": "SELECT imgsearch.keep_question('red boot', coalesce(%(tenant)s, imgsearch.current_tenant()))",
}


@pytest.fixture
def shop(connection: Connection, space: Space) -> Connection:
    """Two tenants with products of two pictures, titles that hold a common word and each one of its own."""
    rows = [
        Row(vector=row.vector, tenant=tenant, product=f"{tenant}{n // 2}", price=n, attributes={"size": n % 5})
        for tenant in ("a", "b")
        for n, row in enumerate(drawn(40, ord(tenant)))
    ]
    fill(connection, space, rows)
    connection.execute(
        "INSERT INTO imgsearch.product (tenant_id, product_id, title, codes) SELECT DISTINCT tenant_id, product_id,"
        " CASE WHEN product_id IN ('a1', 'b1') THEN 'boot zebrano' ELSE 'boot' END, ARRAY['SKU-12345']"
        " FROM imgsearch.image"
    )
    connection.execute("SELECT imgsearch.refresh_vocabulary(), imgsearch.refresh_sample()")
    for tenant in ("a", "b"):
        connection.execute("SELECT imgsearch.set_shop(%s, keep_questions => true)", (tenant,))
        connection.execute("SELECT imgsearch.pin(%s, %s), imgsearch.hide(%s, %s)", (tenant, f"{tenant}7", tenant, "x"))
        connection.execute(
            "INSERT INTO imgsearch.calibration (space_id, kind, tenant_id, scale, bias) VALUES (1, 'text', %s, 9, -3)",
            (tenant,),
        )
    return connection


def asked(connection: Connection, statement: str, tenant: str | None) -> list[Any]:
    text = statement if statement.startswith("SELECT") else f"SELECT product_id FROM imgsearch.{statement}"  # noqa: S608
    for name, value in (("{filters}", FILTERS), ("{vector}", f"'{VECTOR}'"), ("{narrow}", NARROW)):
        text = text.replace(name, value)
    return [row[0] for row in connection.execute(text.encode(), {"tenant": tenant}).fetchall()]


@pytest.mark.parametrize("role", ["imgsearch_reader", "imgsearch_writer"])
def test_a_role_of_one_tenant_is_answered_of_it_alone(shop: Connection, acting: As, role: str) -> None:
    here = acting(role, options="-c imgsearch.tenant=a")
    for name, statement in ROWS.items():
        for tenant in (None, "a"):
            found = asked(here, statement, tenant)
            assert found, (name, tenant)
            assert {product[0] for product in found} == {"a"}, (name, tenant)
        assert asked(here, statement, "b") == [], name
    for tenant in (None, "a"):
        assert asked(here, OTHERS["facets"], tenant) == [40]
        assert asked(here, OTHERS["suggest"], tenant)[0] > 0
        assert asked(here, OTHERS["explain"], tenant)[0] > 3
        assert asked(here, OTHERS["keep"], tenant) == [True]
    assert asked(here, OTHERS["facets"], "b") in ([], [0])
    assert asked(here, OTHERS["suggest"], "b") == [0]
    assert asked(here, OTHERS["keep"], "b") == [False]
    assert asked(here, OTHERS["explain"], "b")
    assert shop.execute("SELECT tenant_id FROM imgsearch.past_question").fetchall() == [("a",)]


@pytest.mark.parametrize("role", ["imgsearch_reader", "imgsearch_writer"])
def test_a_role_of_one_tenant_that_speaks_for_none_is_told_nothing(shop: Connection, acting: As, role: str) -> None:
    here = acting(role)
    for name, statement in ROWS.items():
        for tenant in (None, "a", "b"):
            assert asked(here, statement, tenant) == [], (name, tenant)
    for tenant in (None, "a"):
        assert asked(here, OTHERS["facets"], tenant) in ([], [0])
        assert asked(here, OTHERS["suggest"], tenant) == [0]
        assert asked(here, OTHERS["explain"], tenant)
        assert asked(here, OTHERS["keep"], tenant) == [False], "it writes into no shop"
    assert shop.execute("SELECT count(*) FROM imgsearch.past_question").fetchone() == (0,)


@pytest.mark.parametrize("role", ["imgsearch_worker", "imgsearch_admin"])
def test_a_role_of_all_tenants_is_answered_of_the_one_it_names(shop: Connection, acting: As, role: str) -> None:
    here = acting(role)
    for name, statement in ROWS.items():
        for tenant in ("a", "b"):
            found = asked(here, statement, tenant)
            assert found, (name, tenant)
            assert {product[0] for product in found} == {tenant}, (name, tenant)
        assert asked(here, statement, None), name
    for statement in OTHERS.values():
        assert asked(here, statement, "b"), statement
    assert asked(here, OTHERS["keep"], "b") == [True]
