"""A part of the photo: proposed for one tap, or marked with mouse, finger and keys; real browser, real model."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from imgsearch.dev.demo.catalogue import Item
from imgsearch.dev.demo.scene import Scene, scene
from tests.page.conftest import Open
from tests.page.site import Site
from tests.page.window import picture, titles
from tests.processes import eventually

pytestmark = pytest.mark.slow
PHONE: dict[str, Any] = {"width": 390, "height": 780, "has_touch": True, "is_mobile": True}


def street(place: Site) -> tuple[Scene, list[Item]]:
    """A photo of four products that the shop has."""
    chosen = {item.category: item for item in reversed(place.items) if item.attributes["background"] != "room"}
    items = [chosen[name] for name in sorted(chosen)[:4]]
    return scene([(item.look, item.seed) for item in items], 5, "studio"), items


def search_by(page: Page, photo: bytes, name: str = "street.jpg") -> None:
    page.get_by_test_id("photo").set_input_files({"name": name, "mimeType": "image/jpeg", "buffer": photo})
    expect(page.locator(".chip.photo")).to_contain_text("Your photo")
    expect(page.locator("#parts")).to_be_visible()


def drag(page: Page, region: tuple[float, ...]) -> None:
    """Draw a box around a region of the photo in the dialog."""
    stage = page.locator("#part-stage").bounding_box()
    assert stage
    x, y, w, h = region
    page.mouse.move(stage["x"] + x * stage["width"], stage["y"] + y * stage["height"])
    page.mouse.down()
    page.mouse.move(stage["x"] + (x + w / 2) * stage["width"], stage["y"] + (y + h / 2) * stage["height"])
    page.mouse.move(stage["x"] + (x + w) * stage["width"], stage["y"] + (y + h) * stage["height"])
    page.mouse.up()


def marked(page: Page) -> list[float]:
    """The box in shares of the photo."""
    shares: list[float] = page.evaluate(
        "['left', 'top', 'width', 'height'].map((n) => parseFloat(document.getElementById('part-box').style[n]) / 100)"
    )
    return shares


def region_of(page: Page) -> list[float]:
    found = re.search(r"region=([^&]+)", page.evaluate("location.href"))
    return [float(number) for number in found[1].replace("%2C", ",").split(",")] if found else []


def test_what_stands_out_is_searched_by_one_tap(visit: Open, place: Site) -> None:
    shown, items = street(place)
    page = visit()
    search_by(page, shown.jpeg)
    expect(page.locator(".proposed").first).to_be_visible()
    assert page.locator(".proposed").count() >= 3
    picture("part-proposed", page)
    page.locator(".proposed").first.click()
    expect(page.locator(".chip.photo")).to_contain_text("Part of your photo")
    expect(page.locator('.proposed[aria-pressed="true"]')).to_have_count(1)
    assert set(titles(page)[:10]) & {item.title for item in items}
    first = titles(page)
    page.go_back()
    expect(page.locator(".chip.photo")).to_contain_text("Your photo")
    page.go_forward()
    expect(page.locator(".chip.photo")).to_contain_text("Part of your photo")
    assert titles(page) == first, "the address is the search"
    page.get_by_role("link", name="The whole photo").click()
    expect(page.locator(".chip.photo")).to_contain_text("Your photo")
    assert "region" not in page.url


def test_a_box_is_drawn_moved_and_resized_with_the_mouse(visit: Open, place: Site) -> None:
    shown, items = street(place)
    page = visit()
    search_by(page, shown.jpeg)
    for number, item in enumerate(items[:2]):
        page.get_by_role("button", name="Mark a part").click()
        expect(page.locator("#part-photo")).to_be_visible()
        drag(page, shown.region(number))
        assert marked(page) == pytest.approx(shown.region(number), abs=0.02)
        picture(f"part-marked-{number}", page)
        page.get_by_role("button", name="Search by this part").click()
        eventually(lambda n=number: region_of(page) == pytest.approx(shown.region(n), abs=0.02), what="the address")
        assert item.title in titles(page)[:10]
    page.get_by_role("button", name="Mark a part").click()
    before = marked(page)
    assert before == pytest.approx(region_of(page), abs=0.001), "it stands where it was"
    handle = page.locator(".handle.nw").bounding_box()
    assert handle
    page.mouse.move(handle["x"] + 22, handle["y"] + 22)
    page.mouse.down()
    page.mouse.move(handle["x"] + 52, handle["y"] + 42)
    page.mouse.up()
    after = marked(page)
    assert after[0] > before[0]
    assert after[0] + after[2] == pytest.approx(before[0] + before[2], abs=0.001), "the other corner stays"
    page.keyboard.press("Escape")
    expect(page.locator("#part")).to_be_hidden()


def test_the_keyboard_alone_marks_a_part(visit: Open, place: Site) -> None:
    shown, _ = street(place)
    page = visit()
    search_by(page, shown.jpeg)
    page.get_by_role("button", name="Mark a part").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#part-box")).to_be_focused()
    start = marked(page)
    for key in ("ArrowRight", "ArrowDown", "Shift+ArrowRight", "Shift+ArrowUp"):
        page.keyboard.press(key)
    moved = marked(page)
    assert moved == pytest.approx([start[0] + 0.02, start[1] + 0.02, start[2] + 0.02, start[3] - 0.02], abs=0.021)
    assert "% wide" in page.locator("#part-said").inner_text()
    page.keyboard.press("Tab")
    expect(page.locator(".handle.nw")).to_be_focused()
    page.keyboard.press("ArrowRight")
    assert marked(page)[0] == pytest.approx(moved[0] + 0.02, abs=0.001)
    for _ in range(120):
        page.keyboard.press("ArrowLeft")
    assert marked(page)[0] == 0, "never outside of the photo"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".chip.photo")).to_contain_text("Part of your photo")
    for _ in range(3):  # the dialog keeps the focus to itself, and gives it back
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement !== document.body")


def test_fingers_mark_a_part_on_a_phone(visit: Open, place: Site) -> None:
    shown, items = street(place)
    page = visit(**PHONE)
    search_by(page, shown.jpeg)
    page.get_by_role("button", name="Mark a part").tap()
    expect(page.locator("#part-photo")).to_be_visible()
    picture("part-phone", page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    small = """[...document.querySelectorAll('#part button')].map((one) => one.getBoundingClientRect())
        .filter((one) => Math.min(one.width, one.height) < 44).length"""
    assert page.evaluate(small) == 0, "as large as a finger"
    page.locator(".spot").first.tap()
    touch(page, shown.region(1))
    eventually(lambda: marked(page) == pytest.approx(shown.region(1), abs=0.03), what="the box under the finger")
    tap_until(page, "Search by this part", lambda: page.locator("#part").is_hidden())
    expect(page.locator(".chip.photo")).to_contain_text("Part of your photo")
    assert region_of(page) == pytest.approx(shown.region(1), abs=0.03)
    assert items[1].title in titles(page)[:10]
    picture("part-phone-found", page)


def tap_until(page: Page, name: str, done: Callable[[], bool]) -> None:
    """Tap a button again: on a busy machine half a second passes within a tap, and a long press is no click."""
    for _ in range(5):
        page.get_by_role("button", name=name).tap()
        page.wait_for_timeout(1000)
        if done():
            return
    raise AssertionError(f"{name!r} was tapped five times")


def touch(page: Page, region: tuple[float, ...]) -> None:
    """Draw a box with one finger."""
    stage = page.locator("#part-stage").bounding_box()
    assert stage
    x, y, w, h = region
    points = [(x, y), (x + w / 2, y + h / 2), (x + w, y + h)]
    session = page.context.new_cdp_session(page)
    for kind, (a, b) in zip(("touchStart", "touchMove", "touchMove"), points, strict=True):
        at = {"x": stage["x"] + a * stage["width"], "y": stage["y"] + b * stage["height"]}
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [at]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_photo_of_before_can_still_be_marked_after_a_reload(visit: Open, place: Site) -> None:
    """The file is gone with the page; the copy in this browser stands in for it."""
    shown, items = street(place)
    page = visit(color_scheme="dark")
    search_by(page, shown.jpeg)
    page.reload()
    expect(page.locator("#parts")).to_be_visible()
    page.get_by_role("button", name="Mark a part").click()
    page.locator(".spot").last.click()
    drag(page, shown.region(2))
    picture("part-dark", page)
    page.get_by_role("button", name="Search by this part").click()
    expect(page.locator(".chip.photo")).to_contain_text("Part of your photo")
    assert items[2].title in titles(page)[:10]
    picture("part-dark-found", page)
    page.get_by_role("link", name="The whole photo").click()
    expect(page.locator(".chip.photo")).to_contain_text("Your photo")
    expect(page.locator(".notice.bad")).to_have_count(0)


@pytest.mark.parametrize("region", ["0.5,0.5,0.6,0.2", "x", "0,0,0,0", "nan,0,1,1", "0.1,0.2,0.3,0.4"])
def test_an_address_with_a_part_that_is_none_keeps_the_rest(visit: Open, place: Site, region: str) -> None:
    shown, _ = street(place)
    page = visit()
    search_by(page, shown.jpeg)
    page.goto(f"{page.url}&region={region}")
    expect(page.locator(".notice.bad")).to_have_count(1)
    expect(page.locator(".card").first).to_be_visible()
