"""The page without a browser: what it shows, what its addresses mean, and that its one statement is the truth."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from flask import g
from flask.testing import FlaskClient
from werkzeug.datastructures import MultiDict

from imgsearch.cli import servers
from imgsearch.flask import create_app
from imgsearch.http.identity import EVERYBODY
from imgsearch.http.search_request import SearchRequest
from imgsearch.page import reading, statement, urls, views
from imgsearch.retrieval.filters import Filters
from imgsearch.settings import Settings
from tests.conftest import with_settings
from tests.http.conftest import shown_to, sign_in
from tests.http.test_api import jpeg

Connection = psycopg.Connection[Any]
KeyOf = Callable[..., str]


def images(text: str) -> list[int]:
    return [int(found) for found in re.findall(r'class="card" data-image="(\d+)"', text)]


def links(text: str, label: str) -> list[str]:
    found = re.findall(r'<a class="act" href="([^"]*)">.*?<span>(.*?)</span>', text, re.DOTALL)
    return [html.unescape(where) for where, said in found if said == label]


def shown_statement(text: str) -> str:
    return html.unescape(re.findall(r'id="statement">(.*?)</code>', text, re.DOTALL)[0])


STATES = [
    "/?q=red+shoe",
    "/?q=red+shoe&category=shoes&max_price=100&in_stock=yes",
    "/?q=red+shoe&category=shoes&category=bags&a.colour=red&a.colour=blue&tenant=acme",
    "/?q=red+shoe&a.size=4&a.size=7",
    "/?like=7&unlike=3&q=red+shoe",
    "/?like=7&tenant=acme",
    "/?q=red+shoe&after=0.01,1&max_price=90",
    "/",
    "/?category=shoes&a.colour=red&min_price=10&sort=price",
]


@pytest.mark.parametrize("where", STATES)
def test_the_statement_that_is_shown_finds_what_the_page_shows(
    where: str, anyone: FlaskClient, connection: Connection, shop: list[int]
) -> None:
    answer = anyone.get(where)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    text = answer.get_data(as_text=True)
    rows = connection.execute(shown_statement(text).encode()).fetchall()
    assert images(text) == [row[0] for row in rows]
    assert rows


def test_every_state_is_an_address_and_back(anyone: FlaskClient, shop: list[int]) -> None:
    app = anyone.application
    with app.test_request_context("/"):
        here, g.imgsearch_identity = app.extensions["imgsearch"], EVERYBODY
        for where in STATES:
            asked = reading.read(here, MultiDict(parse_qs_multi(where)))
            again = reading.read(here, MultiDict(parse_qs_multi(urls.url_of(here, asked))))
            assert SearchRequest(**{**vars(again), "after": asked.after}) == asked


def parse_qs_multi(where: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(where).query, keep_blank_values=True)


def test_each_count_beside_a_filter_is_what_choosing_it_gives(anyone: FlaskClient, shop: list[int]) -> None:
    """The counts come from the same WHERE: following every choice of the panel finds as many as it said."""
    start = "/?q=red+shoe&category=shoes&max_price=120&a.colour=red"
    text = anyone.get(start).get_data(as_text=True)
    labels = re.findall(r'name="([^"]+)" value="([^"]+)"\s*(checked)?.*?class="count">([\d,]+)</span>', text, re.DOTALL)
    tried = 0
    for name, value, checked, count in labels:
        if checked or name in {"q"} or not (name.startswith("a.") or name in {"category", "in_stock", "tenant"}):
            continue
        only = start.replace("&category=shoes", "") if name == "category" else start
        only = only.replace("&a.colour=red", "") if name == "a.colour" else only
        found = anyone.get(f"{only}&{name}={value}").get_data(as_text=True)
        assert f"{int(count)} product" in found if int(count) else "No product matches" in found, (name, value, count)
        tried += 1
    bands = re.findall(
        r'<li data-key="[^"]+"><a href="([^"]+)">\s*<svg class="share".*?class="count">(\d+)</span>', text, re.DOTALL
    )
    for where, count in bands:
        assert f"{count} product" in anyone.get(html.unescape(where)).get_data(as_text=True)
    assert tried >= 6
    assert len(bands) >= 2


def test_more_and_not_like_this_combine_with_words(
    anyone: FlaskClient, connection: Connection, shop: list[int]
) -> None:
    text = anyone.get("/?q=red+shoe&category=shoes").get_data(as_text=True)
    [more, *_] = links(text, "Like this")
    assert f"like={images(text)[0]}" in more
    assert "q=red+shoe" in more
    assert "category=shoes" in more
    text = anyone.get(more).get_data(as_text=True)
    less = links(text, "Not this")[3]
    rejected = images(text)[3]
    text = anyone.get(less).get_data(as_text=True)
    assert rejected not in images(text)
    assert "imgsearch.combine(" in shown_statement(text)
    answered = connection.execute(shown_statement(text).replace("%", "%%")).fetchall()
    assert [row[0] for row in answered] == images(text)
    assert f"exclude_image_ids => ARRAY[{rejected}]" in shown_statement(text)
    assert f"{len(images(text))} products match" in text
    assert text.count('class="chip more"') == 1
    assert text.count('class="chip less"') == 1


def test_pages_go_on_and_end(anyone: FlaskClient, shop: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "PAGE", 8)
    for start in ("/?q=red+shoe", "/", "/?in_stock=yes"):
        seen: list[int] = []
        where = start
        while where:
            text = anyone.get(where).get_data(as_text=True)
            seen += images(text)
            onward = re.search(r'id="onward">\s*<a [^>]*data-next="([^"]+)"', text)
            where = html.unescape(onward[1]) if onward else ""
        assert len(seen) == len(set(seen)) == (24 if "stock" in start else 30)
        assert "The end of the list" in text or "No more results" in text
        # The address that a browser keeps shows all of them at once; a page too many is the end again.
        assert images(anyone.get(f"{start}{'&' if '?' in start else '?'}pages=4").get_data(as_text=True)) == seen
        more = re.search(r'href="([^"]+)" data-next', anyone.get(start).get_data(as_text=True))
        assert more
        assert images(anyone.get(html.unescape(more[1])).get_data(as_text=True)) == seen[:16]


def test_nothing_found_says_which_filter_to_leave_out(
    anyone: FlaskClient, client: FlaskClient, shop: list[int], key_of: KeyOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "LOOSER_SECONDS", 60.0)
    sign_in(client, key_of("acme"))
    for browser, count in ((anyone, 7), (client, 2)):
        text = browser.get("/?q=red+shoe&category=shoes&max_price=0.5&a.colour=red").get_data(as_text=True)
        assert images(text) == []
        assert "Nothing matches all of these" in text
        found = re.findall(r'>without (.*?) <span class="count">(\d+)<', text)
        assert found == [("the price", str(count)), ("the colour", "1")], "and not the category"


PROBLEMS = [
    ("/?like=999999", 404, "unknown_image"),
    ("/?unlike=3", 400, "query_error"),
    ("/?like=x", 400, "bad_request"),
    ("/?max_price=cheap", 400, "bad_request"),
    ("/?q=%3F%21", 400, "query_error"),
    ("/?q=" + "x" * 2001, 400, "bad_request"),
    ("/?photo=" + "0" * 64 + "-" + "A" * 22, 400, "unknown_photo"),
    ("/?q=red+shoe&after=1", 400, "filter_error"),
    ("/?q=nobody+asked+this", 503, "no_query_worker"),
    ("/nothing-here", 404, "not_found"),
    ("/?a.x%00=1", 400, "bad_request"),
]


def test_what_goes_wrong_is_said_on_the_page(settings: Settings, shop: list[int]) -> None:
    app = create_app(with_settings(settings, QUERY_TIMEOUT="0.2").environment(), allow_anonymous=True)
    for where, status, code in PROBLEMS:
        answer = app.test_client().get(where, headers={"Accept": "text/html"})
        assert answer.status_code == status, (where, answer.get_data(as_text=True))
        assert answer.mimetype == "text/html"
        assert f'data-code="{code}"' in answer.get_data(as_text=True), where
    app.extensions["imgsearch"].close()


def test_before_any_worker_the_page_says_what_to_start(anyone: FlaskClient) -> None:
    answer = anyone.get("/")
    assert answer.status_code == 200
    assert "imgsearch up" in answer.get_data(as_text=True)


def test_nothing_inline_runs_and_no_script_of_a_title_does(
    anyone: FlaskClient, connection: Connection, shop: list[int]
) -> None:
    evil = "<script>alert(1)</script>\"onx='"
    connection.execute(
        "UPDATE imgsearch.image SET category = %(evil)s,"
        " attributes = jsonb_build_object('title', %(evil)s::text, 'colour', %(evil)s::text)",
        {"evil": evil},
    )
    asked = {"q": "red shoe", "category": evil, "a.colour": evil}
    for answer in (anyone.get("/", query_string=asked), anyone.get("/?q=red+shoe")):
        text = answer.get_data(as_text=True)
        assert "<script>alert" not in text
        assert not re.search(r"<[^>]+ on[a-z]+=", text)
        assert not re.search(r"<[^>]+ style=", text)
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Frame-Options"] == "DENY"


def test_own_files_are_kept_for_ever_and_their_address_changes_with_them(anyone: FlaskClient, shop: list[int]) -> None:
    text = anyone.get("/").get_data(as_text=True)
    own = re.findall(r'(?:src|href)="(/static/[^"]+)"', text)
    assert len(own) >= 4
    for where in own:
        assert "?v=" in where
        assert "immutable" in anyone.get(where).headers["Cache-Control"]


def test_a_key_signs_in_and_the_page_shows_its_tenant_alone(
    client: FlaskClient, shop: list[int], key_of: KeyOf, connection: Connection
) -> None:
    refused = client.get("/?q=red+shoe", headers={"Accept": "text/html"})
    assert refused.status_code == 401
    assert "Sign in" in refused.get_data(as_text=True)
    assert client.post("/sign-in", data={"key": "imgs_wrong"}).status_code == 401
    assert client.post("/sign-in", data={"key": key_of()}, headers={"Origin": "https://x.example"}).status_code == 403
    for onward, lands in (
        ("/?q=red+shoe", "/?q=red+shoe"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
    ):
        entered = client.post("/sign-in", data={"key": key_of("acme"), "next": onward})
        assert (entered.status_code, entered.headers["Location"]) == (303, lands)
    cookie = entered.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    text = client.get("/?q=red+shoe").get_data(as_text=True)
    ours = {row[0] for row in connection.execute("SELECT image_id FROM imgsearch.image WHERE tenant_id = 'acme'")}
    mine = {shown_to(connection, "acme", one) for one in ours}
    assert set(images(text)) == mine
    assert f"like={min(mine)}" in text
    assert client.get(f"/?like={min(mine)}").status_code == 200
    assert "10 products match" in text
    assert "bolt" not in text
    assert client.get("/?tenant=bolt").status_code == 403
    assert client.get("/add").status_code == 403, "a key that may search may not add"
    assert client.get("/explain?q=red+shoe").status_code == 403, "plans are for admins"
    assert "Explain" not in text
    theirs = min({*shop} - ours)
    for one in (theirs, min(ours), shown_to(connection, "bolt", theirs), shown_to(connection, "acme", theirs)):
        assert client.get(f"/?like={one}").status_code == 404
    client.post("/sign-out")
    assert client.get("/", headers={"Accept": "text/html"}).status_code == 401


def test_pictures_go_in_through_the_form(anyone: FlaskClient, connection: Connection, shop: list[int]) -> None:
    def data() -> dict[str, Any]:
        return {
            "picture": [(io.BytesIO(jpeg((9, 200, 30))), "new shoe.jpg")],
            "price": "9,50",
            "in_stock": "yes",
            "title": "Brand new",
        }

    taken = anyone.post("/add", data=data())
    assert taken.status_code == 303
    text = anyone.get(taken.headers["Location"]).get_data(as_text=True)
    assert "waiting" in text
    assert "Brand new</h2>" in text
    assert "No image worker is running" in text
    row = connection.execute(
        "SELECT product_id, price, tenant_id FROM imgsearch.image ORDER BY image_id DESC"
    ).fetchone()
    assert row == ("new shoe", 9.5, "default")
    bad = anyone.post("/add", data={"picture": [(io.BytesIO(b"<svg/>"), "evil.svg")]})
    assert bad.status_code == 422
    assert "evil.svg" in bad.get_data(as_text=True)
    assert anyone.post("/add", data={}).status_code == 400
    assert anyone.post("/add", data=data(), headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_the_statement_of_awkward_values_is_quoted() -> None:
    asked = SearchRequest(
        text="it's", filters=Filters(tenant="a'b", category=("x,y", 'q"'), attributes={"k'": {"in": ["v'"]}})
    )
    written = statement.statement_of(asked)
    assert "'it''s'" in written
    assert "tenant => 'a''b'" in written
    assert "\n" not in statement.on_one_line(written)


def test_what_a_machine_keeps_up_has_the_page(settings: Settings) -> None:
    assert "imgsearch.flask" in servers.commands(settings)["page"]
