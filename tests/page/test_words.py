"""What the page says to whom: shoppers, people who are lost, people without a key."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from flask.testing import FlaskClient

from imgsearch.flask import create_app
from imgsearch.page import urls
from imgsearch.settings import Settings
from tests.http.test_api import jpeg

Connection = psycopg.Connection[Any]
KeyOf = Callable[..., str]


def text_of(client: FlaskClient, where: str, status: int = 200) -> str:
    answer = client.get(where, headers={"Accept": "text/html"})
    assert answer.status_code == status
    return answer.get_data(as_text=True)


def test_a_shopper_sees_pictures_and_sql_only_where_the_shop_shows_it(
    client: FlaskClient, anyone: FlaskClient, settings: Settings, shop: list[int], key_of: KeyOf
) -> None:
    key = key_of("acme")
    client.post("/sign-in", data={"key": key})
    shopper, admin = text_of(client, "/?q=red+shoe"), text_of(anyone, "/?q=red+shoe")
    for text in (shopper, admin):
        assert "how-on" not in text
    for part in ("SELECT", 'id="how"', 'id="engineer"', "Distance"):
        assert part not in shopper
        assert part in admin, "behind a button"
    assert admin.index('id="count"') < admin.index('id="how"') < admin.index('id="cards"')
    app = create_app({**settings.environment(), "PAGE_ENGINEER": "on"})
    shown = app.test_client()
    shown.post("/sign-in", data={"key": key})
    text = text_of(shown, "/?q=red+shoe")
    app.extensions["imgsearch"].close()
    assert 'class="how-on"' in text
    assert text.index('id="cards"') < text.index('id="how"')
    summary = re.findall(r"<summary>.*?</summary>", text[text.index('id="how"') :], re.DOTALL)[0]
    assert "How these were found" in summary
    assert "SELECT" not in summary
    assert "ms" not in summary


def test_an_address_that_leads_nowhere_keeps_the_menu(
    client: FlaskClient, anyone: FlaskClient, shop: list[int], key_of: KeyOf
) -> None:
    lost = text_of(anyone, "/nothing-here", 404)
    assert "leads nowhere" in lost
    assert "The requested URL" not in lost
    assert "Add pictures" in lost
    assert 'name="q"' in lost
    assert "Sign out" not in text_of(client, "/nothing-here", 404)
    client.post("/sign-in", data={"key": key_of("acme")})
    assert "Sign out" in text_of(client, "/nothing-here", 404)


def test_signing_in_says_what_to_do(client: FlaskClient) -> None:
    asked = text_of(client, "/", 401)
    assert "Paste yours" in asked
    assert "Ask whoever runs this site" in asked
    assert "imgsearch key create" in asked


def test_a_photo_that_cannot_be_used_takes_nothing_away(anyone: FlaskClient, shop: list[int]) -> None:
    sent = {"q": "red shoe", "category": "shoes", "photo": (io.BytesIO(b"<svg/>"), "a.svg")}
    answer = anyone.post("/photo", data=sent)
    assert answer.status_code == 422
    text = answer.get_data(as_text=True)
    assert 'role="alert"' in text
    assert 'class="card"' in text
    assert 'value="red shoe"' in text
    assert "Remove: shoes" in text


def test_what_cannot_be_read_in_an_address_is_left_out_alone(anyone: FlaskClient, shop: list[int]) -> None:
    for wrong in ("min_price=abc", "in_stock=perhaps", "a.x%00=1", "category=" + "c" * 300, "pages=99", "after=1"):
        text = text_of(anyone, f"/?q=red+shoe&max_price=120&{wrong}", 400)
        assert 'class="card"' in text, wrong
        assert "up to 120" in text, wrong
        assert 'role="alert"' in text, wrong


# Counting takes for ever where no price is asked for.
SLOW = """
ALTER FUNCTION imgsearch_internal.column_counts RENAME TO quick_counts;
CREATE FUNCTION imgsearch_internal.column_counts(
    f imgsearch.filters, per text, prices float8[] DEFAULT NULL, exact boolean DEFAULT false)
RETURNS TABLE (facet text, name text, value text, low double precision, high double precision, count bigint,
    approximate boolean, error bigint) LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF f.max_price IS NULL THEN PERFORM pg_sleep(600); END IF;
    RETURN QUERY SELECT * FROM imgsearch_internal.quick_counts(f, per, prices, exact);
END $$"""


def test_what_to_leave_out_is_left_out_itself_where_counting_takes_long(
    anyone: FlaskClient, connection: Connection, shop: list[int]
) -> None:
    nothing = "/?q=red+shoe&category=shoes&max_price=0.5&a.colour=red"
    connection.execute(SLOW)
    text = text_of(anyone, nothing)
    assert "Nothing matches all of these" in text
    assert "without the price" not in text
    assert 'role="alert"' not in text


def test_a_list_of_choices_leads_back_with_all_that_was_chosen(anyone: FlaskClient, shop: list[int]) -> None:
    page = text_of(anyone, "/choices?facet=category&q=red+shoe&category=shoes&max_price=120&contains=bag")
    assert re.findall(r'type="checkbox" name="category" value="([^"]+)"', page) == ["bags"]
    kept = re.findall(r'type="hidden" name="([^"]+)" value="([^"]+)"', page[page.index('id="ask"') :])
    assert ("category", "shoes") in kept
    assert ("max_price", "120") in kept
    assert "evil" not in html.unescape(page)
    assert 'data-code="not_found"' in text_of(anyone, "/choices?facet=price", 404)


def test_a_list_of_choices_makes_an_address_for_none_of_them(
    anyone: FlaskClient, shop: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, real = [], urls.url_of
    monkeypatch.setattr(urls, "url_of", lambda *given: made.append(given) or real(*given))  # type: ignore[func-returns-value]
    assert text_of(anyone, "/choices?facet=a.title").count('type="checkbox"') == 30
    assert len(made) == 1, "the way back alone"


def test_an_address_is_as_long_as_a_browser_writes_it(anyone: FlaskClient, shop: list[int]) -> None:
    """An emoji is one character and twelve bytes; each address on a page has all of them."""
    emoji = "\N{HIGH-HEELED SHOE}"
    fits = [("a.c", emoji * 150)] * 4
    for where in ("/?", "/choices?facet=a.c&"):
        text_of(anyone, where + urlencode(fits))
        assert "8192 are allowed" in text_of(anyone, where + urlencode([*fits, ("a.d", emoji * 150)]), 400)


def test_a_tenants_key_lists_its_own_values_alone(client: FlaskClient, shop: list[int], key_of: KeyOf) -> None:
    client.post("/sign-in", data={"key": key_of("acme")})
    text_of(client, "/choices?facet=tenant", 404)
    text_of(client, "/choices?facet=category&tenant=bolt", 403)
    page = text_of(client, "/choices?facet=a.colour")
    counts = re.findall(r'class="count">([\d,]+)</span>', page)
    assert sum(map(int, counts)) <= 10


def test_the_form_says_what_was_wrong_with_what_was_sent(anyone: FlaskClient, shop: list[int]) -> None:
    sent = {"picture": [(io.BytesIO(jpeg((9, 9, 9))), "a.jpg")], "price": "cheap", "title": "A shoe"}
    answer = anyone.post("/add", data=sent)
    assert answer.status_code == 400
    text = answer.get_data(as_text=True)
    assert 'value="A shoe"' in text
    assert ".heic" in text
