"""A name below a base is asked for as it stands: whatever is in it, the host reads the very name."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import psycopg
import pytest

from imgsearch.errors import ObjectMissing
from imgsearch.storage import open_store, read
from tests.faulty_http import local, serving

NAMES = {
    "plain.jpg": "plain.jpg",
    "shoes/red_1~2-3.jpg": "shoes/red_1~2-3.jpg",
    "/lead.jpg": "lead.jpg",
    "E+P-003.jpg": "E%2BP-003.jpg",
    r"a\b.jpg": "a%5Cb.jpg",
    "a\tb.jpg": "a%09b.jpg",
    "a b.jpg": "a%20b.jpg",
    "100%.jpg": "100%25.jpg",
    "a%20b.jpg": "a%2520b.jpg",
    "a#b.jpg": "a%23b.jpg",
    "a?b=c&d.jpg": "a%3Fb%3Dc%26d.jpg",
    "a@b:c;d,e.jpg": "a%40b%3Ac%3Bd%2Ce.jpg",
    "(1) [2] {3}'\"!*$.jpg": "%281%29%20%5B2%5D%20%7B3%7D%27%22%21%2A%24.jpg",
    "Größe/靴.jpg": "Gr%C3%B6%C3%9Fe/%E9%9D%B4.jpg",
    "Gro\u0308ße.jpg": "Gro%CC%88%C3%9Fe.jpg",
    "\U0001f45f.jpg": "%F0%9F%91%9F.jpg",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_below_a_base_arrives_as_it_stands(
    connection: psycopg.Connection[Any], tmp_path: object, name: str
) -> None:
    with serving(lambda asked: asked.answer(404)) as server:
        base = f"http://pictures.test:{server.port}/media"
        row = connection.execute("SELECT imgsearch_internal.address(%s, %s)", [name, base]).fetchone()
        assert row is not None
        with pytest.raises(ObjectMissing):
            read(row[0], open_store(f"file://{tmp_path}"), local(server.port), 1000)
        [asked] = server.asked
    assert asked.path == f"/media/{NAMES[name]}"
    assert unquote(asked.path) == "/media/" + name.lstrip("/")


def test_an_address_is_taken_as_it_stands(connection: psycopg.Connection[Any]) -> None:
    for address in ("https://h.test/a%20b+c.jpg?x=1&y=%2F", "file:///a%20b.jpg", "store:aa/bb"):
        row = connection.execute("SELECT imgsearch_internal.address(%s, 'https://b.test')", [address]).fetchone()
        assert row == (address,)
