"""A shop's own looks, words and templates; and that no looks of its own can take the page down."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgsearch.errors import SettingsError
from imgsearch.flask import ImageSearch
from imgsearch.http.identity import EVERYBODY
from imgsearch.page import brand, slider
from imgsearch.page.wording import Wording, catalogue, wording
from imgsearch.settings import Settings, load_settings
from tests.page.test_products import opened, text_of

Connection = psycopg.Connection[Any]
KeyOf = Callable[..., str]
PAGE = Path(__file__).parents[2] / "imgsearch" / "page"


def test_a_brand_of_its_own(settings: Settings, shop: list[int]) -> None:
    given = {
        "PAGE_NAME": "Schuh & Söhne",
        "PAGE_LOGO": "https://cdn.shop.example/logo.svg",
        "PAGE_ACCENT": "#FFD400",
        "PAGE_CURRENCY": "EUR",
        "PAGE_LANGUAGE": "de",
    }
    with opened(settings, **given) as anyone:
        answer = anyone.get("/?q=red+shoe&max_price=50&category=shoes")
        text = html.unescape(answer.get_data(as_text=True))
        assert '<html lang="de">' in text
        assert "Schuh & Söhne</title>" in text
        assert 'src="https://cdn.shop.example/logo.svg"' in text
        assert "img-src 'self' blob: data: https://cdn.shop.example;" in answer.headers["Content-Security-Policy"]
        assert "Produkte passen, beste zuerst" in text
        assert "bis 50\N{NBSP}€" in text
        assert re.search(r'class="price">\d+,00\N{NBSP}€<', text)
        assert "10\N{NBSP}€ – 25\N{NBSP}€" in text
        assert "Add pictures" not in text
        [where] = re.findall(r'href="(/brand\.css\?v=\w+)"', text)
        sheet = anyone.get(where)
        assert sheet.mimetype == "text/css"
        assert "immutable" in sheet.headers["Cache-Control"]
        assert "--accent: #ffd400" not in sheet.get_data(as_text=True).partition("@media")[0], "unreadable on white"
        assert "--accent: #ffd400" in sheet.get_data(as_text=True).partition("@media")[2]
    with opened(settings) as anyone:
        assert "brand.css" not in text_of(anyone, "/")
        assert "data-words" not in text_of(anyone, "/")


@pytest.mark.parametrize("accent", ["#000000", "#ffffff", "#ffd400", "#777777", "#00ff00", "#3b3ad6"])
def test_any_colour_can_be_read(accent: str) -> None:
    light, dark = re.findall(r"--accent: (#\w+); --bar: #\w+; --on-accent: (#\w+);", brand.stylesheet(accent))
    for (colour, above), grounds in ((light, brand.LIGHT), (dark, brand.DARK)):
        shown = tuple(int(colour[n : n + 2], 16) for n in (1, 3, 5))
        written = tuple(int(above[n : n + 2], 16) for n in (1, 3, 5))
        assert all(brand.contrast(shown, ground) >= 4.5 for ground in grounds)  # type: ignore[arg-type]
        assert brand.contrast(shown, written) >= 4.5  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "wrong", "cure"),
    [
        ("PAGE_ACCENT", "red", "#3b3ad6"),
        ("PAGE_ACCENT", "#fff; } body { display: none", "#3b3ad6"),
        ("PAGE_CURRENCY", "euro", "EUR"),
        ("PAGE_LOGO", "javascript:alert(1)", "logo.svg"),
        ("PAGE_LOGO", "https://x.example/a.svg; script-src *", "logo.svg"),
        ("PAGE_LANGUAGE", "fr", "'en' or 'de'"),
        ("PAGE_PRODUCT_URL", "javascript:alert('{product_id}')", "https://shop.example/p/{product_id}"),
        ("PAGE_PRODUCT_URL", "https://{product_id}/", "https://shop.example/p/{product_id}"),
        ("PAGE_PRODUCT_URL", "https://shop.example{product_id}/", "https://shop.example/p/{product_id}"),
        ("PAGE_PRODUCT_URL", "https://shop.example/p/", "https://shop.example/p/{product_id}"),
        ("PAGE_NAME", "x" * 61, "at most 60"),
        ("PAGE_ENGINEER", "yes", "'off' or 'on'"),
    ],
)
def test_looks_that_cannot_be_are_refused_with_the_cure(name: str, wrong: str, cure: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(cure)):
        load_settings({name: wrong}, environ={})


def said(pattern: str, *folders: str) -> set[str]:
    text = "".join(path.read_text() for folder in folders for path in sorted(PAGE.glob(folder)))
    return {found for one in re.findall(pattern, text) for found in one if found}


def test_every_text_is_there_in_every_language() -> None:
    templates = said(r'\bt\(\s*(?:"([^"]*)"|\'([^\']*)\')', "templates/imgsearch/*.html")
    templates |= said(r'\btn\("([^"]*)", "([^"]*)"', "templates/imgsearch/*.html")
    maps = re.findall(r"\bt\((\{[^}]*\})", "".join(p.read_text() for p in PAGE.glob("templates/imgsearch/*.html")))
    told = {text for one in maps for text in re.findall(r'(?:"\w+"|\d+): "([^"]+)"', one)}
    assert len(told) >= 10
    python = said(r'\bsay\("([^"]*)"()', "*.py") | said(r'label="([^"]*)"()', "view_models.py")
    shown = {
        "Best match",
        "Lowest price",
        "Highest price",
        "from",
        "to",
        "More like this",
        "Not like this",
        "This did not work",
    }
    shown |= said(r'\("[^"]*", "((?:Best|Price|Newest)[^"]*)"()\)', "templates/imgsearch/sort.html")
    shown |= {"best match first", "cheapest first", "dearest first", "newest first"}
    scripts = said(r'page\.t\((?:state \? )?"([^"]*)"(?: : "([^"]*)")?', "static/*.js")
    assert len(templates) > 100
    german = catalogue("de")
    assert templates | told | python | shown == set(german["page"])
    assert scripts == set(german["script"])
    for part in german.values():
        for text, translated in part.items():
            assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", translated)), text


def test_numbers_and_prices() -> None:
    dollars, euros = Wording("en", "USD"), Wording("de", "EUR")
    assert (dollars.price(1234.5), euros.price(1234.5)) == ("$1,234.50", "1.234,50\N{NBSP}€")
    assert (dollars.price(50, short=True), euros.price(50.5, short=True)) == ("$50", "50,50\N{NBSP}€")
    assert (Wording("en", "JPY").price(1234.0), Wording("de", "CHF").price(9.9)) == ("¥1,234", "9,90\N{NBSP}CHF")
    assert Wording().price(1e15) == "1,000,000,000,000,000.00"
    assert euros.number(12345) == "12.345"
    assert (
        wording(load_settings({"PAGE_LANGUAGE": "de"}, environ={})).count("1 product", "{n} products", 2)
        == "2 Produkte"
    )


def test_a_text_with_braces_is_put_in_as_it_is() -> None:
    assert Wording().say("Remove: {what}", what="{0.__class__} {x}") == "Remove: {0.__class__} {x}"


def test_which_filters_in_which_order(settings: Settings, shop: list[int]) -> None:
    def shown(**given: str) -> list[str]:
        with opened(settings, **given) as anyone:
            return re.findall(r'<fieldset id="facet-([^"]+)"', text_of(anyone, "/?q=red+shoe&max_price=100"))

    assert shown()[:3] == ["tenant", "price", "category"]
    assert shown(PAGE_FACETS="colour, price, category") == ["tenant", "a.colour", "price", "category"]
    assert shown(PAGE_FACETS="price,in_stock") == ["tenant", "price", "in_stock"]
    assert shown(PAGE_FACETS="category, nothing") == ["tenant", "category"]


def test_the_slider_goes_by_bands() -> None:
    bands = [{"low": 0.0, "high": 10.0}, {"low": 10.0, "high": 50.0}, {"low": 250.0, "high": None}]
    found = slider.slider(bands, None, None)
    assert found is not None
    assert found.edges == (0.0, 10.0, 50.0, 250.0, 500.0)
    assert (found.low, found.high, found.steps) == (0, 40, 40)
    found = slider.slider(bands, 5, 30)
    assert found is not None
    assert (found.low, found.high) == (5, 15)
    found = slider.slider(bands, 900, 1)
    assert found is not None
    assert found.low <= found.high <= found.steps
    assert slider.slider(bands[:1], None, None) is None, "one band is all there is"
    assert slider.slider([], 1, 2) is None


def host(settings: Settings, folder: Path) -> Flask:
    app = Flask("host", template_folder=str(folder))
    app.config.update(settings.environment())
    ImageSearch(app, url_prefix="/find", identify=lambda: EVERYBODY)
    return app


def test_a_host_overrides_templates_one_by_one(settings: Settings, shop: list[int], tmp_path: Path) -> None:
    own = tmp_path / "imgsearch"
    own.mkdir()
    (own / "card.html").write_text('<li class="card mine" data-image="{{ card.image_id }}">{{ card.title }}</li>')
    (own / "brand.html").write_text('<a href="/">Our shop</a>')
    app = host(settings, tmp_path)
    text = text_of(app.test_client(), "/find/?q=red+shoe")
    app.extensions["imgsearch"].close()
    assert "Our shop" in text
    assert text.count('class="card mine"') == 30
    assert 'id="filters"' in text, "the rest stays"


def test_serve_takes_templates_from_a_folder(settings: Settings, shop: list[int], tmp_path: Path) -> None:
    (tmp_path / "imgsearch").mkdir()
    (tmp_path / "imgsearch" / "brand.html").write_text("Our shop")
    with opened(settings, PAGE_TEMPLATES=str(tmp_path)) as anyone:
        assert "Our shop" in text_of(anyone, "/")


@pytest.mark.parametrize(
    "broken", ["{% if %}", "{{ nothing.here.at.all }}", "{{ 1 / 0 }}", "{% include 'gone.html' %}"]
)
@pytest.mark.parametrize("name", ["card.html", "frame.html"])
def test_a_broken_template_is_an_error_that_is_said_and_logged(
    name: str, broken: str, settings: Settings, shop: list[int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "imgsearch").mkdir()
    (tmp_path / "imgsearch" / name).write_text(broken)
    app = host(settings, tmp_path)
    answer = app.test_client().get("/find/?q=red+shoe", headers={"Accept": "text/html"})
    app.extensions["imgsearch"].close()
    assert answer.status_code == 500
    said = answer.get_data(as_text=True)
    assert "Traceback" not in said
    if name == "frame.html":
        assert json.loads(said)["code"] == "internal"
    else:
        assert 'data-code="internal"' in said
    assert "failed" in caplog.text


def test_suggestions(
    anyone: FlaskClient, client: FlaskClient, connection: Connection, shop: list[int], key_of: KeyOf
) -> None:
    connection.execute(
        "INSERT INTO imgsearch.product (tenant_id, product_id, title)"
        " SELECT tenant_id, product_id, 'Crimson sneaker ' || tenant_id FROM imgsearch.image"
    )

    def given(browser: FlaskClient, where: str) -> list[str]:
        answer = browser.get(where)
        assert answer.status_code == 200
        found: list[str] = answer.get_json()["suggestions"]
        return found

    assert given(anyone, "/suggest?q=crims")[0] == "crimson"
    assert len(given(anyone, "/suggest?q=crims")) <= 8
    for nothing in ("/suggest", "/suggest?q=", "/suggest?q=%00", "/suggest?q=" + "x" * 5000, "/suggest?q=%27%3B--"):
        assert given(anyone, nothing) == []
    client.post("/sign-in", data={"key": key_of("acme")})
    mine = given(client, "/suggest?q=crimson+sneaker")
    assert "Crimson sneaker acme" in mine
    assert not [one for one in mine if "bolt" in one]
    assert client.get("/suggest?q=crim&tenant=bolt").status_code == 403
