"""Other web sites' pages make a browser ask: what costs anything is refused before the database hears of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgsearch.flask import Identity, ImageSearch, create_app
from imgsearch.settings import Settings
from tests.conftest import with_settings
from tests.http.conftest import problem, with_key
from tests.http.wire import Wire, through_proxy

KeyOf = Callable[..., str]
OWN = "http://localhost"
IMAGE = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image", "Accept": "image/avif,image/webp,*/*"}
LINK = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html,*/*"}
FRAME = {**LINK, "Sec-Fetch-Dest": "iframe"}
CROSS, SIBLING = {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}
OLD = {"Accept": "image/png,*/*", "Referer": "https://evil.example/page"}
OURS = ({}, {"Sec-Fetch-Site": "none", **LINK}, {"Sec-Fetch-Site": "same-origin", **IMAGE}, {"Referer": f"{OWN}/"})
COSTS = (
    "/?q=red+shoe",
    "/?q=x&a.c=1&a.c=2",
    "/?like=1",
    "/explain?q=x",
    "/add",
    "/added?id=1",
    "/v1/images/1",
    "/v1/status",
    "/metrics",
)


@pytest.fixture
def wire(settings: Settings) -> Iterator[Wire]:
    with through_proxy(settings.database_url) as found:
        yield found


@pytest.fixture
def site(settings: Settings, wire: Wire) -> Iterator[Callable[..., Flask]]:
    """Make an app whose database is reached through the wire: open, or with keys."""
    made: list[Flask] = []

    def make(*, open_: bool, **given: str) -> Flask:
        far = with_settings(settings, DATABASE_URL=wire.url, HTTP_RATE="0", **given)
        made.append(create_app(far.environment(), allow_anonymous=open_))
        return made[-1]

    yield make
    for app in made:
        app.extensions["imgsearch"].close()


def test_an_open_site_answers_nothing_that_costs_to_another_sites_page(
    site: Callable[..., Flask], wire: Wire, shop: list[int]
) -> None:
    anyone = site(open_=True).test_client()
    others = [{**where, **what} for where in (CROSS, SIBLING) for what in (IMAGE, LINK, FRAME, {})]
    for headers in (*others, OLD, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        for path in COSTS:
            answer = anyone.get(path, headers=headers)
            assert answer.status_code == 403, (path, headers)
            if headers.get("Sec-Fetch-Dest") != "document" or path.startswith(("/v1", "/metrics")):
                problem(answer, 403, "cross_site")
    for headers in (*others, OLD):
        if headers.get("Sec-Fetch-Dest") != "document":
            problem(anyone.get("/", headers=headers), 403, "cross_site")
    assert wire.trips == 0, "nothing of it reached the database"


def test_people_programs_and_links_to_the_open_page_get_through(site: Callable[..., Flask], shop: list[int]) -> None:
    anyone = site(open_=True).test_client()
    for headers in OURS:
        for path in ("/", "/?q=red+shoe", f"/v1/images/{shop[0]}", "/v1/status"):
            assert anyone.get(path, headers=headers).status_code == 200, (path, headers)
    for headers in (CROSS | LINK, SIBLING | LINK, {"Referer": "https://a.example", "Accept": "text/html"}):
        assert anyone.get("/", headers=headers).status_code == 200, headers
        refused = anyone.get("/?q=red+shoe", headers=headers)
        assert refused.status_code == 403
        assert '<a href="/?q=red+shoe">Open it here</a>' in refused.get_data(as_text=True)
    for path in ("/static/page.css", "/healthz", "/v1/openapi.json"):
        assert anyone.get(path, headers=CROSS | IMAGE).status_code == 200, path


def test_a_page_that_may_call_the_open_api_still_may(site: Callable[..., Flask], shop: list[int]) -> None:
    anyone = site(open_=True, HTTP_CORS="http://localhost:3000").test_client()
    for origin, code in (("http://localhost:3000", 200), ("http://localhost:4000", 403)):
        headers = {**SIBLING, "Sec-Fetch-Mode": "cors", "Origin": origin}
        assert anyone.get(f"/v1/images/{shop[0]}", headers=headers).status_code == code
        assert anyone.post("/v1/search", json={"text": "red shoe"}, headers=headers).status_code == code
        assert anyone.get("/?q=red+shoe", headers=headers).status_code == 403, "the API alone"


def test_a_signed_in_browser_is_not_made_to_search_by_another_sites_page(
    site: Callable[..., Flask], wire: Wire, shop: list[int], key_of: KeyOf
) -> None:
    """A sibling host's page does get its cookie sent; that of a strange one, in a browser that knows no SameSite."""
    app = site(open_=False)
    visitor = app.test_client()
    assert visitor.post("/sign-in", data={"key": key_of("acme", "admin")}).status_code == 303
    before = wire.trips
    for headers in (CROSS | IMAGE, SIBLING | IMAGE, SIBLING | FRAME, OLD):
        for path in ("/?q=red+shoe", "/", "/add", "/explain?q=x"):
            problem(visitor.get(path, headers=headers), 403, "cross_site")
    for path in ("/sign-in", "/sign-out", "/photo", "/add"):
        assert visitor.post(path, headers=SIBLING | LINK).status_code == 403, path
    assert wire.trips - before < 10, "none of twenty looks up; a connection that the pool opens meanwhile costs five"
    assert visitor.get("/?q=red+shoe", headers=CROSS | LINK).status_code == 200, "a link that somebody was sent"
    stranger = app.test_client()
    assert stranger.get("/?q=red+shoe", headers=CROSS | LINK).status_code == 401, "asks for a key"
    asked = {**with_key(key_of("acme")), **CROSS, "Origin": "https://shop.example"}
    answer = stranger.post("/v1/search", json={"text": "red shoe"}, headers=asked)
    assert answer.status_code == 200, "whoever has a key may"


def test_the_host_is_not_asked_who_another_sites_page_is(settings: Settings, shop: list[int]) -> None:
    asked: list[str] = []
    app = Flask("host")
    app.config.update(settings.environment())
    ImageSearch(app, identify=lambda: asked.append("") or Identity(name="ann", tenant="acme"))
    browser: FlaskClient = app.test_client()
    assert browser.get("/imgsearch/?q=red+shoe", headers=SIBLING | IMAGE).status_code == 403
    assert browser.get(f"/imgsearch/v1/images/{shop[0]}", headers=CROSS | IMAGE).status_code == 403
    assert asked == []
    assert browser.get("/imgsearch/?q=red+shoe", headers=CROSS | LINK).status_code == 200
    app.extensions["imgsearch"].close()
