"""The page by keyboard and on a phone."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from imgsearch import db
from tests.page import site
from tests.page.conftest import Open
from tests.page.site import Site

if site.CHROMIUM is None:
    pytest.skip("there is no chromium here (apt-get install chromium)", allow_module_level=True)

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.page.window import picture

PHONE: dict[str, Any] = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}
CARD = "[...document.querySelectorAll('.card')].indexOf(document.activeElement.closest('.card'))"


def test_the_first_result_is_a_few_steps_away(visit: Open) -> None:
    page = visit("/?q=red+shoes&category=shoes&max_price=90")
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Go to the results")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.evaluate(CARD) == 0
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(CARD) == 0
    page.keyboard.press("ArrowRight")
    assert page.evaluate(CARD) == 1
    page.keyboard.press("ArrowDown")
    columns = page.evaluate("getComputedStyle(document.querySelector('.grid')).gridTemplateColumns.split(' ').length")
    assert page.evaluate(CARD) == 1 + columns
    page.locator("#filters input").first.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("link", name="Skip the filters")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate(CARD) == 0


def test_escape_closes_what_is_open(visit: Open) -> None:
    page = visit("/?q=red+shoes")
    page.locator("#how summary").click()
    expect(page.locator("#how")).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(page.locator("#how")).not_to_have_attribute("open", "")
    expect(page.locator("#how summary")).to_be_focused()
    phone = visit("/?q=red+shoes", **PHONE)
    phone.locator("#filters summary").tap()
    expect(phone.get_by_role("dialog")).to_be_visible()
    phone.keyboard.press("Escape")
    expect(phone.get_by_role("dialog")).to_have_count(0)
    expect(phone.locator("#filters summary")).to_be_focused()


def test_on_a_phone_the_actions_stand_below_the_picture_and_are_large_enough(visit: Open) -> None:
    page = visit("/?q=red+shoes&like=3", **PHONE)
    card = page.locator(".card").first
    image, acts = card.locator(".picture").bounding_box(), card.locator(".acts").bounding_box()
    assert image
    assert acts
    assert acts["y"] >= image["y"] + image["height"]
    expect(card.get_by_text("Like this", exact=True)).to_be_in_viewport()
    expect(card.get_by_text("Not this", exact=True)).to_be_visible()
    small = page.evaluate(
        """[...document.querySelectorAll('.act, .button, .photo, .chip a, summary')]
           .filter(one => one.offsetParent && (one.offsetHeight < 40 || one.offsetWidth < 38))
           .map(one => one.outerHTML)"""
    )
    assert small == []
    assert page.evaluate("(q => q.scrollWidth <= q.clientWidth)(document.getElementById('q'))")
    chip = page.locator(".chip.more img").bounding_box()
    assert chip
    assert chip["x"] >= 16


def test_filters_are_a_sheet_on_a_phone(visit: Open, place: Site) -> None:
    page = visit("/?q=red+shoes", **PHONE)
    page.locator("#filters summary").tap()
    sheet = page.get_by_role("dialog", name="Filters")
    expect(sheet.get_by_role("button", name=f"Show {place.products} products")).to_be_in_viewport()
    sheet.locator("input[name=category][value=shoes]").check()
    expect(page.locator(".chip", has_text="shoes")).to_be_attached()
    count = sheet.locator("label", has_text="shoes").locator(".count").inner_text()
    expect(sheet.get_by_role("button", name=f"Show {count} products")).to_be_in_viewport()
    picture("sheet", page)
    bad = [one for one in Axe().run(page).response["violations"] if one["impact"] in {"serious", "critical"}]
    assert bad == []
    sheet.get_by_role("button", name="Show").tap()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".card").first).to_be_in_viewport()


def test_long_words_stay_within_their_card_and_prices_stand_in_line(visit: Open, place: Site) -> None:
    long = "unbreakable" * 15
    with db.connect(place.settings, autocommit=True) as connection:
        [row] = connection.execute(
            "SELECT image_id, category, attributes FROM imgsearch.image ORDER BY image_id DESC LIMIT 1"
        ).fetchall()
        change = "UPDATE imgsearch.image SET category = %s, attributes = %s::jsonb WHERE image_id = %s"
        connection.execute(change, [long, f'{{"title": "{long}", "colour": "{long[:60]}"}}', row[0]])
        try:
            for width in (390, 1280):
                page = visit("/", width=width)
                parts = "[...document.querySelectorAll('.card, .filters')]"
                wide = f"{parts}.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.outerHTML)"
                assert page.evaluate(wide) == []
                assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
                tops = page.evaluate(
                    """(cards => cards.filter(card => card.offsetTop === cards[0].offsetTop)
                       .map(card => card.querySelector('.facts').getBoundingClientRect().top))
                       ([...document.querySelectorAll('.card')])"""
                )
                assert len(tops) > 1
                assert max(tops) - min(tops) < 1
        finally:
            connection.execute(change, [row[1], Jsonb(row[2]), row[0]])
