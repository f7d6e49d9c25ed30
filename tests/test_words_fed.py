"""Title, words and codes come in every way images do, stay when they are not said, and go with the last image."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from imgsearch.db.sqlstate import translated
from imgsearch.errors import UsageError
from imgsearch.ingest.changes import change as alter
from imgsearch.ingest.upload import add, remove
from imgsearch.settings import Settings
from tests.http.conftest import app, client, key_of, with_key  # noqa: F401  # fixtures
from tests.terminal import Run
from tests.test_cli_add import picture

Connection = psycopg.Connection[Any]
ADDRESS = "https://cdn.example.com/{}.jpg"


def called(connection: Connection) -> dict[str, tuple[str | None, str | None, list[str]]]:
    rows = connection.execute("SELECT product_id, title, words, codes FROM imgsearch.product").fetchall()
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def test_what_is_not_said_stays_and_what_is_empty_goes(connection: Connection, settings: Settings) -> None:
    def put(position: int = 0, **words: Any) -> str:
        added = add(connection, ADDRESS.format(position), product_id="p", position=position, settings=settings, **words)
        return added.outcome

    assert put(title=" Samba ", words="leather", codes=["B75806", "4006381333931", "B75806"]) == "added"
    assert called(connection) == {"p": ("Samba", "leather", ["B75806", "4006381333931"])}
    assert put() == "unchanged"
    assert put(title="Samba") == "unchanged"
    assert put(1) == "added"
    assert called(connection)["p"][0] == "Samba"
    assert put(title="Samba OG") == "changed"
    assert put(words="", codes="1; 2 | 3") == "changed"
    assert called(connection) == {"p": ("Samba OG", None, ["1", "2", "3"])}
    remove(connection, tenant="default", product_id="p", position=0)
    assert set(called(connection)) == {"p"}
    remove(connection, product_id="p")
    assert called(connection) == {}


@pytest.mark.parametrize(
    "words",
    [
        {"title": "x" * 1001},
        {"words": "x" * 10_001},
        {"codes": ["x" * 101]},
        {"codes": [str(n) for n in range(101)]},
        {"title": "a\0b"},
    ],
)
def test_what_is_too_long_is_refused(connection: Connection, settings: Settings, words: Any) -> None:
    with pytest.raises(UsageError):
        add(connection, ADDRESS.format(0), product_id="p", settings=settings, **words)
    assert called(connection) == {}
    largest: dict[str, Any] = {"title": "x" * 1000, "words": "y " * 5000, "codes": [f"{n:0100}" for n in range(100)]}
    add(connection, ADDRESS.format(0), product_id="p", settings=settings, **largest)
    for change in words, {"title": " " * 3000}:
        with pytest.raises(UsageError) if change is words else nullcontext():
            alter(connection, product_id="p", **change)


REFUSED = {
    "title = repeat('x', 1001)": "title has 1001 characters, the limit is 1000",
    "words = repeat('x', 10001)": "words has 10001 characters, the limit is 10000",
    "codes = array_fill('x'::text, ARRAY[101])": "at most 100 codes, these are 101",
    "codes = ARRAY[repeat('x', 101)]": "a code has at most 100 characters",
    "codes = ARRAY['x', NULL]": "is not null",
    "language = 'klingon'": 'no language "klingon"',
    "product_id = ''": "words of no product",
    "tenant_id = ''": "words of no product",
}


@pytest.mark.parametrize("wrong", list(REFUSED))
def test_sql_says_what_is_too_long_and_what_to_do(connection: Connection, wrong: str) -> None:
    connection.execute("INSERT INTO imgsearch.product (tenant_id, product_id, title) VALUES ('a', 'p', 'boot')")
    column, value = wrong.split(" = ")
    columns = {"tenant_id": "'a'", "product_id": "'q'", column: value}
    names, values = ", ".join(columns), ", ".join(columns.values())
    for statement in (
        f"UPDATE imgsearch.product SET {wrong}",  # noqa: S608  # of this list
        f"INSERT INTO imgsearch.product ({names}) VALUES ({values})",  # noqa: S608
    ):
        with pytest.raises(psycopg.Error, match=REFUSED[wrong]) as refused:
            connection.execute(statement.encode())
        assert refused.value.sqlstate == "IM009"
        assert refused.value.diag.message_hint
        with pytest.raises(UsageError, match=REFUSED[wrong]), translated():
            connection.execute(statement.encode())


def test_a_row_of_a_catalogue_that_is_too_long_harms_no_other(connection: Connection, run: Run, tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", (9, 9, 250))
    wrong: list[dict[str, Any]] = [
        {"title": "x" * 1001},
        {"words": "x" * 10_001},
        {"codes": ["x" * 101]},
        {"codes": ["B1", None]},
        {"codes": [["B1"]]},
        {"title": {"en": "boot"}},
    ]
    rows = [{"path": "a.jpg", "product_id": f"wrong{n}", **words} for n, words in enumerate(wrong)]
    rows.append({"path": "a.jpg", "product_id": "right", "title": "x" * 1000, "codes": ["B1", 2]})
    (tmp_path / "shop.jsonl").write_text("\n".join(map(json.dumps, rows)))
    answer = run("add", tmp_path / "shop.jsonl", "--no-wait", "--json")
    assert answer.code != 0
    assert len(json.loads(answer.out)["failures"]) == len(wrong)
    assert called(connection) == {"right": ("x" * 1000, None, ["B1", "2"])}


def test_catalogues_name_them(connection: Connection, run: Run, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        picture(tmp_path / f"{name}.jpg", (9, 9, 250))
    (tmp_path / "shop.csv").write_text(
        'path,product_id,title,words,codes,colour\na.jpg,p1,"Samba, black",leather,"B1,B2",black\n'
    )
    row = {"path": "b.jpg", "product_id": "p2", "title": "Dunk", "codes": ["N1", 42]}
    (tmp_path / "shop.jsonl").write_text(json.dumps(row))
    assert run("add", tmp_path / "shop.csv", tmp_path / "shop.jsonl", "--no-wait").code == 0
    one = ["--product-id", "p3", "--title", "Suede", "--words", "retro", "--codes", "S1,S2"]
    assert run("add", tmp_path / "c.jpg", *one, "--no-wait").code == 0
    assert called(connection) == {
        "p1": ("Samba, black", "leather", ["B1", "B2"]),
        "p2": ("Dunk", None, ["N1", "42"]),
        "p3": ("Suede", "retro", ["S1", "S2"]),
    }
    assert connection.execute("SELECT attributes FROM imgsearch.image WHERE product_id = 'p1'").fetchone() == (
        {"colour": "black"},
    )


def test_over_http_they_come_with_an_image(
    client: FlaskClient,  # noqa: F811  # a fixture
    connection: Connection,
    key_of: Callable[..., str],  # noqa: F811  # a fixture
) -> None:
    key = with_key(key_of(scope="write"))

    def post(**fields: Any) -> int:
        image = {"url": ADDRESS.format(0), "product_id": "p1", **fields}
        return client.post("/v1/images", json={"images": [image]}, headers=key).status_code

    assert post(title="Samba", words="leather", codes=["B1"]) == 202
    assert called(connection) == {"p1": ("Samba", "leather", ["B1"])}
    assert post(title="x" * 1000, words="y" * 10_000, codes=["z" * 100] * 100) == 202
    assert (
        post(title="x" * 1001) == post(words="y" * 10_001) == post(codes=["z" * 101]) == post(codes=["z"] * 101) == 400
    )
