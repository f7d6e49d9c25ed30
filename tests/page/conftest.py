"""The fixtures of the HTTP tests serve the page's too; and one shop and one browser for all files that need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from imgsearch.dev import embedded
from tests.http.conftest import anyone, app, client, key_of, open_app, shop, teach
from tests.page import site
from tests.page.site import Site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["anyone", "app", "client", "key_of", "open_app", "shop", "teach"]

Open = Callable[..., "Page"]


@pytest.fixture(scope="package")
def place(servers: embedded.Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A whole small shop with a worker; a test that changes it puts back what it changed."""
    with site.opened(servers, template, tmp_path_factory.mktemp("shop")) as found:
        yield found


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if site.CHROMIUM is None:
        pytest.skip("there is no chromium here (apt-get install chromium)")
    from playwright.sync_api import expect, sync_playwright

    from tests.page.window import WAIT

    expect.set_options(timeout=WAIT)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=site.CHROMIUM, args=site.ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def visit(place: Site, browser: Browser) -> Iterator[Open]:
    """Open a page of the shop in a browser window of its own; no script may fail on it."""
    from tests.page.window import WAIT

    contexts, failures = [], []

    def open_(path: str = "/", *, width: int = 1400, height: int = 900, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("console", lambda said: failures.append(said.text) if "Content Security" in said.text else None)
        page.goto(place.url + path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert failures == []
