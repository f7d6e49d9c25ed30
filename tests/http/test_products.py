"""A search over HTTP answers products: each once, with its other pictures, and every way of ranking can be asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from imgsearch.http import caps, openapi
from imgsearch.retrieval import ranking, search
from tests.http.conftest import Connection, problem, shown_to, with_key

KeyOf = Callable[..., str]


@pytest.fixture
def products(connection: Connection, shop: list[int]) -> list[int]:
    """Acme's ten pictures as four products: three pictures each, and one of the last."""
    mine = shop[::3]
    for n, image in enumerate(mine):
        connection.execute(
            "UPDATE imgsearch.image SET product_id = %s, position = %s WHERE image_id = %s",
            (f"q{n // 3}", n % 3, image),
        )
    return mine


def ask(client: FlaskClient, headers: dict[str, str], **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/search", json={"text": "red shoe", **body}, headers=headers)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    found: dict[str, Any] = answer.get_json()
    return found


def test_a_row_is_a_product_with_its_other_pictures(
    client: FlaskClient, connection: Connection, products: list[int], key_of: KeyOf
) -> None:
    headers = with_key(key_of("acme"))
    found = ask(client, headers, k=10)
    hits = search(connection, "red shoe", k=10, tenant="acme")
    assert [row["product_id"] for row in found["rows"]] == [hit.product_id for hit in hits]
    assert sorted(row["product_id"] for row in found["rows"]) == ["q0", "q1", "q2", "q3"]
    assert (found["matches"], found["matching_images"], found["more"]) == (4, 10, False)
    for row, hit in zip(found["rows"], hits, strict=True):
        assert row["pictures"] == (1 if row["product_id"] == "q3" else 3)
        assert row["match"] == hit.match
        assert [one["image_id"] for one in row["others"]] == [shown_to(connection, "acme", one) for one in hit.others]
        assert all(one["thumbnail"].startswith("/thumbnail/") for one in row["others"])
        assert row["after"].split(",")[1] == str(row["image_id"]), "no id of the table is shown"
        for one in row["others"]:
            assert (
                client.get(f"/v1/images/{one['image_id']}", headers=headers).get_json()["product_id"]
                == row["product_id"]
            )


def test_a_product_of_a_thousand_pictures_is_one_row(
    client: FlaskClient, connection: Connection, products: list[int], key_of: KeyOf
) -> None:
    connection.execute(
        "WITH made AS (INSERT INTO imgsearch.image (tenant_id, product_id, position, uri, sha256, bits_1)"
        " SELECT 'acme', 'q0', n, 'store:' || n, sha256(n::text::bytea), i.bits_1"
        " FROM generate_series(10, 1006) n, imgsearch.image i WHERE i.image_id = %(image)s RETURNING image_id, sha256)"
        " INSERT INTO imgsearch.embedding_1 (tenant_id, image_id, sha256, embedding)"
        " SELECT 'acme', m.image_id, m.sha256, v.embedding FROM made m, imgsearch.vectors v"
        " WHERE v.image_id = %(image)s",
        {"image": products[0]},
    )
    headers, got, after = with_key(key_of("acme")), list[str](), None
    while rows := ask(client, headers, k=2, after=after)["rows"]:
        for row in rows:
            assert row["pictures"] == {"q0": 1000, "q3": 1}.get(row["product_id"], 3)
            assert len(row["others"]) <= 4
        got += [row["product_id"] for row in rows]
        after = rows[-1]["after"]
    assert sorted(got) == ["q0", "q1", "q2", "q3"]
    body = {"like": [{"product_id": "q0"}], "k": 10}
    liked = client.post("/v1/search", json=body, headers=headers).get_json()
    assert "q0" not in {row["product_id"] for row in liked["rows"]}
    assert len(liked["rows"]) == 3


def test_images_are_rows_where_that_is_asked(client: FlaskClient, products: list[int], key_of: KeyOf) -> None:
    found = ask(client, with_key(key_of("acme")), k=10, per="image")
    assert len(found["rows"]) == 10
    assert {(row["pictures"], str(row["others"])) for row in found["rows"]} == {(None, "[]")}


def test_every_row_can_be_gone_on_behind(client: FlaskClient, products: list[int], key_of: KeyOf) -> None:
    """Also from the middle of a page; a cursor of another question is told."""
    headers = with_key(key_of("acme"))
    whole = [row["product_id"] for row in ask(client, headers, k=10)["rows"]]
    first = ask(client, headers, k=3)
    assert first["after"] == first["rows"][-1]["after"]
    for n, row in enumerate(first["rows"], 1):
        assert [one["product_id"] for one in ask(client, headers, k=10, after=row["after"])["rows"]] == whole[n:]
    other = client.post(
        "/v1/search", json={"text": "red shoe", "per": "image", "after": first["after"]}, headers=headers
    )
    assert "another question" in problem(other, 400, "filter_error")["detail"]
    head, _, rest = first["after"].partition(",")
    number, _, rest = rest.partition(",")
    forged = f"{head},{number},{rest.partition(',')[0]},00000000"
    answer = client.post("/v1/search", json={"text": "red shoe", "after": forged}, headers=headers)
    assert problem(answer, 400, "filter_error")


def test_every_way_of_ranking_is_a_field_with_its_words(client: FlaskClient, shop: list[int], key_of: KeyOf) -> None:
    schemas = openapi.document()["components"]["schemas"]
    for model in ("Search", "SearchFields"):
        for name, said in ranking.HELP.items():
            assert schemas[model]["properties"][name]["description"].startswith(said)
    headers = with_key(key_of("acme"))
    for name, value in {
        "per": "shop",
        "words": "x" * (caps.TEXT + 1),
        "word_weight": caps.WEIGHT + 1,
        "look_weight": -1,
        "cutoff": "sharp",
        "min_match": 1.5,
        "sort": "x" * (caps.NAME + 1),
        "boost": {f"attributes.a{n}": 0.1 for n in range(caps.BOOSTS + 1)},
        "diversity": -0.1,
        "expand": "yes",
    }.items():
        answer = client.post("/v1/search", json={"text": "red shoe", name: value}, headers=headers)
        said = problem(answer, 400, "bad_request")
        assert said["errors"][0]["path"].startswith(f"/{name}"), said
    for nonsense in (b'{"text": "x", "word_weight": NaN}', b'{"text": "x", "boost": {"in_stock": Infinity}}'):
        answer = client.post("/v1/search", data=nonsense, headers={**headers, "Content-Type": "application/json"})
        assert problem(answer, 400, "bad_request")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"unlike": [{"text": "red shoe"}], "text": None}, 400),
        ({"like": [{"text": "red shoe", "weight": 0}]}, 400),
        ({"like": [{"text": "red shoe", "weight": -1}]}, 400),
        ({"boost": {"in_stock": 1e9}}, 400),
        ({"boost": {"colour": 0.1}}, 400),
        ({"boost": {}}, 200),
        ({"sort": "attributes.nobody_has_it"}, 200),
        ({"sort": "colour"}, 400),
        ({"word_weight": 0, "look_weight": 0}, 400),
        ({"words": "красная обувь"}, 200),
        ({"after": "0.1,1,1,x,y,z"}, 400),
        ({"after": "NaN,1"}, 400),
        ({"after": "0.5,99999999999999999999"}, 400),
        ({"after": "0.5,1,-3,abcdefgh"}, 400),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_said_and_what_does_is_whole(
    client: FlaskClient, products: list[int], key_of: KeyOf, body: dict[str, Any], status: int
) -> None:
    asked = {name: value for name, value in {"text": "red shoe", "k": 10, **body}.items() if value is not None}
    answer = client.post("/v1/search", json=asked, headers=with_key(key_of("acme")))
    assert answer.status_code == status, answer.get_data(as_text=True)
    found = answer.get_json()
    if status == 200:
        assert len(found["rows"]) == 4
    else:
        assert answer.content_type == "application/problem+json"
        assert found["detail"]
