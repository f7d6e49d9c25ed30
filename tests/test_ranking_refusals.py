"""What a shop's engineer gets wrong in Python is a typed error with the cure, never an AttributeError."""

from __future__ import annotations

import math
from typing import Any

import psycopg
import pytest

from imgsearch import ImgsearchError, explain, recommend, search
from imgsearch.errors import FilterError, QueryError
from imgsearch.spaces.space import Space
from tests.crowd import crowd

QUERY = [1.0] + [0.0] * 47
Connection = psycopg.Connection[Any]


@pytest.fixture
def shop(connection: Connection, space: Space) -> Connection:
    crowd(connection, space, 40)
    return connection


@pytest.mark.parametrize("name", ["word_weight", "look_weight", "min_match", "diversity"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_none_is_called_by_its_name(shop: Connection, name: str, value: float) -> None:
    with pytest.raises(FilterError, match=f"{name} .*finite"):
        search(shop, QUERY, ranking=None, **{name: value})  # type: ignore[arg-type]


def test_a_boost_that_is_no_number_is_called_by_its_name(shop: Connection) -> None:
    with pytest.raises(FilterError, match=r"boost .*finite"):
        search(shop, QUERY, boost={"in_stock": math.nan})


@pytest.mark.parametrize("given", [{"ranking": {"per": "image"}}, {"filters": {"tenant": "acme"}}])
@pytest.mark.parametrize("beside", [{}, {"per": "image", "tenant": "acme"}])
def test_a_mapping_is_no_filters_and_no_ranking(shop: Connection, given: Any, beside: Any) -> None:
    with pytest.raises(FilterError, match="not a dict"):
        search(shop, QUERY, **given, **beside)


@pytest.mark.parametrize("side", ["like", "unlike"])
@pytest.mark.parametrize("text", ["red shoe", b"a picture"])
def test_one_example_alone_is_not_taken_letter_by_letter(shop: Connection, side: str, text: Any) -> None:
    given: Any = {"like": [QUERY]} | {side: text}
    with pytest.raises(QueryError, match="list"):
        recommend(shop, **given)


def test_products_that_were_seen_may_be_numbers_as_where_they_are_added(shop: Connection) -> None:
    with shop.transaction():
        shop.execute("UPDATE imgsearch.image SET product_id = substr(product_id, 2)")
    [first, *_] = recommend(shop, [QUERY], k=5)
    left = recommend(shop, [QUERY], k=5, seen=[int(first.product_id)])
    assert first.product_id not in {hit.product_id for hit in left}
    with pytest.raises(ImgsearchError, match="seen"):
        recommend(shop, [QUERY], seen=[None])  # type: ignore[list-item]
    with pytest.raises(ImgsearchError, match="list"):
        recommend(shop, [QUERY], seen="sku-1")


def test_an_explanation_of_words_alone_counts_no_images_it_does_not_know(shop: Connection) -> None:
    [first, *_] = explain(shop, "shoe", look_weight=0)
    assert first.startswith("0 of 0 products that match, found by words")
