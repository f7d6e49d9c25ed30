"""Signing in and out in Chromium, by plain HTTP and behind a TLS proxy; and other sites' pages that try to join in."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from imgsearch.settings import Settings
from tests.http.server import serving
from tests.page import site
from tests.page.tls_proxy import tls_before
from tests.processes import eventually

if site.CHROMIUM is None:
    pytest.skip("there is no chromium here (apt-get install chromium)", allow_module_level=True)

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.page.window import WAIT, picture

Connection = psycopg.Connection[Any]
KeyOf = Callable[..., str]


@pytest.fixture
def elsewhere() -> Iterator[Callable[[str], str]]:
    """Another site's page with this body; returns its address."""
    body = [""]

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html>" + body[0].encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def show(html: str) -> str:
        body[0] = html
        return f"http://127.0.0.1:{server.server_port}/"

    yield show
    server.shutdown()
    server.server_close()


def statuses(context: BrowserContext, page: Page, url: str) -> dict[str, int]:
    """Return what `url` answers to what the page asks of it, as it comes: also what the page itself may not see."""
    wire = context.new_cdp_session(page)
    asked: dict[str, str] = {}
    codes: dict[str, int] = {}
    found: dict[str, int] = {}

    def note(request: str) -> None:
        """The two events of a request come in either order."""
        where = asked.get(request, "")
        if where.startswith(url) and request in codes:
            found[where.removeprefix(url)] = codes[request]

    def sent(event: dict[str, Any]) -> None:
        asked[event["requestId"]] = event["request"]["url"]
        note(event["requestId"])

    def answered(event: dict[str, Any]) -> None:
        codes[event["requestId"]] = event["statusCode"]
        note(event["requestId"])

    wire.on("Network.requestWillBeSent", sent)
    wire.on("Network.responseReceivedExtraInfo", answered)
    wire.send("Network.enable")
    return found


def test_a_browser_signs_in_by_tls_stays_and_signs_out(
    browser: Browser, environment: dict[str, str], shop: list[int], key_of: KeyOf, tmp_path: Path
) -> None:
    key = key_of("acme")
    with (
        serving(environment, IMGSEARCH_HTTP_KEYS="required", IMGSEARCH_TRUSTED_PROXIES="1") as served,
        tls_before(served.url, tmp_path) as url,
    ):
        context = browser.new_context(ignore_https_errors=True)
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.goto(f"{url}/?q=red+shoe")
        picture("sign-in", page)
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator(".card").first).to_be_visible()
        assert page.url == f"{url}/?q=red+shoe"
        [kept] = context.cookies()
        assert kept["name"] == "__Host-imgsearch_session"
        assert kept["value"] not in key
        assert key.split("_", 2)[2] not in kept["value"]
        assert (kept["httpOnly"], kept["secure"], kept["sameSite"], kept["path"]) == (True, True, "Lax", "/")
        assert kept["expires"] == -1, "until the browser is closed"
        assert page.evaluate("document.cookie") == ""
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert context.cookies() == []
        context.add_cookies([kept])
        page.goto(url)
        expect(page.get_by_text("Your session has ended; sign in again.")).to_be_visible()
        assert context.cookies() == []
        context.close()


def test_another_sites_page_gets_nothing_from_an_open_page(
    browser: Browser, environment: dict[str, str], shop: list[int], elsewhere: Callable[[str], str]
) -> None:
    """Another port is another site's page, too; its links open the bare page, and a search once somebody says so."""
    with serving(environment) as served:
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(WAIT)
        answers = statuses(context, page, served.url)
        html = "".join(
            f'<img src="{served.url}{path}">' for path in ("/?q=x&a.c=1", "/", "/v1/images/1", "/static/mark.svg")
        )
        links = f'<a href="{served.url}/">bare</a><a href="{served.url}/?q=red+shoe">search</a>'
        page.goto(elsewhere(f'{html}<iframe src="{served.url}/?q=y"></iframe>{links}'))
        expected = {"/?q=x&a.c=1": 403, "/": 403, "/v1/images/1": 403, "/static/mark.svg": 200}
        eventually(lambda: (page.wait_for_timeout(50), answers.keys() >= expected.keys())[1])
        assert {path: answers.get(path) for path in expected} == expected
        assert page.frames[1].content().count("card") == 0
        page.get_by_role("link", name="bare").click()
        expect(page.locator(".card").first).to_be_visible()
        page.go_back()
        page.get_by_role("link", name="search").click()
        expect(page.get_by_text("Cross-site request refused")).to_be_visible()
        picture("cross-site", page)
        page.get_by_role("link", name="Open it here").click()
        expect(page.locator("#statement")).to_contain_text("red shoe")
        page.reload()
        expect(page.locator("#statement")).to_contain_text("red shoe")
        context.close()


def test_a_signed_in_browser_keeps_its_cookie_from_other_sites_pages(
    browser: Browser,
    environment: dict[str, str],
    settings: Settings,
    shop: list[int],
    key_of: KeyOf,
    elsewhere: Callable[[str], str],
) -> None:
    with serving(environment, IMGSEARCH_HTTP_KEYS="required") as served:
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.goto(served.url)
        page.get_by_label("API key").fill(key_of("acme"))
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator(".card").first).to_be_visible()
        [kept] = context.cookies()
        assert (kept["name"], kept["secure"], kept["httpOnly"]) == ("imgsearch_session", False, True)
        answers = statuses(context, page, served.url)
        page.goto(elsewhere(f'<img src="{served.url}/?q=x"><a href="{served.url}/?q=red+shoe">sent by mail</a>'))
        eventually(lambda: (page.wait_for_timeout(50), answers)[1])
        assert answers == {"/?q=x": 403}, "the same host on another port: the cookie came along, and was not looked at"
        page.get_by_role("link", name="sent by mail").click()
        expect(page.locator("#q")).to_have_value("red shoe")
        expect(page.locator(".card").first).to_be_visible()
        context.close()
