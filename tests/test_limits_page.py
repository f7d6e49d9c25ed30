"""docs/limits.md says the numbers that the code holds, and the database refuses one step above each."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from imgsearch_workers.looking.pictures import LARGEST_KEPT
from imgsearch_workers.model import detector
from imgsearch_workers.proposers import proposed, salient

from imgsearch.errors import FilterError
from imgsearch.evaluation import judged
from imgsearch.http import caps, thumbnails
from imgsearch.ingest import vectors
from imgsearch.ops.calibration import MOST as MOST_JUDGEMENTS
from imgsearch.page import product, suggestions
from imgsearch.page.upload_form import MOST_AT_ONCE
from imgsearch.query.resolution import MAX_TEXT
from imgsearch.retrieval import by_filters, limits, rerank, search
from imgsearch.retrieval.template import LARGEST_PAGE
from imgsearch.spaces.space import Space
from tests.http.largest import above, at_most

PAGE = Path(__file__).parent.parent / "docs" / "limits.md"
ASKED_WORDS = 16
SUGGESTIONS = 20
LIMITS = {
    "words": caps.TEXT,
    "name": caps.NAME,
    "category": caps.CATEGORIES,
    "product_ids": caps.IDS,
    "exclude_product_ids": caps.IDS,
    "exclude_image_ids": caps.IDS,
    "attributes": caps.ATTRIBUTES,
    "values": caps.VALUES,
    "filter bytes": caps.FILTER_BYTES,
    "conditions": caps.CONDITIONS,
    "groups": caps.GROUPS,
    "levels": caps.LEVELS,
    "depth": caps.DEPTH,
    "k": caps.K,
    "ordered skip": 1000,
    "attached value": 200,
    "attached categories": 100,
    "refresh": 100_000,
    "regions": 1,
    "pins": 25,
    "hidden": 200,
    "skip": caps.SKIP,
    "after": caps.CURSOR,
    "more_like": caps.EXAMPLES,
    "less_like": caps.EXAMPLES,
    "like": caps.LIKES,
    "unlike": caps.LIKES,
    "judgements": MOST_JUDGEMENTS,
    "evaluated judgements": judged.MOST,
    "evaluated questions": judged.MOST_QUESTIONS,
    "boost": caps.BOOSTS,
    "price bands": caps.BANDS,
    "facet attributes": caps.ATTRIBUTES,
    "choices": caps.CHOICE_VALUES,
    "vector": caps.NUMBERS,
    "url": caps.URL,
    "images": caps.IMAGES,
    "page upload": MOST_AT_ONCE,
    "page address": caps.ADDRESS,
    "page suggestions": suggestions.MOST,
    "page pictures": product.MOST,
    "proposed parts": salient.MOST,
    "duplicates": by_filters.MOST_IMAGES,
    "kept parts": 9,
    "detector": 200,
    "detector's words": detector.MOST_LABELS,
    "detector's boxes": proposed.MOST_READ,
    "larger picture": thumbnails.LARGEST,
    "page choices": caps.CHOICES,
    "image attributes": caps.ATTRIBUTES_BYTES,
    "text in attributes": caps.VALUE,
    "title": caps.TITLE,
    "product words": caps.PRODUCT_WORDS,
    "codes": caps.CODES,
    "code": caps.CODE,
    "categories": caps.SEVERAL,
    "one of several categories": caps.NAME,
    "question's words": ASKED_WORDS,
    "suggestions": SUGGESTIONS,
    "given vectors": vectors.TOGETHER,
    "rerank steps": rerank.MOST_STEPS,
    "rerank pool": int(rerank.STEPS["k_reciprocal"]["pool"].high),
    "second looks": 64,
    "kept features": LARGEST_KEPT,
    "bulk lines": caps.LINES,
    "near": caps.KILOMETRES,
    "key's conditions": limits.CONDITIONS,
    "key's values": limits.VALUES,
    "JSON body": caps.JSON_BYTES,
    "JSON values": caps.JSON_VALUES,
    "JSON body that adds images": caps.IMAGES_JSON_BYTES,
    "JSON values that add images": caps.IMAGES_JSON_VALUES,
}


def test_the_page_says_the_numbers_of_the_code() -> None:
    table = PAGE.read_text().split("<!-- limits: begin -->")[1].split("<!-- limits: end -->")[0]
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \|", table, re.MULTILINE)
    assert {name: int(number) for name, number in rows} == LIMITS
    assert (caps.TEXT, caps.K) == (MAX_TEXT, LARGEST_PAGE)


@pytest.mark.parametrize("name", sorted(at_most()))
def test_sql_takes_the_largest_filter_and_nothing_above(
    name: str, connection: psycopg.Connection[Any], space: Space
) -> None:
    def ask(filters: dict[str, Any]) -> None:
        connection.execute(
            "SELECT imgsearch_internal.filter_sql(imgsearch.filters_of(%s))", (json.dumps(filters),)
        ).fetchall()

    ask(at_most()[name])
    for step in above().get(name, []):
        with pytest.raises(psycopg.Error) as caught:
            ask(step)
        assert caught.value.sqlstate == "IM008", name


def test_sql_refuses_longer_pages_and_texts(connection: psycopg.Connection[Any], space: Space) -> None:
    vector = str([1.0] * 48)
    for page in ({"k": caps.K + 1}, {"skip": caps.SKIP + 1}, {"after": "1" * 200}):
        [(name, value)] = page.items()
        with pytest.raises(psycopg.Error, match=name):
            connection.execute(f"SELECT * FROM imgsearch.search(%s::halfvec, {name} => %s)", (vector, value))  # noqa: S608
    with pytest.raises(FilterError, match="more than 1000 values"):
        search(connection, [1.0] * 48, category=[f"x{n}" for n in range(caps.CATEGORIES + 1)])
    with pytest.raises(psycopg.Error, match="the limit is 2000"):
        connection.execute("CALL imgsearch.embed(%s)", ("x" * (caps.TEXT + 1),))
    with pytest.raises(psycopg.Error, match="2097152 bytes"):
        connection.execute("SELECT imgsearch.filters_of(%s)", (json.dumps({"product_ids": ["x" * 1000] * 2200}),))


def test_sql_holds_the_limits_of_words(connection: psycopg.Connection[Any]) -> None:
    question = " ".join(f"word{n}" for n in range(ASKED_WORDS + 10))
    connection.execute(
        "INSERT INTO imgsearch.product (tenant_id, product_id, title, words, codes) VALUES ('a', 'p', %s, %s, %s)",
        (question[:1000], "y " * 5000, ["z" * caps.CODE] * caps.CODES),
    )
    row = connection.execute(
        "SELECT cardinality((imgsearch_internal.asked_words('a', %s)).words)", (question,)
    ).fetchone()
    assert row == (ASKED_WORDS,)
    for column, value in {
        "title": "x" * (caps.TITLE + 1),
        "words": "x" * (caps.PRODUCT_WORDS + 1),
        "codes": ["z"] * (caps.CODES + 1),
    }.items():
        with pytest.raises(psycopg.Error, match=r"at most|the limit is"):
            connection.execute(f"UPDATE imgsearch.product SET {column} = %s", (value,))  # noqa: S608
    with pytest.raises(psycopg.Error, match="at most 100 characters"):
        connection.execute("UPDATE imgsearch.product SET codes = %s", (["z" * (caps.CODE + 1)],))
    connection.execute("SELECT imgsearch.suggest('wo', 'a', %s)", (SUGGESTIONS,))
    with pytest.raises(psycopg.Error) as refused:
        connection.execute("SELECT imgsearch.suggest('wo', 'a', %s)", (SUGGESTIONS + 1,))
    assert refused.value.sqlstate == "IM008"


def test_sql_holds_the_limits_of_parts(connection: psycopg.Connection[Any]) -> None:
    def wish(regions: str, each: int) -> None:
        connection.execute("SELECT imgsearch.set_shop('a', regions => %s, regions_per_picture => %s)", (regions, each))

    wish("detector:" + "x" * LIMITS["detector"], LIMITS["kept parts"])
    words = [str(n) for n in range(LIMITS["detector's words"] + 1)]
    wish("detector:x#" + ",".join(words[1:]), 1)
    for regions, each in (
        ("detector:" + "x" * (LIMITS["detector"] + 1), 1),
        ("detector:x#" + ",".join(words), 1),
        ("grid", LIMITS["kept parts"] + 1),
    ):
        with pytest.raises(psycopg.Error) as refused:
            wish(regions, each)
        assert refused.value.sqlstate == "IM008"
