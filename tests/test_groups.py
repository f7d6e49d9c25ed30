"""`nearest(select(Product, Image).join(…), query, per=Product)`: one row per entity, complete, against plain Python."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from sqlalchemy import Select, Text, and_, cast, func, select
from sqlalchemy.orm import Session, aliased

from imgsearch import Image, nearest
from tests.alike import (
    BELIEFS,
    CLOSE,
    JOINED,
    Key,
    Label,
    Product,
    Shop,
    a_query,
    nearest_of_each,
    seen,
    session,
    stocked,
)

QUERIES = int(os.environ.get("SEARCH_QUERIES", "300"))

__all__ = ["session", "stocked"]  # fixtures

Form = tuple[Select[Any], Any, Any, Key]


def forms() -> dict[str, Form]:
    """Return (statement, per, what names a row's group, the same in Python)."""
    other = aliased(Product)
    here = and_(cast(other.id, Text) == Image.product_id, Image.tenant_id == "acme")
    own = lambda shop, one: [] if one.product < 0 else [one.product]  # noqa: E731
    return {
        "class": (JOINED, Product, Product.number, own),
        "alias": (select(other, Image).join(other, here), other, other.number, own),
        "table": (JOINED, Product.__table__, Product.number, own),
        "column": (JOINED, Product.number, Product.number, own),
        "uuid": (JOINED, Product.code, Product.code, lambda s, one: [s.codes[n] for n in own(s, one)]),
        "two columns": (
            JOINED,
            [Product.brand, Image.category],
            func.row(Product.brand, Image.category).cast(Text),
            lambda s, one: [(s.brands[n], one.row.category) for n in own(s, one)],
        ),
        "few": (JOINED, Image.category, Image.category, lambda s, one: [one.row.category for _ in own(s, one)]),
        "outer join": (
            select(Image, Product.number).outerjoin(Product, cast(Product.id, Text) == Image.product_id),
            Product,
            Product.number,
            lambda s, one: own(s, one) or [None],
        ),
        "multiplied": (
            JOINED.join(Label),
            Product,
            Product.number,
            lambda s, one: [n for n in own(s, one) if s.labels[n]],
        ),
        "several of a picture": (
            JOINED.join(Label),
            Label.name,
            Label.name,
            lambda s, one: [name for n in own(s, one) for name in s.labels[n]],
        ),
        "pictures alone": (
            select(Image.image_id, Image.product_id),
            [Image.tenant_id, Image.product_id],
            Image.product_id,
            lambda s, one: [one.product if one.product >= 0 else ("gone", one.image_id)],
        ),
        "expression": (
            JOINED,
            func.coalesce(Product.brand, ""),
            func.coalesce(Product.brand, ""),
            lambda s, one: [s.brands[n] or "" for n in own(s, one)],
        ),
    }


FORMS = forms()


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("belief", list(BELIEFS))
def test_each_group_once_with_its_nearest_picture(stocked: Shop, session: Session, belief: str, form: str) -> None:
    stocked.believe(BELIEFS[belief])
    statement, per, named, groups_of = FORMS[form]
    chance = random.Random(f"{belief} {form}")
    found = possible = 0
    strategies = set()
    for _ in range(max(8, QUERIES // 30)):
        high, k = chance.choice([100, 50, 5, -1]), chance.choice([1, 5, 10, 10, 50, 400])
        query, offset = a_query(chance, stocked.pictures), chance.choice([0, 0, 3])
        near = seen(stocked, high, query, groups_of)
        best = nearest_of_each(near)
        asked = statement.where(Image.price < high).add_columns(named.label("named"), Image.image_id.label("shown"))
        rows = session.execute(nearest(asked, query, limit=k, offset=offset, per=per, explained=True)).all()
        assert len(rows) == max(0, min(k, len(best) - offset)), (high, k, offset)
        assert len({row.named for row in rows}) == len(rows)
        assert all(row.complete for row in rows)
        order = [(row.distance, row.shown) for row in rows]
        assert order == sorted(order)
        strategies |= {row.strategy for row in rows}
        true = sorted(best.values())[offset : offset + k]
        for row in rows:
            distance, groups = near[row.shown]
            assert abs(distance - row.distance) < CLOSE
            found += distance <= true[-1] + CLOSE and any(distance <= best[group] + CLOSE for group in groups)
        possible += len(true)
    assert found >= 0.99 * possible
    assert belief in strategies or form not in {"class", "uuid", "multiplied"}
