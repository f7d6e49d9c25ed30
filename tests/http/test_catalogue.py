"""Keeping a catalogue over HTTP: lists, changes without pictures, whole products, and a thousand lines at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from imgsearch.http import bulk, caps
from tests.http.conftest import Connection, problem, shown_to, with_key

KeyOf = Callable[..., str]
Headers = dict[str, str]


@pytest.fixture
def headers(connection: Connection, shop: list[int], key_of: KeyOf) -> Headers:
    """Acme's key. Its ten pictures are q0 of three, q1 of three, q2 of three and q3 of one."""
    for n, image in enumerate(shop[::3]):
        of = (f"q{n // 3}", n % 3, image)
        connection.execute("UPDATE imgsearch.image SET product_id = %s, position = %s WHERE image_id = %s", of)
    return with_key(key_of("acme", "write"))


def stored(connection: Connection, column: str, product: str = "q0", tenant: str = "acme") -> list[Any]:
    rows = connection.execute(
        f"SELECT {column} FROM imgsearch.image WHERE tenant_id = %s AND product_id = %s ORDER BY position".encode(),  # noqa: S608
        (tenant, product),
    )
    return [row[0] for row in rows]


def waiting(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM imgsearch.job").fetchone()
    assert row is not None
    return int(row[0])


def lines(client: FlaskClient, headers: Headers, *given: Any) -> list[dict[str, Any]]:
    body = b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in given)
    answer = client.post("/v1/images/bulk", data=body, headers={**headers, "Content-Type": "application/x-ndjson"})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert answer.content_type == "application/x-ndjson"
    return [json.loads(line) for line in answer.get_data().splitlines()]


def test_a_product_changes_without_its_pictures(client: FlaskClient, connection: Connection, headers: Headers) -> None:
    change = {"price": 3.5, "in_stock": False, "attributes": {"sale": True, "colour": None}, "title": "Canvas shoe"}
    answer = client.patch("/v1/products/q0", json=change, headers=headers)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert answer.get_json() == {"product_id": "q0", "images": 3, "changed": 3, "words": True}
    assert stored(connection, "price") == [3.5] * 3
    assert stored(connection, "in_stock") == [False] * 3
    assert all(
        one["sale"] is True and "colour" not in one and "size" in one for one in stored(connection, "attributes")
    )
    assert stored(connection, "price", "q1") != [3.5] * 3
    assert waiting(connection) == 0, "nothing is embedded again"
    again = client.patch("/v1/products/q0", json=change, headers=headers).get_json()
    assert (again["changed"], again["words"]) == (0, False)
    row = connection.execute("SELECT title FROM imgsearch.product WHERE product_id = 'q0'").fetchone()
    assert row == ("Canvas shoe",)
    assert client.patch("/v1/products/q0", json={"price": None, "category": None}, headers=headers).status_code == 200
    assert stored(connection, "price") == stored(connection, "category") == [None] * 3


def test_an_image_changes_without_its_picture(
    client: FlaskClient, connection: Connection, shop: list[int], headers: Headers
) -> None:
    shown = shown_to(connection, "acme", shop[0])
    answer = client.patch(f"/v1/images/{shown}", json={"price": 1, "attributes": {"size": 44}}, headers=headers)
    found = answer.get_json()
    assert (found["image_id"], found["price"], found["attributes"]["size"]) == (shown, 1, 44)
    assert found["state"] == "ready"
    assert stored(connection, "price")[1:] != [1, 1]
    neighbours = shown_to(connection, "bolt", shop[1])
    problem(client.patch(f"/v1/images/{neighbours}", json={"price": 1}, headers=headers), 404, "unknown_image")


@pytest.mark.parametrize("path", ["/v1/products/q0", "/v1/images/FIRST"])
def test_changes_that_make_no_sense_are_refused_and_change_nothing(
    client: FlaskClient, connection: Connection, shop: list[int], headers: Headers, path: str
) -> None:
    path = path.replace("FIRST", str(shown_to(connection, "acme", shop[0])))
    before = stored(connection, "price"), stored(connection, "attributes")
    wrong: list[dict[str, Any]] = [
        {},
        {"price": -1},
        {"price": "3"},
        {"in_stock": None},
        {"in_stock": "no"},
        {"attributes": None},
        {"attributes": []},
        {"attributes": {"note": "x" * (caps.VALUE + 1)}},
        {"category": ""},
        {"category": "a\0b"},
        {"colour": "red"},
        {"url": "https://shop.example/1.jpg"},
        {"product_id": "q9"},
        {"price": 1, "title": "x" * (caps.TITLE + 1)},
        {"price": 1, "codes": ["x"] * (caps.CODES + 1)},
        {"price": 1, "codes": ["x" * (caps.CODE + 1)]},
    ]
    for change in wrong:
        answer = client.patch(path, json=change, headers=headers)
        assert (answer.status_code, answer.content_type) == (400, "application/problem+json"), change
        assert answer.get_json()["detail"]
    nan = client.patch(path, data=b'{"price": NaN}', headers={**headers, "Content-Type": "application/json"})
    assert nan.status_code == 400
    assert before == (stored(connection, "price"), stored(connection, "attributes"))


def test_attributes_do_not_grow_by_and_by(client: FlaskClient, connection: Connection, headers: Headers) -> None:
    statuses = [
        client.patch("/v1/products/q0", json={"attributes": {f"a{n}": "x" * 5000}}, headers=headers).status_code
        for n in range(6)
    ]
    assert statuses == [200, 200, 200, 400, 400, 400]
    assert all("a3" not in one for one in stored(connection, "attributes"))


def test_a_product_is_deleted_whole_whatever_it_is_called(
    client: FlaskClient, connection: Connection, headers: Headers
) -> None:
    assert client.delete("/v1/products/q0", headers=headers).status_code == 204
    assert stored(connection, "image_id") == []
    assert len(stored(connection, "image_id", "q1")) == 3
    problem(client.delete("/v1/products/q0", headers=headers), 404, "unknown_image")
    for name, path in {"a//b/c": "a//b/c", "ü & 100 %": "%C3%BC%20%26%20100%20%25", "x/": "x/", "..": "%2E%2E"}.items():
        connection.execute(
            "UPDATE imgsearch.image SET product_id = %s WHERE product_id = 'q1' AND position = 0", (name,)
        )
        answer = client.patch(f"/v1/products/{path}", json={"price": 5}, headers=headers)
        assert answer.status_code == 200, name
        assert client.delete(f"/v1/products/{path}", headers=headers).status_code == 204
        left = stored(connection, "image_id", name)
        assert left == []
        connection.execute("UPDATE imgsearch.image SET position = position - 1 WHERE product_id = 'q1'")
        if not stored(connection, "image_id", "q1"):
            connection.execute("UPDATE imgsearch.image SET product_id = 'q1' WHERE product_id = 'q2'")
    assert client.delete("/v1/products/" + "x" * (caps.NAME + 1), headers=headers).status_code == 400


def test_a_neighbours_product_of_the_same_name_is_out_of_reach(
    client: FlaskClient, connection: Connection, headers: Headers
) -> None:
    connection.execute(
        "UPDATE imgsearch.image SET product_id = 'theirs' WHERE tenant_id = 'bolt' AND product_id = 'p1'"
    )
    for call in (client.patch, client.delete):
        body = {"json": {"price": 1}} if call == client.patch else {}
        problem(call("/v1/products/theirs", headers=headers, **body), 404, "unknown_image")  # type: ignore[operator]
        problem(call("/v1/products/theirs?tenant=bolt", headers=headers, **body), 403, "other_tenant")  # type: ignore[operator]
    assert len(stored(connection, "image_id", "theirs", "bolt")) == 1


def test_images_are_listed_page_by_page(client: FlaskClient, connection: Connection, headers: Headers) -> None:
    def pages(**query: Any) -> list[list[dict[str, Any]]]:
        found, after = [], None
        while True:
            given = {**query, **({"after": after} if after else {})}
            page = client.get("/v1/images", query_string=given, headers=headers).get_json()
            found.append(page["images"])
            after = page["after"]
            if after is None:
                return found

    whole = pages(k=4)
    assert [len(page) for page in whole] == [4, 4, 2]
    shown = [one["image_id"] for page in whole for one in page]
    rows = connection.execute("SELECT image_id FROM imgsearch.image WHERE tenant_id = 'acme' ORDER BY 1").fetchall()
    assert shown == [shown_to(connection, "acme", row[0]) for row in rows]
    assert [one["position"] for one in pages(product_id="q1")[0]] == [0, 1, 2]
    added = {"images": [{"product_id": "new", "url": "https://shop.example/1.jpg"}]}
    assert client.post("/v1/images", json=added, headers=headers).status_code == 202
    assert [one["product_id"] for one in pages(state="pending")[0]] == ["new"]
    connection.execute("UPDATE imgsearch.job SET state = 'failed', error_code = 'not_a_picture'")
    assert [one["error"]["code"] for one in pages(state="failed")[0]] == ["not_a_picture"]
    assert sum(map(len, pages(state="ready"))) == 10
    assert pages(state="leased") == pages(product_id="none") == [[]]
    for wrong in ("k=0", "k=1001", "k=x", "after=x", "after=-1", "state=gone", "page=2", "product_id=", "tenant=bolt"):
        assert client.get(f"/v1/images?{wrong}", headers=headers).status_code in {400, 403}, wrong


def test_each_line_has_an_outcome_and_a_bad_one_harms_nothing(
    client: FlaskClient, connection: Connection, shop: list[int], headers: Headers
) -> None:
    mine, theirs = shown_to(connection, "acme", shop[18]), shown_to(connection, "bolt", shop[1])
    url = "https://shop.example/1.jpg"
    given: list[tuple[Any, str]] = [
        ({"action": "add", "product_id": "new", "url": url, "price": 3, "title": "New shoe"}, "added"),
        (b"{broken", "not_json"),
        ({"action": "change", "product_id": "q0", "price": 2}, "changed"),
        (b"", ""),
        ({"action": "change", "product_id": "q0", "price": -2}, "bad_request"),
        ({"action": "change", "product_id": "q0", "price": 2}, "unchanged"),
        ({"action": "change", "product_id": "q0"}, "bad_request"),
        ({"action": "change", "product_id": "q0", "image_id": mine, "price": 4}, "bad_request"),
        ({"action": "change", "price": 4}, "bad_request"),
        ({"action": "change", "product_id": "q0", "position": 1, "title": "x"}, "usage_error"),
        ({"action": "change", "image_id": mine, "price": 9}, "changed"),
        ({"action": "delete", "image_id": theirs}, "missing"),
        ({"action": "delete", "product_id": "q1", "tenant": "bolt"}, "other_tenant"),
        ({"action": "delete", "product_id": "q1", "position": 0}, "deleted"),
        ({"action": "delete", "product_id": "none"}, "missing"),
        ({"action": "empty", "product_id": "q1"}, "bad_request"),
        ({"action": "add", "product_id": "new", "url": "ftp://x"}, "bad_request"),
        ({"action": "add", "product_id": "new", "url": url, "colour": "red"}, "unknown_field"),
        ([1], "bad_request"),
        (b'{"action": "change", "product_id": "q0", "category": "\xff"}', "not_json"),
        ({"action": "change", "product_id": "q2", "category": "boots"}, "changed"),
    ]
    found = lines(client, headers, *(one for one, _ in given))
    expected = [(n, said) for n, (_, said) in enumerate(given, 1) if said]
    assert [(one["line"], one["error"]["code"] if one["error"] else one["outcome"]) for one in found] == expected
    assert {one["outcome"] for one in found if one["error"]} == {"failed"}
    assert all(one["error"]["detail"] for one in found if one["error"])
    assert stored(connection, "price") == [2.0] * 3
    assert stored(connection, "price", "new") == [3.0]
    assert connection.execute("SELECT title FROM imgsearch.product WHERE product_id = 'new'").fetchone() == (
        "New shoe",
    )
    assert stored(connection, "category", "q2") == ["boots"] * 3
    assert stored(connection, "position", "q1") == [1, 2]
    assert shown_to(connection, "acme", stored(connection, "image_id", "new")[0]) in found[0]["image_ids"]


def test_a_thousand_lines_are_taken_and_no_more(client: FlaskClient, connection: Connection, headers: Headers) -> None:
    line = {"action": "change", "product_id": "q0", "attributes": {"n": 1}}
    found = lines(client, headers, *[{**line, "attributes": {"n": n}} for n in range(caps.LINES)])
    assert [one["outcome"] for one in found] == ["changed"] * caps.LINES
    assert {one["n"] for one in stored(connection, "attributes")} == {caps.LINES - 1}
    ndjson = {**headers, "Content-Type": "application/x-ndjson"}
    one = json.dumps(line).encode() + b"\n"
    for body, status in ((one * (caps.LINES + 1), 400), (b"\n\n", 400), (b"", 400), (b"x" * (5 << 20), 413)):
        assert client.post("/v1/images/bulk", data=body, headers=ndjson).status_code == status
    assert client.post("/v1/images/bulk", json=line, headers=headers).status_code == 415


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/images"),
        ("PATCH", "/v1/images/1"),
        ("PATCH", "/v1/products/q0"),
        ("DELETE", "/v1/products/q0"),
        ("POST", "/v1/images/bulk"),
    ],
)
def test_whoever_only_searches_keeps_no_catalogue(
    client: FlaskClient, headers: Headers, key_of: KeyOf, method: str, path: str
) -> None:
    problem(client.open(path, method=method, json={"price": 1}, headers=with_key(key_of("acme"))), 403, "forbidden")
    problem(client.open(path, method=method, json={"price": 1}), 401, "unauthorized")


def test_where_the_database_fails_midway_each_line_says_whether_it_was_done(
    client: FlaskClient, connection: Connection, headers: Headers
) -> None:
    connection.execute(
        "CREATE FUNCTION public.fall() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END'"
    )
    connection.execute(
        "CREATE TRIGGER fall BEFORE UPDATE ON imgsearch.image FOR EACH ROW WHEN (NEW.category = 'fall')"
        " EXECUTE FUNCTION public.fall()"
    )
    given: list[Any] = [{"action": "change", "product_id": "q0", "price": n} for n in range(250)]
    given[150] = {"action": "change", "product_id": "q0", "category": "fall"}
    given[240] = b"{broken"
    found = lines(client, headers, *given)
    assert [one["outcome"] for one in found] == ["changed"] * 100 + ["failed"] * 150
    assert found[240]["error"]["code"] == "not_json"
    assert {one["error"]["code"] for one in found[100:240]} == {"database_unreachable"}
    assert stored(connection, "price") == [99.0] * 3, "the first hundred are kept, of the second nothing"
    given = [given[150], *given[:5]]
    body = "\n".join(map(json.dumps, given)).encode()
    answer = client.post("/v1/images/bulk", data=body, headers={**headers, "Content-Type": "application/x-ndjson"})
    problem(answer, 503, "database_unreachable")


def test_no_line_is_begun_when_the_others_took_too_long(
    client: FlaskClient, connection: Connection, headers: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "SECONDS", 0.3)
    connection.execute(
        "CREATE FUNCTION public.dawdle() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END'"
    )
    connection.execute(
        "CREATE TRIGGER dawdle BEFORE UPDATE ON imgsearch.image FOR EACH ROW EXECUTE FUNCTION public.dawdle()"
    )
    found = lines(client, headers, *[{"action": "change", "product_id": "q3", "price": n} for n in range(5)])
    assert [one["outcome"] for one in found] == ["changed", "changed", "failed", "failed", "failed"]
    assert {one["error"]["code"] for one in found[2:]} == {"busy"}
    assert stored(connection, "price", "q3") == [1.0]
