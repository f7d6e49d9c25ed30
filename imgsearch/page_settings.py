"""The settings of the page: how it looks and speaks, where its products lead. They are part of `Settings`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

LANGUAGES = ("en", "de")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_PLACE = "{product_id}"
_ATTRIBUTE = "attributes."
_SIGNS = frozenset("\\\"'<>\r\n\t ;,")  # none of them stands in an address that is written whole


def _listed(text: object) -> object:
    return list(dict.fromkeys(one.strip() for one in text.split(",") if one.strip())) if isinstance(text, str) else text


def _colour(text: str) -> str:
    if text and not _COLOUR.fullmatch(text):
        raise ValueError("write a colour as #3b3ad6")
    return text.lower()


def _currency(text: str) -> str:
    if text and not _CURRENCY.fullmatch(text):
        raise ValueError("write the three letters of ISO 4217, as EUR")
    return text


def web_address(text: str) -> str | None:
    """Return an address that a page may lead to: http(s)://host/… or /…; None for anything else, javascript: as well.

    Browsers drop tabs and line breaks and read a backslash as a slash, so an address that holds them is none.
    """
    if not text or not _SIGNS.isdisjoint(text) or any(ord(sign) < 32 or ord(sign) == 127 for sign in text):
        return None
    if text.startswith("/") and not text.startswith("//"):
        return text
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return text if parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc else None


def _logo(text: str) -> str:
    if text and web_address(text) is None:
        raise ValueError("write https://shop.example/logo.svg, or a path on this host as /static/logo.svg")
    return text


def _product_url(text: str) -> str:
    if not text or (text.startswith(_ATTRIBUTE) and text != _ATTRIBUTE):
        return text
    host = text.partition(_PLACE)[0].split("://")[-1]
    if _PLACE not in text or "/" not in host or web_address(text.replace(_PLACE, "x")) is None:
        raise ValueError("write https://shop.example/p/{product_id}, or attributes.url for an attribute that holds it")
    return text


class PageSettings(BaseModel):
    """What a shop sets about its page."""

    page_name: str = Field("imgsearch", max_length=60, description="what the page calls itself")
    page_logo: Annotated[str, AfterValidator(_logo)] = Field(
        "", description="address of a logo, https://… or a path on this host; empty: the mark of imgsearch"
    )
    page_accent: Annotated[str, AfterValidator(_colour)] = Field(
        "", description="colour of buttons and links, as #3b3ad6; made darker or lighter where it could not be read"
    )
    page_language: Literal["en", "de"] = Field("en", description="language of the page and of its numbers: en, de")
    page_currency: Annotated[str, AfterValidator(_currency)] = Field(
        "", description="currency of all prices, as EUR; empty: plain numbers"
    )
    page_facets: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        (),
        description="which filters in which order, comma-separated: category, price, in_stock, names of attributes; "
        "empty: all, by how many products have them",
    )
    page_product_url: Annotated[str, AfterValidator(_product_url)] = Field(
        "",
        description="where a card leads: https://shop.example/p/{product_id}, or attributes.url for an attribute that "
        "holds the address; empty: to the page's own view of the product",
    )
    page_larger: Literal["on", "off"] = Field(
        "on",
        description="`on`: a product's pictures open as they were added, without metadata; `off`: thumbnails alone",
    )
    page_engineer: Literal["off", "on"] = Field(
        "off", description="`on`: the page shows SQL, distances and times; `off`: behind a button, for admins alone"
    )
    page_templates: Annotated[Path | None, BeforeValidator(lambda text: Path(str(text)).expanduser().absolute())] = (
        Field(None, description="folder of templates that stand before those of the page in `imgsearch serve`")
    )
