"""The largest request of every kind, over HTTP and in SQL, against some thousand pictures: what it costs is bounded.

The bar is one second and 200 MB of the process that answers and of its backend; docs/limits.md. The test holds the
memory, and the time with room for a busy machine.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FAKE, FakeEncoder
from imgsearch.http import caps
from imgsearch.query import cache
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space, ensure
from tests.conftest import with_settings
from tests.http.largest import COLOURS, Json, above, at_most
from tests.http.server import Served, serving
from tests.shop import database

pytestmark = pytest.mark.slow  # all of them together

PICTURES = 3000
SECONDS = 20  # twenty times the bar: a busy machine must not fail it
MEGABYTES = 200
WORDS = "red " * (caps.TEXT // 4)
CONSTANT = [0.1] * 48


@dataclass(frozen=True)
class Site:
    """A served database of some thousand pictures, where "red red …" was asked before."""

    served: Served
    settings: Settings
    ids: list[int]


@pytest.fixture(scope="module")
def site(servers: embedded.Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with database(servers, template) as bare:
        home = tmp_path_factory.mktemp("largest")
        values = {"HOME": str(home), "STORAGE_URL": (home / "pictures").as_uri(), "MODEL": FAKE}
        settings = with_settings(bare, REDIS_URL=servers.redis_url, QUERY_TIMEOUT="0.2", **values)
        with db.connect(settings, autocommit=True) as connection:
            space = ensure(connection, FakeEncoder().describe())
            ids = stock(connection, space)
            asked = cache.of_text(WORDS)
            cache.ask(connection, asked)
            cache.answer(connection, space.space_id, asked, FakeEncoder().embed_texts([WORDS])[0])
        with serving(settings.environment()) as served:
            yield Site(served, settings, ids)


# Every attribute that the largest filters ask for, so that many match.
IMAGES = """INSERT INTO imgsearch.image (tenant_id, product_id, category, price, attributes, uri, sha256)
    SELECT 'acme', 'p' || n, 'c' || n %% 300, 1 + n / 10.0,
           (SELECT jsonb_object_agg('a' || a, 'v' || (n * 7 + a) %% 100) FROM generate_series(0, 19) a),
           'store:x', sha256(n::text::bytea)
    FROM generate_series(1, %s) n"""
VECTORS = """INSERT INTO imgsearch.{embedding} (tenant_id, image_id, sha256, embedding)
    SELECT i.tenant_id, i.image_id, i.sha256, l2_normalize(ARRAY(
        SELECT sin(i.image_id * d + d * d) FROM generate_series(1, 48) d)::real[]::halfvec)
    FROM imgsearch.image i"""
BITS = """UPDATE imgsearch.image i SET {bits} = imgsearch_internal.quantized(v.embedding, p.mean, p.signs)
    FROM imgsearch.{embedding} v, imgsearch.space p WHERE v.image_id = i.image_id AND p.space_id = %s"""


def stock(connection: psycopg.Connection[Any], space: Space) -> list[int]:
    """Store pictures with vectors and bits, in three statements; return their ids."""
    connection.execute(IMAGES, (PICTURES,))
    names = {"embedding": Identifier(f"embedding_{space.space_id}"), "bits": Identifier(f"bits_{space.space_id}")}
    connection.execute(SQL(VECTORS).format(**names))
    connection.execute(SQL(BITS).format(**names), (space.space_id,))
    connection.execute("DELETE FROM imgsearch.job")
    connection.execute("ANALYZE imgsearch.image")
    return [row[0] for row in connection.execute("SELECT image_id FROM imgsearch.image ORDER BY 1").fetchall()]


def peak(pid: int) -> float:
    """Return the most memory that a process ever held, in MB; 0 where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+)", status)  # none of a process that is just leaving
    return int(found[1]) / 1024 if found else 0.0


@contextmanager
def cheap(site: Site) -> Iterator[None]:
    """Hold the bar for what is done inside."""
    before, began = peak(site.served.pid), time.monotonic()
    yield
    took = time.monotonic() - began
    with db.connect(site.settings, autocommit=True) as connection:
        rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()").fetchall()
    grown, backends = peak(site.served.pid) - before, max(peak(row[0]) for row in rows)
    print(f"{took:.2f} s, backend {backends:.0f} MB, server +{grown:.0f} MB")
    assert took < SECONDS
    assert backends < MEGABYTES
    assert grown < MEGABYTES


FACETS = {
    "facets": {
        "category": True,
        "in_stock": True,
        "price": list(range(caps.BANDS)),
        "attributes": [f"a{n}" for n in range(caps.ATTRIBUTES)],
    }
}


def ask(site: Site, path: str, body: Any) -> httpx.Response:
    return httpx.post(f"{site.served.url}{path}", json=body, timeout=120)


@pytest.mark.parametrize("name", sorted(at_most()))
def test_the_largest_filters_cost_little(site: Site, name: str) -> None:
    with cheap(site):
        answer = ask(site, "/v1/search", {"vector": CONSTANT, "k": 10, **at_most()[name]})
    assert answer.status_code == 200, answer.text
    for step in above().get(name, []):
        assert ask(site, "/v1/search", {"vector": CONSTANT, **step}).status_code == 400


@pytest.mark.parametrize("name", sorted(at_most()))
def test_the_largest_filters_are_counted_and_listed_cheaply(site: Site, name: str) -> None:
    """What the page does beside a search: facets() and browse_products(), in SQL as they stand."""
    filters = json.dumps(at_most()[name])
    with db.connect(site.settings, autocommit=True) as connection, cheap(site):
        connection.execute("SELECT * FROM imgsearch.facets(imgsearch.filters_of(%s))", (filters,)).fetchall()
        connection.execute(
            "SELECT * FROM imgsearch.browse_products(imgsearch.filters_of(%s), 1000)", (filters,)
        ).fetchall()
        assert peak(connection.info.backend_pid) < MEGABYTES


def beside_examples(filters: Json) -> Json:
    """Rejected images are excluded images: both lists together have the cap of one."""
    return {**filters, "exclude_image_ids": filters["exclude_image_ids"][: caps.IDS - caps.EXAMPLES]}


def test_the_largest_queries_cost_little(site: Site) -> None:
    most = {"more_like": site.ids[:16], "less_like": site.ids[16:32], "vector": CONSTANT, "text": WORDS}
    allowed = [
        {"text": WORDS, "k": caps.K},
        {**most, "k": caps.K, **beside_examples(at_most()["everything that matches"])},
        {"vector": CONSTANT, "k": caps.K, "skip": caps.SKIP},
        {"vector": CONSTANT, "k": caps.K, "after": "0.9,1"},
        {"vector": CONSTANT, **FACETS, **at_most()["everything that matches"]},
        {"vector": CONSTANT, **FACETS, "boost": {f"attributes.a{n}": 0.1 for n in range(caps.BOOSTS)}},
    ]
    for body in allowed:
        with cheap(site):
            answer = ask(site, "/v1/search", body)
        assert answer.status_code == 200, answer.text
    refused = [
        {"text": WORDS + "x"},
        {"text": "red", "k": caps.K + 1},
        {"text": "red", "skip": caps.SKIP + 1},
        {"text": "red", "after": "1" * (caps.CURSOR + 1)},
        {"more_like": site.ids[: caps.EXAMPLES + 1]},
        {"vector": CONSTANT, "less_like": site.ids[: caps.EXAMPLES + 1]},
        {"vector": [0.1] * caps.NUMBERS},
        {"vector": [0.1] * (caps.NUMBERS + 1)},
        {"picture_url": "http://127.0.0.1/" + "x" * caps.URL},
    ]
    for body in refused:
        with cheap(site):
            answer = ask(site, "/v1/search", body)
        assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json"), answer.text


def test_a_thousand_images_cost_little(site: Site) -> None:
    fields = {"product_id": "x" * caps.NAME, "url": "http://shop.example/1.jpg"}
    listed = [{**fields, "position": n, "attributes": {"note": "y" * 3500}} for n in range(caps.IMAGES)]
    with cheap(site):
        answer = ask(site, "/v1/images", {"images": listed})
    assert answer.status_code == 202, answer.text
    one = {**fields, "attributes": {"note": "y" * (caps.VALUE - 10), "more": "z" * 6000}}
    wide = {**fields, "attributes": {f"{n}" * 3: "x" * caps.VALUE for n in range(2)}}
    assert ask(site, "/v1/images", {"images": [one]}).status_code == 202
    for images in ([*listed, listed[0]], [wide], [{**fields, "attributes": {"note": "y" * (caps.VALUE + 1)}}]):
        assert ask(site, "/v1/images", {"images": images}).status_code == 400


HEAPS = {
    "names": (b'{"images":[{', b'"0000000":1,', b'"x":1}]}'),
    "lists": (b'{"vector":[', b"[],", b"[]]}"),
    "objects": (b'{"text":"x","condition":{"any":[', b"{},", b"{}]}}"),
    "images": (b'{"images":[', b"{},", b"{}]}"),
    "open": (b"", b"[", b""),
    "quotes": (b'{"text":"', b'\\"', b""),
}


def heap(name: str, size: int) -> bytes:
    """Return a body of as many small values as fit; names differ."""
    head, unit, tail = HEAPS[name]
    many = (size - len(head) - len(tail)) // len(unit)
    if name != "names":
        return head + unit * many + tail
    return head + b"".join(unit.replace(b"0000000", b"%07x" % n) for n in range(many)) + tail


@pytest.mark.parametrize("name", sorted(HEAPS))
@pytest.mark.parametrize("path", ["/v1/search", "/v1/images"])
def test_heaps_of_small_values_cost_little(site: Site, name: str, path: str) -> None:
    """As long as allowed, and 28 MB, which are refused by their length."""
    longest = caps.IMAGES_JSON_BYTES if path == "/v1/images" else caps.JSON_BYTES
    for body, status in ((heap(name, longest), 400), (heap("lists", 28 << 20), 413)):
        with cheap(site):
            answer = httpx.post(
                f"{site.served.url}{path}", content=body, headers={"Content-Type": "application/json"}, timeout=120
            )
        assert answer.status_code == status, answer.text
        assert answer.json()["code"]


def test_the_longest_address_of_the_page_costs_little(site: Site) -> None:
    """Once with choices that match, once with long ones that do not, where the page tries what to leave out."""
    asked = [("like", str(one)) for one in site.ids[:16]] + [("unlike", str(one)) for one in site.ids[16:32]]
    asked += [("min_price", "1"), ("max_price", "1e6")]
    matching = [*asked, ("q", WORDS), *((f"a.a{n}", one) for n in range(20) for one in COLOURS[:3])]
    missing = [*asked, *((f"a.{n}", f"{one}".ljust(110, "x")) for n in range(20) for one in range(3))]
    for choices in (matching, missing):
        choices += [("category", f"c{n}") for n in range(caps.CHOICES - len(choices))]
        with cheap(site):
            answer = httpx.get(f"{site.served.url}/?{urlencode(choices)}", timeout=120)
        assert answer.status_code == 200
        assert httpx.get(f"{site.served.url}/?{urlencode([*choices, ('category', 'd')])}").status_code == 400
    for more in ([("like", "99")], [("q", "x" * caps.ADDRESS)]):
        assert httpx.get(f"{site.served.url}/?{urlencode([*asked, *more])}").status_code == 400


def test_sql_itself_is_bounded_alike(site: Site) -> None:
    with db.connect(site.settings, autocommit=True) as connection:
        for filters in at_most().values():
            given = (str(CONSTANT), json.dumps(filters))
            began = time.monotonic()
            connection.execute(
                "SELECT * FROM imgsearch.explain_search(%s::halfvec, imgsearch.filters_of(%s), 1000)", given
            ).fetchall()
            assert time.monotonic() - began < SECONDS
        assert peak(connection.info.backend_pid) < MEGABYTES
        for steps in above().values():
            for step in steps:
                with pytest.raises(psycopg.Error) as caught:
                    connection.execute(
                        "SELECT imgsearch.browse_products(imgsearch.filters_of(%s))", (json.dumps(step),)
                    )
                assert caught.value.sqlstate == "IM008"
