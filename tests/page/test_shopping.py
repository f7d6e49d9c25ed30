"""People in a shop: pictures of a product, order, the two handles of a price, suggestions, the engineer's switch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imgsearch import db
from tests.page import site
from tests.page.conftest import Open
from tests.page.site import Site

if site.CHROMIUM is None:
    pytest.skip("there is no chromium here (apt-get install chromium)", allow_module_level=True)

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.page.window import picture
from tests.processes import eventually

SHOWN = "document.querySelector('#shown img').src"
CURRENT = "[...document.querySelectorAll('#larger .strip a')].findIndex(one => one.hasAttribute('aria-current'))"


def of_several(page: Page) -> int:
    """Return which card is the first of a product with several pictures."""
    found: int = page.evaluate(
        "[...document.querySelectorAll('.card')].findIndex(card => card.querySelector('.others a'))"
    )
    assert found >= 0
    return found


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in {"serious", "critical"}
    ]


def test_each_product_stands_once(visit: Open, place: Site) -> None:
    page = visit("/?q=red+shoes")
    titles = page.locator(".card").evaluate_all("all => all.map(one => one.dataset.image)")
    assert len(set(titles)) == len(titles) == 40
    expect(page.locator("#count")).to_have_text(f"{place.products} products match, best match first")


def test_other_pictures_show_themselves_under_the_pointer(visit: Open) -> None:
    page = visit("/?q=red+shoes")
    card = page.locator(".card").nth(of_several(page))
    image = card.locator(".picture img")
    before = image.get_attribute("src")
    other = card.locator(".others a").first
    other.hover()
    expect(image).to_have_attribute("src", other.get_attribute("data-swap") or "")
    page.locator("#count").hover()
    expect(image).to_have_attribute("src", before or "")
    other.focus()
    expect(image).to_have_attribute("src", other.get_attribute("data-swap") or "")


def test_all_pictures_of_a_product_large_and_by_keyboard(visit: Open) -> None:
    page = visit("/?q=red+shoes")
    card = page.locator(".card").nth(of_several(page))
    card.locator("h2 a").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("h1")).to_have_text(card.locator("h2").inner_text())
    assert serious(page) == []
    many = dialog.locator(".strip a").count()
    assert many >= 2
    eventually(lambda: "/larger/" in page.evaluate(SHOWN))
    first, at = page.evaluate(SHOWN), page.evaluate(CURRENT)
    page.keyboard.press("ArrowRight")
    assert page.evaluate(CURRENT) == (at + 1) % many
    eventually(lambda: page.evaluate(SHOWN) not in {first} and "/larger/" in page.evaluate(SHOWN))
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(CURRENT) == at
    page.keyboard.press("End")
    assert page.evaluate(CURRENT) == many - 1
    eventually(lambda: page.evaluate("document.querySelector('#shown img').naturalWidth") > 320)
    picture("larger", page)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(card.locator("h2 a")).to_be_focused()
    card.locator(".picture a").click()
    expect(dialog).to_be_visible()
    dialog.get_by_role("link", name="Similar products").click()
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.locator(".chip.more")).to_have_count(1)
    assert "q=" not in page.url


def test_all_pictures_without_javascript(visit: Open) -> None:
    page = visit("/?q=red+shoes", java_script_enabled=False)
    page.locator(".card:has(.others a) h2 a").first.click()
    expect(page.locator("#shown img")).to_be_visible()
    where = page.url
    page.get_by_role("link", name="Next picture").click()
    assert page.url != where
    expect(page.locator(".strip a[aria-current]")).to_have_count(1)
    page.get_by_role("link", name="Back to search").click()
    expect(page.locator(".card").first).to_be_visible()


def prices(page: Page) -> list[float]:
    return [float(one.replace(",", "")) for one in page.locator(".card .price").all_inner_texts()]


def test_the_order_is_part_of_the_address(visit: Open) -> None:
    page = visit("/?q=red+shoes&category=shoes")
    page.get_by_label("Sort").select_option("price")
    expect(page.locator("#count")).to_contain_text("cheapest first")
    assert "sort=price" in page.url
    found = prices(page)
    assert len(found) > 3
    assert found == sorted(found)
    page.get_by_label("Sort").select_option("-price")
    expect(page.locator("#count")).to_contain_text("dearest first")
    assert prices(page) == found[::-1]
    page.go_back()
    expect(page.get_by_label("Sort")).to_have_value("price")
    assert prices(page) == found
    wrong = visit("/?q=red+shoes&sort=evil")
    expect(wrong.get_by_role("alert")).to_contain_text("no order called")
    expect(wrong.locator(".card").first).to_be_visible()


def test_the_price_has_two_handles(visit: Open) -> None:
    page = visit("/?q=red+shoes")
    low, high = page.get_by_role("slider", name="Price from"), page.get_by_role("slider", name="Price up to")
    high.focus()
    for _ in range(25):
        page.keyboard.press("ArrowLeft")
    expect(page.locator(".chip")).to_have_count(1)
    top = float(page.locator("#max_price").input_value())
    expect(page.locator(".chip")).to_have_text(f"up to {top:g}")
    expect(high).to_have_attribute("aria-valuetext", f"{top:g}")
    eventually(lambda: bool(prices(page)) and max(prices(page)) <= top)
    expect(high).to_be_focused()
    low.focus()
    for _ in range(80):
        page.keyboard.press("ArrowRight")
    assert float(page.locator("#min_price").input_value()) <= top, "it stops at the other one"
    page.get_by_label("Highest price").fill("")
    page.get_by_label("Lowest price").fill("")
    page.get_by_label("Lowest price").press("Enter")
    expect(page.locator(".chip")).to_have_count(0)
    eventually(lambda: high.input_value() == high.get_attribute("max") and low.input_value() == "0")
    plain = visit("/?q=red+shoes", java_script_enabled=False)
    expect(plain.locator("#slider")).to_be_hidden()
    expect(plain.get_by_label("Highest price")).to_be_visible()


@pytest.fixture
def titled(place: Site) -> Iterator[None]:
    """For one test the products have words that are suggested."""
    with db.connect(place.settings, autocommit=True) as connection:
        kept = connection.execute("SELECT count(*) FROM imgsearch.product").fetchone()
        if kept == (0,):
            connection.execute(
                "INSERT INTO imgsearch.product (tenant_id, product_id, title)"
                " SELECT DISTINCT ON (tenant_id, product_id) tenant_id, product_id, attributes ->> 'title'"
                " FROM imgsearch.image"
            )
        yield
        if kept == (0,):
            connection.execute("DELETE FROM imgsearch.product")


def test_suggestions_while_typing(visit: Open, titled: None) -> None:
    page = visit("/?q=red")
    box = page.locator("#q")
    box.fill("")
    box.press_sequentially("sho")
    options = page.locator("#suggestions").get_by_role("option")
    expect(options.first).to_be_visible()
    expect(box).to_have_attribute("aria-expanded", "true")
    assert serious(page) == []
    picture("suggestions", page)
    page.keyboard.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    expect(box).to_have_value(options.first.inner_text())
    page.keyboard.press("ArrowUp")
    expect(box).to_have_value("sho")
    page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    expect(box).to_be_focused()
    box.press_sequentially("e")
    expect(options.first).to_be_visible()
    said = options.first.inner_text()
    options.first.click()
    expect(page.locator("#statement")).to_contain_text(said)
    expect(options).to_have_count(0)


def test_a_suggestion_that_comes_late_is_thrown_away(visit: Open, titled: None) -> None:
    page = visit("/?q=red")
    late: list[object] = []
    page.route("**/suggest?*q=sho", lambda route: late.append(route))
    box = page.locator("#q")
    box.fill("sho")
    eventually(lambda: page.evaluate("1") == 1 and len(late) == 1)
    box.fill("")
    page.wait_for_timeout(300)
    for route in late:
        route.abort()  # type: ignore[attr-defined]
    page.unroute_all()
    expect(page.locator("#suggestions").get_by_role("option")).to_have_count(0)
    box.fill("blu")
    expect(page.locator("#suggestions").get_by_role("option").first).to_contain_text("blu")


def test_the_engineers_panel_is_behind_a_switch_that_is_remembered(visit: Open) -> None:
    page = visit("/?q=red+shoes")
    switch = page.get_by_role("button", name="SQL")
    expect(switch).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#how")).to_be_visible()
    switch.click()
    expect(page.locator("#how")).to_be_hidden()
    expect(page.locator(".near").first).to_be_hidden()
    picture("shopper", page)
    page.reload()
    expect(page.locator("#how")).to_be_hidden()
    expect(switch).to_have_attribute("aria-pressed", "false")
    switch.click()
    expect(page.locator("#how")).to_be_visible()
