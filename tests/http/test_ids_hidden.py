"""No answer tells a tenant an id of the table, whatever it asks: it would tell how many images its neighbours add."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from imgsearch.http import ids
from tests.http.conftest import Connection, with_key

# An id that a tenant makes up. In the table it would be a number of 14 digits and more, which stands nowhere else.
SHOWN = 3300140254992395
CHECK = "5d41402a"
SEARCHES: list[dict[str, Any]] = [
    *(
        {"after": after}
        for after in (
            f"0.5,{SHOWN}",
            f"1e308,{SHOWN}",
            f"1e999,{SHOWN}",
            f"-1,{SHOWN},0,{CHECK}",
            f"0.5,{SHOWN},3,{CHECK},w.i{SHOWN}.x",
            f"0.5,{SHOWN},3,{CHECK},e.i{SHOWN}.",
            f"0.5,{SHOWN},,,",
            f"0.5,{SHOWN},x",
        )
    ),
    {"exclude_image_ids": [SHOWN]},
    {"exclude_image_ids": [SHOWN] * 1001},
    {"text": None, "image_id": SHOWN},
    {"text": None, "image_id": SHOWN, "region": [0.1, 0.1, 0.2, 0.2]},
    {"like": [{"image_id": SHOWN}]},
    {"unlike": [{"image_id": SHOWN, "weight": 2}]},
    {"like": [{"image_id": SHOWN, "region": [5, 5, 1, 1]}]},
    {"more_like": [SHOWN]},
    {"less_like": [SHOWN]},
    {"condition": {"image_id": SHOWN}},
    {"space": f"{SHOWN}"},
]
ADDRESSES = [
    "/v1/products?after=0.5,{}",
    "/v1/products?after=1e308,{},0,,5d41402a",
    "/v1/products?after=0,{},0,,5d41402a&sort=price",
    "/v1/images?after={}",
    "/v1/images/{}",
    "/v1/images/{}/duplicates",
    "/thumbnail/acme/{}",
    "/v1/search?after=0.5,{}",
]


def internal(connection: Connection) -> str:
    row = connection.execute("SELECT secret FROM imgsearch.http_secret").fetchone()
    assert row is not None
    number = str(ids.unscramble(ids.key_of(bytes(row[0]), "acme"), SHOWN))
    assert len(number) > 12
    return number


@pytest.mark.parametrize("body", SEARCHES, ids=str)
def test_no_search_tells_an_id_of_the_table(
    body: dict[str, Any], client: FlaskClient, shop: list[int], key_of: Callable[..., str], connection: Connection
) -> None:
    asked = {"text": "red shoe", **body}
    answer = client.post("/v1/search", json=asked, headers=with_key(key_of("acme")))
    assert answer.status_code < 500, answer.text
    assert internal(connection) not in re.sub(r"[ _,]", "", answer.text)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("scope", ["search", "write", "admin"])
def test_no_address_tells_an_id_of_the_table(
    address: str, scope: str, client: FlaskClient, shop: list[int], key_of: Callable[..., str], connection: Connection
) -> None:
    answer = client.get(address.format(SHOWN), headers=with_key(key_of("acme", scope)))
    assert answer.status_code < 500, answer.text
    assert internal(connection) not in answer.text
