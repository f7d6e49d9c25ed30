"""Where people were: Back, Forward and reload lead to the same place of the same list."""

from __future__ import annotations

import pytest

from tests.page import site
from tests.page.conftest import Open
from tests.page.site import Site

if site.CHROMIUM is None:
    pytest.skip("there is no chromium here (apt-get install chromium)", allow_module_level=True)

from playwright.sync_api import Page, expect

from tests.processes import eventually

SHOWN = "[...document.querySelectorAll('.card')].map(card => card.dataset.image)"


def is_at(page: Page, height: float) -> None:
    eventually(lambda: abs(page.evaluate("window.scrollY") - height) < 2, 20, f"the page at {height}")


def test_back_forward_and_reload_lead_to_the_same_place(visit: Open) -> None:
    page = visit("/?q=mug")
    page.get_by_text("Show more").click()
    expect(page.locator(".card")).to_have_count(80)
    assert page.url.endswith("/?q=mug&pages=2")
    shown = page.evaluate(SHOWN)
    page.locator(".card").nth(60).scroll_into_view_if_needed()
    height = page.evaluate("window.scrollY")
    assert height > 1500
    page.locator(".card .act").nth(120).evaluate("link => link.click()")  # where people are, without a scroll before
    expect(page.locator(".chip.more")).to_have_count(1)
    is_at(page, 0)
    page.evaluate("window.scrollTo(0, 300)")
    eventually(lambda: page.evaluate("history.state.y") == 300, 20, "the place kept")
    page.go_back()
    expect(page.locator(".card")).to_have_count(80)
    is_at(page, height)
    assert page.evaluate(SHOWN) == shown
    page.go_forward()
    expect(page.locator(".chip.more")).to_have_count(1)
    is_at(page, 300)
    page.go_back()
    expect(page.locator(".card")).to_have_count(80)
    is_at(page, height)
    page.reload()
    expect(page.locator(".card")).to_have_count(80)
    is_at(page, height)
    page.goto(page.url.partition("?")[0] + "add")  # to another page, and back
    page.go_back()
    expect(page.locator(".card")).to_have_count(80)
    is_at(page, height)


def test_a_list_has_an_end_and_says_so(visit: Open, place: Site) -> None:
    page = visit("/?q=mug")
    for shown in [*range(80, place.products, 40), place.products]:
        page.get_by_text("Show more").click()
        expect(page.locator(".card")).to_have_count(shown)
    expect(page.get_by_text("The end of the list.")).to_be_visible()
    expect(page.get_by_text("Show more")).to_have_count(0)
    assert len(set(page.evaluate(SHOWN))) == place.products
    page.reload()
    expect(page.locator(".card")).to_have_count(place.products)
    expect(page.get_by_text("The end of the list.")).to_be_visible()
    page.get_by_text("Back to the top").click()
    is_at(page, 0)


def test_more_without_javascript_leads_on(visit: Open) -> None:
    page = visit("/?q=mug", java_script_enabled=False)
    page.get_by_text("Show more").click()
    expect(page.locator(".card")).to_have_count(80)
    assert page.url.endswith("/?q=mug&pages=2#page2")
    expect(page.locator("#page2")).to_be_in_viewport()


def test_pictures_whose_addresses_ran_out_are_asked_for_again(visit: Open) -> None:
    page = visit("/?q=mug")
    expect(page.locator(".card")).to_have_count(40)
    page.evaluate("document.querySelector('.card img').src = '/thumbnail/expired.webp'")
    eventually(lambda: page.evaluate("document.querySelector('.card img').naturalWidth > 0"))
    assert "expired" not in (page.locator(".card img").first.get_attribute("src") or "")


def test_a_server_that_is_away_takes_nothing_from_the_page(visit: Open) -> None:
    page = visit("/?q=red+shoes")
    page.route("**/*colour*", lambda route: route.abort())
    page.locator("#facets input[name='a.colour'][value=red]").check()
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    expect(page.locator(".card")).to_have_count(40)
    page.unroute_all()
    page.locator("#facets input[name='in_stock'][value=yes]").check()
    expect(page.locator(".chip")).to_have_text(["in stock", "colour: red"])
    expect(page.get_by_role("alert")).to_have_count(0)
