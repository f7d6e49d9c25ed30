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


def is_address(page: Page, end: str) -> None:
    eventually(lambda: page.evaluate("location.href").endswith(end), 20, f"an address that ends with {end}")


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


def test_back_closes_a_product_and_its_address_can_be_shared(visit: Open) -> None:
    page = visit("/?q=mug", width=390, height=844)
    search = page.url
    page.locator(".card .picture a").first.click()
    dialog = page.locator("#larger")
    expect(dialog).to_be_visible()
    product = page.url
    assert "/product?" in product
    page.go_back()
    expect(dialog).to_be_hidden()
    assert page.url == search
    expect(page.locator(".card")).to_have_count(40)
    page.go_forward()
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    is_address(page, search)
    page.locator(".card .picture a").nth(1).click()
    expect(dialog).to_be_visible()
    page.reload()
    expect(page.locator("#product h1")).to_be_visible()
    page.go_back()
    expect(page.locator(".card")).to_have_count(40)
    page.goto(product)
    expect(page.locator("#product h1")).to_be_visible()


def test_a_search_from_a_product_takes_its_place(visit: Open) -> None:
    page = visit("/?q=mug")
    page.locator(".card .picture a").first.click()
    page.locator("#larger").get_by_role("link", name="Similar products").click()
    expect(page.locator(".chip.more")).to_have_count(1)
    page.go_back()
    expect(page.locator("#q")).to_have_value("mug")
    expect(page.locator("#larger")).to_be_hidden()
    assert page.url.endswith("/?q=mug")


def test_back_closes_the_sheet_of_filters_and_keeps_what_was_chosen(visit: Open) -> None:
    page = visit("/?q=mug", width=390, height=844)
    sheet = page.locator("html.sheet-open")

    def open_sheet() -> None:
        page.locator("#filters summary").click()
        expect(sheet).to_have_count(1)

    open_sheet()
    page.go_back()
    expect(sheet).to_have_count(0)
    assert page.url.endswith("?q=mug")
    open_sheet()
    page.locator("#filters input[name=category]").first.check()
    eventually(lambda: "category=" in page.evaluate("location.search"))
    chosen = page.url
    page.go_back()
    expect(sheet).to_have_count(0)
    assert page.url == chosen
    page.go_back()
    is_address(page, "?q=mug")
    expect(page.locator("#filters input[name=category]").first).not_to_be_checked()
    open_sheet()
    page.locator("#filters input[name=category]").first.check()
    page.locator("#filters [data-close]").click()
    expect(sheet).to_have_count(0)
    is_address(page, chosen)
    page.go_back()
    is_address(page, "?q=mug")
