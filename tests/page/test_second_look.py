"""The page's second look: offered where it can work, held by the address, and what came of it in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from flask.testing import FlaskClient
from playwright.sync_api import expect

from imgsearch.dev.testing import FakeEncoder
from imgsearch.flask import create_app
from imgsearch.retrieval import rerank
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space, ensure
from tests.answering import seen
from tests.crowd import crowd
from tests.page.conftest import Open
from tests.page.site import Site
from tests.page.test_part import PHONE, search_by, street
from tests.page.window import picture, titles
from tests.rerank.looking import looking

Connection = psycopg.Connection[Any]


@pytest.fixture
def crowded(connection: Connection) -> Space:
    space = ensure(connection, FakeEncoder().describe())
    crowd(connection, space, 150)
    return space


@pytest.fixture
def browsed(settings: Settings, crowded: Space) -> Iterator[FlaskClient]:
    app = create_app({**settings.environment(), "RERANK_TIMEOUT": "2"}, allow_anonymous=True)
    yield app.test_client()
    app.extensions["imgsearch"].close()


def shown(client: FlaskClient, where: str) -> str:
    answer = client.get(where, headers={"Accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return answer.text


def ways(text: str) -> list[str]:
    found = re.search(r'<select[^>]*id="rerank">(.*?)</select>', text, re.DOTALL)
    return re.findall(r'value="(\w*)"', found[1]) if found else []


def outcome(text: str) -> tuple[str, str] | None:
    found = re.search(r'id="looked"[^>]*data-code="(\w*)">(.*?)</p>', text, re.DOTALL)
    return (found[1], found[2].strip()) if found else None


def images(text: str) -> list[str]:
    return re.findall(r'<li class="card[^>]*data-image="(\d+)"', text)


def test_it_is_offered_where_it_can_work(browsed: FlaskClient, connection: Connection, crowded: Space) -> None:
    assert ways(shown(browsed, "/?like=5")) == [], "nobody is there who could look"
    seen(connection, crowded)
    assert ways(shown(browsed, "/?like=5")) == ["", "k_reciprocal", "spatial"]
    [(product,)] = connection.execute("SELECT product_id FROM imgsearch.image WHERE image_id = 5").fetchall()
    assert ways(shown(browsed, f"/?product={product}")) == ["", "k_reciprocal"], "no picture of its own is named"
    for where in ("/", "/?category=shoes", "/?like=5&sort=price"):
        assert ways(shown(browsed, where)) == [], where


def test_what_came_of_it_is_said_and_pages_go_on(browsed: FlaskClient, settings: Settings, crowded: Space) -> None:
    plain = images(shown(browsed, "/?like=5"))
    with looking(settings, crowded):
        text = shown(browsed, "/?like=5&rerank=k_reciprocal")
        onward = re.search(r'data-next="([^"]+)"', text)
        assert onward
        where = onward[1].replace("&amp;", "&")
        following = shown(browsed, where)
        again = shown(browsed, "/?like=5&rerank=k_reciprocal&pages=2")
    code, said = outcome(text) or ("", "")
    moved = re.fullmatch(r"Ranked anew: of the first (\d+), (\d+) stand elsewhere now\.", said)
    assert code == ""
    assert moved
    assert (int(moved[1]) > 40, int(moved[2]) > 0) == (True, True)
    assert 'value="k_reciprocal" selected' in text
    assert images(text) != plain
    assert parse_qs(urlsplit(where).query)["rerank"] == ["k_reciprocal"]
    assert [*images(text), *images(following)] == images(again), "no product twice, none lost"
    assert "then ranked anew: CALL imgsearch.rerank(images, &#39;[&#34;k_reciprocal&#34;]&#39;, …)" in text


@pytest.mark.parametrize(
    ("where", "code", "sentence"),
    [
        ("/?like=5&rerank=k_reciprocal", "no_worker", "Not ranked anew: nobody is there who could look."),
        ("/?like=5&rerank=k_reciprocal", "time_over", "Not ranked anew: there was not enough time."),
        ("/?like=5&rerank=k_reciprocal&max_price=-0", "nothing", ""),
    ],
)
def test_why_not_is_said_in_a_sentence(
    browsed: FlaskClient, connection: Connection, crowded: Space, where: str, code: str, sentence: str
) -> None:
    plain = images(shown(browsed, where.replace("&rerank=k_reciprocal", "")))
    if code == "time_over":
        seen(connection, crowded)  # it lives, but does not answer
    text = shown(browsed, where)
    assert images(text) == plain, "the first ranking stands"
    found = outcome(text)
    assert found
    assert found[0] == code
    assert not sentence or found[1] == sentence
    assert "k_reciprocal" in ways(text), "so that it can be taken away"


@pytest.mark.parametrize("code", [*rerank.NOT, "not_ready", "nothing_to_go_by", "no_model", "anything"])
def test_every_reason_has_a_sentence(code: str) -> None:
    from imgsearch.page import second_look

    found = second_look.outcome(rerank.Reranked(code=code, why="x"))
    assert found is None if code == "behind" else found is not None and found[0] in {*second_look._SAID, "failed"}


def test_an_address_that_asks_for_what_cannot_be_finds_all_the_same(browsed: FlaskClient) -> None:
    for where in ("/?rerank=k_reciprocal", "/?like=5&sort=price&rerank=k_reciprocal"):
        text = shown(browsed, where)
        assert (outcome(text), "rerank=" in text) == (None, False)
    wrong = browsed.get("/?like=5&rerank=magic", headers={"Accept": "text/html"})
    assert wrong.status_code == 400
    assert "There is no way to rank anew called" in wrong.text
    assert len(images(wrong.text)) == 40


@pytest.mark.slow
def test_somebody_ranks_anew_with_the_keys_and_comes_back(visit: Open, place: Site) -> None:
    page = visit("/")
    like = page.locator(".card").first.get_attribute("data-image")
    page.goto(f"{place.url}/?like={like}")
    before = titles(page)
    choice = page.get_by_label("Rank anew")
    choice.focus()
    page.keyboard.press("w")  # what belongs together
    expect(page.locator("#looked")).to_contain_text("Ranked anew: of the first")
    assert "rerank=k_reciprocal" in page.url
    assert titles(page)
    assert titles(page) != before
    expect(choice).to_be_focused()
    picture("second-look", page)
    page.go_back()
    expect(page.locator("#looked")).to_have_count(0)
    assert titles(page) == before
    page.go_forward()
    expect(page.locator("#looked")).to_be_visible()
    choice.select_option(label="the very same thing first")
    expect(page.locator("#statement")).to_contain_text('["spatial"]')
    expect(page.locator("#looked")).to_contain_text("anked anew")
    assert "rerank=spatial" in page.url
    choice.select_option("")
    expect(page.locator("#looked")).to_have_count(0)
    assert "rerank=" not in page.url.replace("rerank=&", "&").removesuffix("rerank=")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(visit: Open, place: Site, scheme: str) -> None:
    page = visit(**PHONE, color_scheme=scheme)
    search_by(page, street(place)[0].jpeg)
    page.get_by_label("Rank anew").select_option("k_reciprocal")
    expect(page.locator("#looked")).to_contain_text("Ranked anew")
    assert page.locator("#rerank option").all_inner_texts() == ["no", "what belongs together"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    picture(f"second-look-phone-{scheme}", page)
