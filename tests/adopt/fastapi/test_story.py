"""A day in a shop on FastAPI and asyncpg: its endpoints, and every way in which SQLAdmin writes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

pytest.importorskip("asyncpg", reason="FastAPI and asyncpg are not installed here: make adopt")
pytest.importorskip("sqladmin", reason="SQLAdmin is not installed here: make adopt")

import imgsearch
from imgsearch.errors import SettingsError
from imgsearch.settings import Settings
from tests.adopt.looking import Database, drawn

ROWS = """
    SELECT 'default', id::text, '{base}/' || photo, price::float, NULL, name FROM product
    WHERE photo <> '' ORDER BY id::text"""


@pytest.fixture(scope="module")
def looking(shop_settings: Settings, shop: Any) -> Database:
    return Database(shop_settings, "product", ROWS.format(base=shop.MEDIA.as_uri()))


def add(client: Any, name: str, price: float, *colour: int) -> int:
    photo = {"photo": ("a.jpg", drawn(*colour), "image/jpeg")}
    answer = client.post("/products", data={"name": name, "price": price}, files=photo)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def test_an_upload_is_found(client: Any, looking: Database) -> None:
    red, blue = add(client, "Red lamp", 20, 250, 0, 0), add(client, "Blue lamp", 30, 0, 0, 250)
    looking.in_step("an upload")
    looking.ready()
    photo = {"photo": ("a.jpg", drawn(250, 0, 0), "image/jpeg")}
    by_photo = client.post("/search", files=photo).json()
    assert [row["id"] for row in by_photo] == [red, blue]
    assert round(by_photo[0]["distance"], 3) == 0
    by_words = client.post("/search", data={"words": "a lamp of any colour", "max_price": 25}).json()
    assert [row["name"] for row in by_words] == ["Red lamp"]
    assert client.get(f"/products/{red}/like").json() == [blue]
    assert client.get("/hits", params={"words": "blue lamp"}).json()[0]["name"] == "Blue lamp"


def test_a_price_follows(client: Any, looking: Database) -> None:
    assert client.post("/sale", data={"share": 0.5}).status_code == 200
    looking.in_step("update()")
    assert [row["id"] for row in client.post("/search", data={"words": "a lamp", "max_price": 11}).json()] == [1]


def test_what_is_refused_says_why(client: Any, looking: Database) -> None:
    broken = {"photo": ("a.jpg", b"no picture", "image/jpeg")}
    assert client.post("/search", files=broken).status_code == 422
    before = looking.sql("SELECT count(*) FROM product")
    assert client.post("/products", data={"name": "x", "price": 1}, files=broken).status_code == 422
    assert looking.sql("SELECT count(*) FROM product") == before
    assert client.post("/search", data={"words": ""}).status_code == 400
    nobody = client.get("/products/99/like")  # only the database knows it: asyncpg brings its error
    assert nobody.status_code == 404, nobody.text
    assert "imgsearch.status" in nobody.json()["detail"]


def admin_ways(client: Any, looking: Database) -> Iterator[str]:
    """Do what SQLAdmin can do, one after another; yield what was done."""

    def sent(address: str, **values: str) -> None:
        answer = client.post(f"/admin/product/{address}", data=values)
        assert answer.status_code == 302, answer.text[-3000:]

    def key(name: str) -> int:
        [(product,)] = looking.sql("SELECT id FROM product WHERE name = %s", name)
        return int(product)

    photos = [photo for (photo,) in looking.sql("SELECT photo FROM product ORDER BY id")]
    sent("create", name="Made", price="5", photo=photos[0])
    yield "a row is made"
    sent(f"edit/{key('Made')}", name="Made anew", price="6", photo=photos[0])
    yield "name and price are changed"
    sent(f"edit/{key('Made anew')}", name="Made anew", price="6", photo=photos[1])
    yield "the photo is another one"
    sent(f"edit/{key('Made anew')}", name="Copied", price="7", photo=photos[1], save="Save as new")
    yield "a row is saved as new"
    sent(f"edit/{key('Copied')}", name="Copied", price="7", photo="")
    yield "the photo is taken away"
    rows = f"name,price,photo\nFirst,1,{photos[0]}\nSecond,2,{photos[1]}\n"
    answer = client.post("/admin/product/import", files={"csvfile": ("a.csv", rows, "text/csv")})
    assert answer.status_code == 200, answer.text
    yield "a CSV is imported"
    assert client.delete("/admin/product/delete", params={"pks": str(key("Made anew"))}).status_code == 200
    yield "a row is deleted"
    several = ",".join(str(key(name)) for name in ("Copied", "First", "Second"))
    assert client.delete("/admin/product/delete", params={"pks": several}).status_code == 200
    yield "several are deleted"


def test_every_way_in_which_sqladmin_writes_is_followed(client: Any, looking: Database) -> None:
    done = []
    for way in admin_ways(client, looking):
        looking.in_step(way)
        done.append(len(looking.sql("SELECT * FROM imgsearch.image")))
    assert done == [3, 3, 3, 4, 3, 5, 4, 2]
    looking.ready()


def test_many_rows_at_once_are_followed(client: Any, shop: Any, looking: Database) -> None:
    photos = [photo for (photo,) in looking.sql("SELECT photo FROM product ORDER BY id")]
    rows = [{"name": f"Many {n}", "price": n, "photo": photos[n % 2]} for n in range(1, 5)]

    async def insert(session: Any) -> None:
        await session.execute(sqlalchemy.insert(shop.Product), rows)

    async def copy(session: Any) -> None:
        own = (await (await session.connection()).get_raw_connection()).driver_connection
        await own.copy_records_to_table("product", records=[tuple(row.values()) for row in rows], columns=list(rows[0]))

    for work in (insert, copy):
        on_asyncpg(shop, work)
        looking.in_step(work.__name__)
    assert looking.sql("SELECT count(*) FROM imgsearch.image") == [(10,)]


def test_our_python_on_an_asyncpg_session_is_refused_with_the_cure(shop: Any) -> None:
    async def ask(session: Any) -> None:
        await session.run_sync(imgsearch.resolve, "lamp")

    with pytest.raises(SettingsError, match=r"driver asyncpg.*nearest\(\) and SQL run as they are"):
        on_asyncpg(shop, ask)


def on_asyncpg(shop: Any, work: Any) -> None:
    """Do work in a session on an engine of this event loop, and commit."""

    async def run() -> None:
        engine = create_async_engine(shop.engine.url)
        async with AsyncSession(engine) as session:
            await work(session)
            await session.commit()
        await engine.dispose()

    asyncio.run(run())
