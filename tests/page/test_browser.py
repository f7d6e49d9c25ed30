"""People at a browser: the page driven in headless Chromium, with a real worker behind it."""

from __future__ import annotations

import base64
import io
import os
import re
from typing import Any

import pytest
from PIL import Image

from imgsearch import db
from imgsearch.dev.demo import catalogue
from tests.page import site
from tests.page.site import LARGEST, Site

if site.CHROMIUM is None:
    pytest.skip("there is no chromium here (apt-get install chromium)", allow_module_level=True)

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.page.conftest import Open
from tests.page.window import ARTEFACTS, ROOT, ask, picture, titles


def test_words_find_what_they_say(visit: Open) -> None:
    page = visit()
    expect(page.locator(".card")).to_have_count(40)
    picture("newest", page)
    ask(page, "red shoes")
    assert page.url.endswith("/?q=red+shoes")
    assert all("red" in title and "shoe" in title for title in titles(page)[:2]), titles(page)[:5]
    expect(page.locator(".near").first).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.go_back()
    expect(page.locator("#count")).to_contain_text("newest first")


def test_filters_apply_at_once_and_their_counts_are_true(visit: Open, place: Site) -> None:
    page = visit("/?q=red+shoes")
    choice = page.locator(".filters label", has=page.locator("input[name=category][value=shoes]"))
    said = choice.locator(".count").inner_text()
    choice.locator("input").check()
    expect(page.locator("#count")).to_have_text(re.compile(rf"^{said} products match"))
    expect(page.locator(".card .facts", has_text="shoes")).to_have_count(min(40, int(said)))
    page.get_by_label("Highest price").fill("45")
    page.get_by_label("Highest price").press("Enter")
    expect(page.locator(".chip", has_text="up to 45")).to_be_visible()
    prices = [float(price) for price in page.locator(".card .price").all_inner_texts()]
    assert prices
    assert max(prices) <= 45
    picture("filters", page)
    page.locator("input[name='a.colour'][value=red]").check()
    expect(page.locator(".chip", has_text="colour: red")).to_be_visible()
    page.get_by_label("Remove: up to 45").click()
    expect(page.locator(".chip", has_text="up to 45")).to_have_count(0)
    assert "max_price" not in page.url
    page.get_by_text("Clear all").click()
    expect(page.locator("#count")).to_have_text(f"{place.products} products match, best match first")


@pytest.mark.parametrize("how", ["choose", "drop", "paste"])
def test_a_photo_finds_itself(how: str, visit: Open, place: Site) -> None:
    item = place.items[17]
    data = catalogue.draw(item)
    page = visit()
    if how == "choose":
        page.get_by_test_id("photo").set_input_files({"name": "a.jpg", "mimeType": "image/jpeg", "buffer": data})
    else:
        page.evaluate(
            """([how, data]) => {
                const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
                const carried = new DataTransfer();
                carried.items.add(new File([bytes], "a.jpg", { type: "image/jpeg" }));
                if (how === "paste")
                    document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carried, bubbles: true }));
                else for (const name of ["dragover", "drop"])
                    document.body.dispatchEvent(
                        new DragEvent(name, { dataTransfer: carried, bubbles: true, cancelable: true }));
            }""",
            [how, base64.b64encode(data).decode()],
        )
    expect(page.locator(".chip.photo")).to_contain_text("Your photo")
    expect(page.locator(".chip.photo img")).to_be_visible()
    expect(page.locator(".card").first.locator(".near")).to_contain_text("0.000")
    assert titles(page)[0] == item.title
    assert "photo=" in page.url
    ask(page, "blue")
    expect(page.locator(".chip.photo")).to_be_visible()
    picture(f"photo-{how}", page)


def test_more_and_not_like_this_and_the_address_is_the_search(visit: Open) -> None:
    page = visit("/?q=boots")
    page.locator(".card .picture").nth(2).hover()
    page.locator(".card").nth(2).get_by_text("Like this").click()
    expect(page.locator(".chip.more")).to_have_count(1)
    page.locator(".card .picture").nth(6).hover()
    page.locator(".card").nth(6).get_by_text("Not this").click()
    expect(page.locator(".chip.less")).to_have_count(1)
    expect(page.locator("#statement")).to_contain_text("imgsearch.combine")
    picture("like-and-unlike", page)
    found = titles(page)
    other = visit(page.url.removeprefix(page.url.partition("/?")[0]))
    assert titles(other) == found
    other.get_by_label("Remove: Not like this").click()
    expect(other.locator(".chip.less")).to_have_count(0)


def test_more_pictures_are_appended(visit: Open) -> None:
    page = visit("/?q=mug")
    page.get_by_text("Show more").click()
    expect(page.locator(".card")).to_have_count(80)
    shown = page.locator(".card").evaluate_all("cards => cards.map(card => card.dataset.image)")
    assert len(set(shown)) == 80


def test_the_statement_can_be_copied_run_and_explained(visit: Open, place: Site) -> None:
    page = visit("/?q=red+shoes&max_price=60", permissions=["clipboard-read", "clipboard-write"])
    page.locator("#how summary").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    with db.connect(place.settings) as connection:
        rows = connection.execute(copied.encode()).fetchall()
    shown = page.locator(".card").evaluate_all("cards => cards.map(card => Number(card.dataset.image))")
    assert [row[0] for row in rows] == shown
    page.get_by_role("link", name="Explain").click()
    expect(page.locator("#plan pre")).to_contain_text("Execution Time")
    picture("statement", page)


def test_a_picture_is_added_and_becomes_searchable(visit: Open, place: Site) -> None:
    new = catalogue.items(260)[-1]
    page = visit("/add")
    file = {"name": f"{new.product_id}.jpg", "mimeType": "image/jpeg", "buffer": catalogue.draw(new)}
    page.get_by_test_id("pictures").set_input_files(file)
    page.get_by_label("Title").fill("Brand new thing")
    page.get_by_label("Price").fill("12.50")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("heading", name="Searchable now")).to_be_visible()
    expect(page.locator(".state.ready")).to_have_text("searchable")
    picture("added", page)
    page.get_by_role("link", name="More like this").click()
    expect(page.locator(".card h2").first).to_have_text("Brand new thing")
    with db.connect(place.settings, autocommit=True) as connection:
        connection.execute("DELETE FROM imgsearch.image WHERE product_id = %s", [new.product_id])


def test_the_form_keeps_its_files_and_says_what_is_wrong_before_sending(visit: Open, place: Site) -> None:
    page = visit("/add")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    chosen, data = page.get_by_test_id("pictures"), catalogue.draw(place.items[3])
    for name, kind, content, said in (
        ("invoice.pdf", "application/pdf", b"x", "invoice.pdf is not a picture"),
        ("large.jpg", "image/jpeg", bytes(LARGEST + 1), "at most 1.9 MB"),
    ):
        chosen.set_input_files({"name": name, "mimeType": kind, "buffer": content})
        expect(page.get_by_role("alert")).to_contain_text(said)
        page.get_by_role("button", name="Add").click()
        expect(chosen).to_be_focused()
    assert "POST" not in sent
    chosen.set_input_files({"name": "a.jpg", "mimeType": "image/jpeg", "buffer": data})
    expect(page.locator("#chosen")).to_contain_text("a.jpg")
    expect(page.locator("#wrong-pictures")).to_be_hidden()
    page.get_by_label("Price").fill("cheap")
    page.get_by_role("button", name="Add").click()
    expect(page.locator(".notice")).to_contain_text("price must be a number")
    assert chosen.evaluate("input => input.files[0].name") == "a.jpg"
    expect(page.locator("#chosen")).to_contain_text("a.jpg")
    expect(page.get_by_label("Price")).to_have_value("cheap")


@pytest.mark.slow
def test_what_goes_wrong_is_said(visit: Open, place: Site) -> None:
    page = visit()
    page.get_by_test_id("photo").set_input_files({"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"})
    expect(page.get_by_role("alert")).to_contain_text("picture")
    assert page.get_by_role("alert").get_attribute("data-code") == "not_a_picture"
    expect(page.locator(".card")).to_have_count(40)
    picture("not-a-picture", page)
    page = visit("/?q=shoes")
    page.get_by_test_id("photo").set_input_files(
        {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": bytes(LARGEST + 1)}
    )
    expect(page.get_by_role("alert")).to_contain_text("at most 1.9 MB")
    plain = visit("/add", java_script_enabled=False)
    plain.get_by_test_id("pictures").set_input_files(
        {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": bytes(LARGEST + 1)}
    )
    plain.get_by_role("button", name="Add").click()
    expect(plain.get_by_role("heading")).to_contain_text("Too Large")
    with place.worker_away():
        page = visit()
        page.locator("#q").fill("words that nobody asked before")
        page.locator("#q").press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("query worker")
        picture("worker-away", page)
        page.get_by_text("Search without it").click()
        expect(page.locator(".card")).to_have_count(40)


def test_nothing_found_helps(visit: Open) -> None:
    page = visit("/?q=shoes&category=shoes&max_price=1")
    expect(page.get_by_text("Nothing matches all of these")).to_be_visible()
    picture("nothing-found", page)
    page.get_by_role("link", name="without the price").click()
    expect(page.locator(".card").first).to_be_visible()


def test_it_works_without_javascript(visit: Open, place: Site) -> None:
    page = visit(java_script_enabled=False)
    page.locator("#q").fill("red shoes")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#statement")).to_contain_text("red shoes")
    page.locator("input[name=category][value=shoes]").check()
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".chip", has_text="shoes")).to_be_visible()
    page.locator(".card .act").first.click(force=True)
    expect(page.locator(".chip.more")).to_have_count(1)
    picture("no-javascript", page)
    item = place.items[40]
    page.get_by_test_id("photo").set_input_files(
        {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": catalogue.draw(item)}
    )
    page.get_by_role("button", name="Search by the photo").click()
    expect(page.locator(".chip.photo")).to_have_count(1)


@pytest.mark.parametrize(("width", "path"), [(1280, "/"), (1280, "/?q=red+shoes"), (390, "/"), (390, "/?q=red+shoes")])
def test_nothing_jumps_while_the_page_loads(width: int, path: str, visit: Open) -> None:
    """Cumulative layout shift, https://web.dev/articles/cls: below 0.1 is good."""
    page = visit(path, width=width)
    page.wait_for_load_state("networkidle")
    shift = page.evaluate(
        """() => new Promise((done) => new PerformanceObserver((list) =>
            done(list.getEntries().reduce((sum, entry) => sum + (entry.hadRecentInput ? 0 : entry.value), 0))
        ).observe({ type: "layout-shift", buffered: true }) || setTimeout(() => done(0), 1500))"""
    )
    assert shift < 0.1


def test_a_phone_is_wide_enough(visit: Open) -> None:
    for path in ("/?q=red+shoes&category=shoes&max_price=60&a.colour=red", "/add", "/?q=shoes&max_price=1"):
        page = visit(path, width=360, height=740, has_touch=True, is_mobile=True)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    page = visit("/?q=red+shoes&category=shoes", width=390, height=844, has_touch=True, is_mobile=True)
    expect(page.locator(".filters input[name=category]").first).to_be_hidden()
    picture("phone", page)
    page.locator("#filters summary").tap()
    expect(page.locator(".filters input[name=category]").first).to_be_visible()
    page.get_by_role("button", name="Show").tap()
    expect(page.locator(".filters input[name=category]").first).to_be_hidden()
    page.locator(".card .act").first.tap()
    expect(page.locator(".chip.more")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out(scheme: Any, visit: Open) -> None:
    """axe-core: no serious or critical violation of WCAG 2.2 AA, in any state."""
    found: list[str] = []
    states = [
        "/?q=red+shoes&min_price=cheap&max_price=60&like=3&unlike=5",
        "/choices?facet=category",
        "/add",
    ]  # in the dark, colours alone differ
    if scheme == "light":
        states += ["/", "/?q=shoes&max_price=1", "/?like=99999", "/nowhere"]
    for path in states:
        page = visit(path, color_scheme=scheme)
        if page.locator("#how").count():
            page.locator("#how summary").click()
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in {"serious", "critical"}:
                found += [f"{path}: {violation['id']}: {node['html'][:200]}" for node in violation["nodes"]]
    picture(f"add-{scheme}", page)
    assert found == []


def test_the_readmes_picture(visit: Open) -> None:
    """README_PICTURE=1 keeps what is seen here as docs/page.png."""
    page = visit("/?q=red+shoes&max_price=80", width=1180, height=780)
    page.locator(".card .picture").first.hover()
    picture("readme", page)
    if os.environ.get("README_PICTURE"):
        with Image.open(ARTEFACTS / "readme.png") as shot:
            out = io.BytesIO()
            shot.convert("RGB").quantize(256).save(out, "PNG", optimize=True)
        (ROOT / "docs/page.png").write_bytes(out.getvalue())
    assert (ROOT / "docs/page.png").stat().st_size < 300_000
