"""People at the filters: focus, place, half-typed fields and choices stay, whatever answers come and when."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from imgsearch import db
from tests.page import site
from tests.page.conftest import Open
from tests.page.site import Site

if site.CHROMIUM is None:
    pytest.skip("there is no chromium here (apt-get install chromium)", allow_module_level=True)

from playwright.sync_api import Page, Route, expect

ACTIVE = "document.activeElement.name + '=' + document.activeElement.value"


def tick(page: Page, name: str, value: str) -> None:
    page.locator(f"#facets input[name='{name}'][value='{value}']").check()


@contextmanager
def held_back(page: Page, pattern: str) -> Iterator[list[Route]]:
    """Let no answer to these requests through until the block ends; then all of them, in the order asked."""
    held: list[Route] = []
    page.route(re.compile(pattern), lambda route: held.append(route))  # playwright asks for a function
    yield held
    page.unroute(re.compile(pattern))


def test_a_tick_keeps_focus_and_place(visit: Open) -> None:
    page = visit("/?q=red+shoes", height=600)
    page.evaluate("window.scrollTo(0, 500)")
    page.locator("#facets input[name='a.colour']").first.scroll_into_view_if_needed()
    where = "[window.scrollY, document.querySelector('.filters').scrollTop]"
    before = page.evaluate(where)
    page.locator("#facets input[name='a.colour'][value=red]").focus()
    page.keyboard.press("Space")
    expect(page.locator(".chip", has_text="colour: red")).to_be_visible()
    assert page.evaluate(ACTIVE) == "a.colour=red"
    after = page.evaluate(where)
    assert abs(after[0] - before[0]) < 60  # a row of chips came
    assert after[1] == before[1]
    page.keyboard.press("Space")
    expect(page.locator(".chip")).to_have_count(0)
    assert page.evaluate(ACTIVE) == "a.colour=red"


def test_a_field_typed_into_while_an_answer_is_under_way_keeps_what_is_typed(visit: Open) -> None:
    page = visit("/?q=red+shoes")
    with held_back(page, "min_price=20") as held:
        page.get_by_label("Lowest price").fill("20")
        page.get_by_label("Lowest price").press("Tab")
        page.keyboard.type("8")
        assert held
        held[0].continue_()
        expect(page.locator(".chip", has_text="from 20")).to_be_visible()
        assert page.evaluate(ACTIVE) == "max_price=8"
        page.keyboard.type("0")
        page.unroute_all()
        page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_have_text(["from 20", "up to 80"])
    assert page.url.endswith("min_price=20&max_price=80")
    assert page.evaluate(ACTIVE) == "max_price=80"


def test_an_answer_that_comes_late_does_not_replace_a_newer_one(visit: Open) -> None:
    page = visit("/?q=red+shoes")
    with held_back(page, r"shoes&a\.colour=red$") as held:
        tick(page, "a.colour", "red")
        tick(page, "in_stock", "yes")
        expect(page.locator(".chip")).to_have_text(["in stock", "colour: red"])
        for route in held:
            route.continue_()
        time.sleep(0.3)
    expect(page.locator(".chip")).to_have_text(["in stock", "colour: red"])
    assert "in_stock=yes" in page.url


def test_choices_stay_where_they_stand(visit: Open) -> None:
    page = visit("/?q=red+shoes")
    listed = "[...document.querySelectorAll('#facet-category input')].map(one => one.value)"
    headings = "[...document.querySelectorAll('#facets legend')].map(one => one.textContent)"
    before, titles = page.evaluate(listed), page.evaluate(headings)
    tick(page, "category", before[5])
    expect(page.locator(".chip")).to_have_count(1)
    assert page.evaluate(listed) == before
    tick(page, "a.colour", page.locator("#facets input[name='a.colour']").nth(2).get_attribute("value") or "")
    expect(page.locator(".chip")).to_have_count(2)
    assert page.evaluate("document.querySelector('#facet-category input:checked').value") == before[5]
    assert page.evaluate(listed).index(before[5]) <= 5
    left = page.evaluate(headings)
    assert left == [title for title in titles if title in left]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ("min_price=abc", "min_price"),
        ("max_price=-1", "max_price"),
        ("max_price=1e400", "max_price"),
        ("min_price=30&max_price=20", "max_price"),
    ],
)
def test_a_wrong_price_is_said_at_its_field_and_the_search_stays(given: str, field: str, visit: Open) -> None:
    for script in (True, False):
        page = visit(f"/?q=red+shoes&category=shoes&{given}", java_script_enabled=script)
        expect(page.locator(f"#wrong-{field}")).to_contain_text("price")
        expect(page.locator(".card").first).to_be_visible()
        expect(page.locator("#q")).to_have_value("red shoes")
        expect(page.locator(".chip", has_text="shoes")).to_be_visible()
        assert page.locator(f"#{field}").input_value() == given.rpartition("=")[2]


def test_a_wrong_price_typed_is_mended_where_it_stands(visit: Open) -> None:
    page = visit("/?q=red+shoes&category=shoes")
    page.get_by_label("Highest price").fill("cheap")
    page.get_by_label("Highest price").press("Enter")
    expect(page.locator("#wrong-max_price")).to_be_visible()
    assert page.evaluate(ACTIVE) == "max_price=cheap"
    page.get_by_label("Highest price").fill("60")
    page.get_by_label("Highest price").press("Enter")
    expect(page.locator("#wrong-max_price")).to_have_count(0)
    expect(page.locator(".chip")).to_have_text(["shoes", "up to 60"])


@pytest.mark.parametrize("broken", ["like=999999", "like=x", "photo=" + "0" * 64 + "-" + "A" * 22])
def test_a_lost_example_is_said_and_the_rest_is_searched(broken: str, visit: Open) -> None:
    page = visit(f"/?q=red+shoes&category=shoes&{broken}")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator(".card").first).to_be_visible()
    expect(page.locator(".chip")).to_have_text(["shoes"])


@pytest.fixture
def many(place: Site) -> Iterator[list[str]]:
    """For one test every picture of the shop has one of 70 categories."""
    with db.connect(place.settings, autocommit=True) as connection:
        kept = connection.execute("SELECT image_id, category FROM imgsearch.image").fetchall()
        connection.execute("UPDATE imgsearch.image SET category = 'kind ' || image_id % 70")
        yield [f"kind {n}" for n in range(70)]
        with connection.cursor() as cursor:
            cursor.executemany(
                "UPDATE imgsearch.image SET category = %s WHERE image_id = %s", [row[::-1] for row in kept]
            )


def test_every_category_is_reached(many: list[str], visit: Open) -> None:
    page = visit("/?q=red+shoes")
    facet = page.locator("#facet-category")
    expect(facet.locator("input[type=checkbox]")).to_have_count(8)
    facet.get_by_text("Show all").click()
    expect(facet.locator("input[type=checkbox]")).to_have_count(70)
    assert facet.locator("input[type=checkbox]").evaluate_all("all => all.map(one => one.value)") == many
    expect(facet.get_by_role("searchbox")).to_be_focused()
    facet.get_by_role("searchbox").fill("kind 6")
    expect(facet.locator("input[type=checkbox]")).to_have_count(11)
    tick(page, "category", "kind 64")
    expect(page.locator(".chip")).to_have_text(["kind 64"])
    expect(page.locator(".card")).to_have_count(
        int(facet.locator("li", has_text="kind 64").locator(".count").inner_text())
    )
    facet.get_by_role("searchbox").fill("kind 5")
    expect(facet.locator("input[type=checkbox]")).to_have_count(12)  # eleven, and the chosen one
    tick(page, "category", "kind 57")
    expect(page.locator(".chip")).to_have_text(["kind 64", "kind 57"])
    expect(facet.get_by_role("searchbox")).to_have_value("kind 5")
    page.get_by_label("Remove: kind 64").click()
    expect(page.locator(".chip")).to_have_text(["kind 57"])
    expect(facet.locator("input:checked")).to_have_count(1)


def test_every_category_is_reached_without_javascript(many: list[str], visit: Open) -> None:
    page = visit("/?q=red+shoes&category=kind+3", java_script_enabled=False)
    page.locator("#facet-category").get_by_text("Show all").click()
    expect(page.locator("input[type=checkbox]")).to_have_count(70)
    page.locator("#contains").fill("kind 6")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("input[type=checkbox]")).to_have_count(11)
    page.locator("input[value='kind 64']").check()
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".chip")).to_have_text(["kind 3", "kind 64"])
