"""A key with filters is suggested all it may see, however many hidden titles begin alike, and none of those."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.http.conftest import Connection, with_key
from tests.http.test_search_keys import INSIDE
from tests.http.test_search_keys import key as key

# Twelve words of hidden titles begin as the one that may be seen, each more common; and their titles are shorter.
HIDDEN = """INSERT INTO imgsearch.product (tenant_id, product_id, title)
SELECT 'acme', 'hidden-' || word || n, word || ' ' || n
FROM unnest(ARRAY['lum', 'luma', 'lumb', 'lumc', 'lumd', 'lume', 'lumf', 'lumg', 'lumh', 'lumi', 'lumo', 'lumu']) word,
    generate_series(1, 30) n"""
IMAGES = """INSERT INTO imgsearch.image (tenant_id, product_id, uri, category, price)
SELECT tenant_id, product_id, 'store:' || product_id, 'bags', 500 FROM imgsearch.product WHERE product_id ~ '^hidden'"""
SEEN = f"""INSERT INTO imgsearch.product (tenant_id, product_id, title)
SELECT tenant_id, product_id, 'Lumen floor lamp with a very long name number ' || product_id FROM imgsearch.image
WHERE tenant_id = 'acme' GROUP BY 1, 2 HAVING bool_or({INSIDE}) LIMIT 3"""  # noqa: S608


@pytest.mark.parametrize("typed", ["l", "lu", "lum", "lumen", "lumen fl", "floor lum", "LUMEN"])
def test_hidden_titles_take_no_place(client: FlaskClient, connection: Connection, key: str, typed: str) -> None:
    for statement in (HIDDEN, IMAGES, SEEN):
        connection.execute(statement.encode())
    connection.execute("SELECT imgsearch.refresh_vocabulary()")
    rows = connection.execute("SELECT title FROM imgsearch.product WHERE title ~ '^Lumen'").fetchall()
    titles = {title for (title,) in rows}
    answer = client.get("/v1/suggest", query_string={"q": typed, "k": 3}, headers=with_key(key)).get_json()
    assert {one["text"] for one in answer["suggestions"]} == titles
    assert titles
    assert {one["kind"] for one in answer["suggestions"]} == {"title"}


@pytest.mark.parametrize("typed", ["'", "lum'", "a:*", "\\", "lum\\'", "&", "!lum", "( lum", "x" * 50])
def test_what_looks_like_a_query_is_text(client: FlaskClient, key: str, typed: str) -> None:
    assert client.get("/v1/suggest", query_string={"q": typed}, headers=with_key(key)).status_code == 200
