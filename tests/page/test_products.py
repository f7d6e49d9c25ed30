"""Products on the page: cards with their other pictures, all of them large, and where they lead."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from PIL import Image

from imgsearch.flask import create_app
from imgsearch.ingest import upload
from imgsearch.page import product
from imgsearch.page_settings import web_address
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.shop import Row, fill

Connection = psycopg.Connection[Any]
KeyOf = Callable[..., str]


@contextmanager
def opened(settings: Settings, **given: str) -> Iterator[FlaskClient]:
    app = create_app({**settings.environment(), **given}, allow_anonymous=True)
    try:
        yield app.test_client()
    finally:
        app.extensions["imgsearch"].close()


def text_of(client: FlaskClient, where: str, status: int = 200) -> str:
    answer = client.get(where, headers={"Accept": "text/html"})
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_data(as_text=True)


def cards(text: str) -> list[str]:
    return re.findall(r'<li class="card".*?(?=<li class="card"|<li class="onward")', text, re.DOTALL)


def change(connection: Connection, image_id: int, **attributes: Any) -> None:
    connection.execute(
        "UPDATE imgsearch.image SET attributes = %s WHERE image_id = %s", (json.dumps(attributes), image_id)
    )


@pytest.fixture
def thousand(connection: Connection, space: Space) -> list[int]:
    """A product of a thousand pictures, one of three and one of one; nothing was asked yet."""
    sizes = [("chair", 1000), ("lamp", 3), ("mug", 1)]
    rows = [
        Row(vector=[1.0, 0.01 * n] + [0.0] * 46, product=name, tenant="acme", price=9.5)
        for name, many in sizes
        for n in range(many)
    ]
    return fill(connection, space, rows)


def test_a_product_stands_once_among_the_newest_with_its_other_pictures(
    settings: Settings, thousand: list[int]
) -> None:
    with opened(settings) as anyone:
        text = text_of(anyone, "/")
        assert "3 products, newest first" in text
        mug, lamp, chair = cards(text)
        assert (mug.count("data-swap"), lamp.count("data-swap"), chair.count("data-swap")) == (0, 2, 4)
        assert "+995" in chair
        assert "+" not in re.sub(r"<svg.*?</svg>", "", lamp.partition('class="others"')[2].partition("</ul>")[0])


def test_cards_and_products_show_several_categories(
    settings: Settings, connection: Connection, thousand: list[int]
) -> None:
    connection.execute(
        "UPDATE imgsearch.image SET category = 'lamps', categories = %s WHERE product_id = 'lamp'",
        (["lamps", "<sale>"],),
    )
    with opened(settings) as anyone:
        for text in (cards(text_of(anyone, "/"))[1], text_of(anyone, f"/product?image={thousand[1000]}")):
            assert "lamps, &lt;sale&gt;" in text


def test_all_pictures_of_a_product_up_to_a_hundred(settings: Settings, thousand: list[int]) -> None:
    with opened(settings) as anyone:
        text = text_of(anyone, f"/product?image={thousand[0]}")
        assert "The first 100 of 1,000 pictures" in text
        assert text.count("data-larger=") == product.MOST
        assert "Picture 1 of 1,000" in text
        beyond = text_of(anyone, f"/product?image={thousand[500]}")
        assert "Picture 501 of 1,000" in beyond, "the one that was asked for is there"
        assert beyond.count("data-larger=") == product.MOST + 1
        text = text_of(anyone, f"/product?image={thousand[1000]}")
        turns = re.findall(r'class="turn \w+" href="([^"]+)"', text)
        assert turns == [f"/product?image={thousand[n]}" for n in (1002, 1001)]
        assert "data-larger" not in text_of(anyone, f"/product?image={thousand[-1]}"), "one picture needs no strip"
        for nowhere in ("/product?image=999999", "/product?image=x", "/product"):
            text_of(anyone, nowhere, 404 if nowhere.endswith("9") else 400)


def test_a_product_of_another_shop_is_not_shown(
    client: FlaskClient, key_of: KeyOf, thousand: list[int], shop: list[int]
) -> None:
    client.post("/sign-in", data={"key": key_of("bolt")})
    text_of(client, f"/product?image={thousand[0]}", 404)


@pytest.mark.parametrize(
    ("leading", "product_id", "attribute", "leads"),
    [
        ("https://s.example/p/{product_id}", "a b/ü?", None, "https://s.example/p/a%20b%2F%C3%BC%3F"),
        ("https://s.example/p/{product_id}?x=1", "</a>\"'", None, "https://s.example/p/%3C%2Fa%3E%22%27?x=1"),
        ("https://s.example/p/{product_id}", "..", None, None),
        ("/p/{product_id}", "javascript:alert(1)", None, "/p/javascript%3Aalert%281%29"),
        ("attributes.url", "p", "https://s.example/p/7?a=b&c=d", "https://s.example/p/7?a=b&c=d"),
        ("attributes.url", "p", "/p/7", "/p/7"),
        ("attributes.url", "p", "javascript:alert(1)", None),
        ("attributes.url", "p", " java\tscript:alert(1)", None),
        ("attributes.url", "p", "JavaScript://s.example/%0aalert(1)", None),
        ("attributes.url", "p", "data:text/html,x", None),
        ("attributes.url", "p", "//evil.example/", None),
        ("attributes.url", "p", "/\\evil.example/", None),
        ("attributes.url", "p", "https://s.example@evil.example/", None),
        ("attributes.url", "p", 'https://s.example/"><script>', None),
        ("attributes.url", "p", "https://s.example/" + "x" * 5000, None),
        ("attributes.url", "p", ["https://s.example/"], None),
        ("attributes.url", "p", None, None),
        ("", "p", "https://s.example/", None),
    ],
)
def test_a_card_leads_where_the_shop_says_and_nowhere_else(
    leading: str,
    product_id: str,
    attribute: Any,
    leads: str | None,
    settings: Settings,
    connection: Connection,
    thousand: list[int],
) -> None:
    change(connection, thousand[-1], **({} if attribute is None else {"url": attribute}))
    connection.execute("UPDATE imgsearch.image SET product_id = %s WHERE image_id = %s", (product_id, thousand[-1]))
    with opened(settings, PAGE_PRODUCT_URL=leading) as anyone:
        first = cards(text_of(anyone, "/"))[0]
        [title] = re.findall(r'<h2 dir="auto"><a href="([^"]*)"', first)
        assert html.unescape(title) == (leads or f"/product?image={thousand[-1]}")
        view = html.unescape(text_of(anyone, f"/product?image={thousand[-1]}"))
        assert ("Go to the product" in view) is (leads is not None)
        assert "javascript:" not in view.replace(product_id, "").lower()


def test_what_a_web_address_is() -> None:
    assert web_address("http://s.example") == "http://s.example"
    for wrong in ("", "s.example", "https://", "http:///x", "ftp://s.example/", "https://[x/", "/a b", "/a\x7f"):
        assert web_address(wrong) is None


def test_titles_of_any_length_and_script(settings: Settings, connection: Connection, thousand: list[int]) -> None:
    last = thousand[-1]
    with opened(settings, PAGE_CURRENCY="EUR") as anyone:
        change(connection, last, title="very long " * 500)
        first = cards(text_of(anyone, "/"))[0]
        assert max(map(len, re.findall(r">([^<>]*)<", first))) <= 320
        assert "…" in first
        change(connection, last, title="نعال حمراء <b>&")
        assert "نعال حمراء &lt;b&gt;&amp;" in cards(text_of(anyone, "/"))[0]
        for title in ("", "   ", 7, None, {"en": "x"}):
            change(connection, last, title=title)
            assert ">mug</a></h2>" in cards(text_of(anyone, "/"))[0], "its own key"
        connection.execute("UPDATE imgsearch.image SET price = NULL WHERE image_id = %s", (last,))
        assert 'class="price"' not in cards(text_of(anyone, "/"))[0]
        assert "€9.50" in cards(text_of(anyone, "/"))[1]


def photo(kind: str, size: tuple[int, int] = (640, 480), **how: Any) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(out, kind, **how)
    return out.getvalue()


def test_a_larger_picture_is_the_file_that_was_added_without_its_metadata(
    settings: Settings,
    connection: Connection,
    space: Space,
    thousand: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Secret camera", 6
    given = photo("JPEG", exif=exif.tobytes(), comment=b"where I live")
    store = upload.open_store(settings.storage_url)
    store.put(given)
    monkeypatch.setattr("tests.shop.digest", lambda number: sha256(given).digest())
    [added] = fill(connection, space, [Row(vector=[1.0] * 48)])
    with opened(settings) as anyone:
        text = text_of(anyone, f"/product?image={added}")
        [where] = re.findall(r'<img src="(/larger/[^"]+)"', text)
        sent = anyone.get(where)
        assert (sent.status_code, sent.mimetype) == (200, "image/jpeg")
        assert b"Secret" not in sent.data
        assert b"where I live" not in sent.data
        shown = Image.open(io.BytesIO(sent.data))
        assert shown.size == (640, 480)
        assert dict(shown.getexif()) == {0x0112: 6}
        assert "private" in sent.headers["Cache-Control"]
        assert sent.headers["X-Content-Type-Options"] == "nosniff"
        thumbnail = where.replace("/larger/", "/thumbnail/") + ".webp"
        assert anyone.get(thumbnail).status_code == 404, "an address for one purpose"
        connection.execute("DELETE FROM imgsearch.image WHERE image_id = %s", (added,))
        assert anyone.get(where).status_code == 404, "it ends with its picture"
        elsewhere = text_of(anyone, f"/product?image={thousand[0]}")
        [where] = re.findall(r'<img src="(/larger/[^"]+)"', elsewhere)
        assert anyone.get(where).mimetype == "image/webp", "not in this store: what stands in"
    with opened(settings, PAGE_LARGER="off") as anyone:
        assert "/larger/" not in text_of(anyone, f"/product?image={thousand[0]}")
        assert anyone.get(where).status_code == 404


def test_without_a_question_the_list_is_sorted_too_and_goes_on(
    settings: Settings, connection: Connection, space: Space
) -> None:
    rows = [
        Row(vector=[1.0, 0.01 * n] + [0.0] * 46, product=f"p{n // 2}", tenant="acme", price=float(n * 7 % 101))
        for n in range(100)
    ]
    fill(connection, space, rows)
    cheapest = {n: min(float(m * 7 % 101) for m in (2 * n, 2 * n + 1)) for n in range(50)}
    with opened(settings) as anyone:
        first = text_of(anyone, "/?sort=price")
        assert "50 products, cheapest first" in first
        assert '<option value="price" selected>' in first
        onward = html.unescape(re.findall(r'data-next="([^"]+)"', first)[0])
        assert "sort=price" in onward
        second = text_of(anyone, onward)
        found = [_title(card) for text in (first, second) for card in cards(text)]
        assert found == [f"p{n}" for n in sorted(cheapest, key=lambda n: cheapest[n])]
        assert "This link" not in text_of(anyone, f"/?sort=-price&after={onward.partition('after=')[2]}", 400)


def _title(card: str) -> str:
    return re.findall(r"<h2[^>]*><a[^>]*>([^<]+)</a>", card)[0]


def test_similar_products_are_found_by_all_pictures_of_a_product(
    settings: Settings, connection: Connection, space: Space
) -> None:
    def row(product: str, *at: float) -> Row:
        return Row(vector=[*at, *[0.0] * (48 - len(at))], product=product, tenant="acme")

    fill(connection, space, [row("a", 1, 0), row("a", 0, 1), row("like the first", 1, 0.1), row("like both", 1, 1)])
    with opened(settings) as anyone:
        card = next(one for one in cards(text_of(anyone, "/")) if _title(one) == "a")
        where = html.unescape(re.findall(r'class="act small" href="([^"]+)"', card)[0])
        text = text_of(anyone, where)
        assert [_title(one) for one in cards(text)] == ["like both", "like the first"], "and not itself"
        assert "2 products match" in text
        assert 'aria-label="Remove: Similar products"' in text
        text = text_of(anyone, "/?product=gone&product=a", 404)
        assert "is not here any more" in text
        assert [_title(one) for one in cards(text)] == ["like both", "like the first"]
        assert "is not here any more" in text_of(anyone, "/?product=gone", 404)


def test_without_a_worker_words_find_what_is_called_so(
    settings: Settings, connection: Connection, space: Space
) -> None:
    rows = [Row(vector=[1.0, 0.01 * n] + [0.0] * 46, product=f"p{n}", tenant="acme", price=n) for n in range(100)]
    fill(connection, space, rows)
    connection.execute(
        "INSERT INTO imgsearch.product (tenant_id, product_id, title)"
        " SELECT 'acme', 'p' || n, CASE WHEN n < 45 THEN 'Adidas Samba ' ELSE 'Puma Suede ' END || n"
        " FROM generate_series(0, 99) n"
    )
    connection.execute("SELECT imgsearch.refresh_vocabulary()")
    with opened(settings, QUERY_TIMEOUT="1") as anyone:
        text = text_of(anyone, "/?q=samba&tenant=acme")
        assert "Only words were compared" in text
        assert len(cards(text)) == 40
        assert 'data-code="' not in text
        onward = html.unescape(re.findall(r'data-next="([^"]+)"', text)[0])
        rest = text_of(anyone, onward)
        titles = [_title(card) for card in (*cards(text), *cards(rest))]
        assert len(set(titles)) == len(titles) >= 45
        assert sum(one.startswith("Adidas Samba") for one in titles) == 45
        again = html.unescape(re.findall(r'href="([^"]+)">Try again', text)[0])
        assert "look_weight" not in again
        assert 'data-code="' in text_of(anyone, "/?q=zzzzqqq&tenant=acme", 503), "found by no word: it is said"
        assert "Only words" not in text_of(anyone, "/?q=samba&tenant=acme&like=1", 503)
