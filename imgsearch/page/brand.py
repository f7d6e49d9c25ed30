"""The looks of a shop: its colour as a small stylesheet of its own, since nothing inline is allowed on the page."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from urllib.parse import urlsplit

from flask import Blueprint, Response, url_for

from imgsearch.http import access
from imgsearch.http.state import AppState, app_state
from imgsearch.settings import Settings

Colour = tuple[int, int, int]
READABLE = 4.6  # contrast to what it stands on; WCAG 2.2 AA asks for 4.5
LIGHT = ((246, 246, 248), (236, 236, 253))  # paper and tint of page.css, where the accent stands on them
DARK = ((27, 29, 36), (40, 42, 72))
WHITE, BLACK = (255, 255, 255), (20, 20, 46)
FOR_EVER = "public, max-age=31536000, immutable"


def mount(blueprint: Blueprint) -> None:
    """Add the route."""
    blueprint.add_url_rule("/brand.css", "brand", access.public(show))


def show() -> Response:
    """Return the stylesheet that lays the shop's colour over those of the page."""
    made = Response(stylesheet(app_state().settings.page_accent), mimetype="text/css")
    made.headers["Cache-Control"] = FOR_EVER  # its address changes with it
    return made


def address(state: AppState) -> str | None:
    """Return the address of the stylesheet, None where the shop has no colour of its own."""
    accent = state.settings.page_accent
    return url_for("imgsearch_page.brand", v=sha256(stylesheet(accent).encode()).hexdigest()[:12]) if accent else None


def logo_origin(settings: Settings) -> str:
    """Return from where else than here pictures may come: the host of the logo, or nothing."""
    parts = urlsplit(settings.page_logo)
    return f" {parts.scheme}://{parts.netloc}" if parts.netloc else ""


@cache
def stylesheet(accent: str) -> str:
    """Return the names of page.css that depend on a colour (#rrggbb), for light and dark."""
    if not accent:
        return ""
    given = _parsed(accent)
    light, dark = _readable(given, LIGHT, BLACK), _readable(given, DARK, WHITE)
    return f":root {{ {_names(light)} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {_names(dark)} }} }}\n"


def contrast(one: Colour, other: Colour) -> float:
    """Return the contrast of two colours, 1 to 21. Source: WCAG 2.2, "contrast ratio" and "relative luminance"."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _names(accent: Colour) -> str:
    above = WHITE if contrast(WHITE, accent) >= contrast(BLACK, accent) else BLACK
    return f"--accent: {_written(accent)}; --bar: {_written(accent)}; --on-accent: {_written(above)};"


def _readable(colour: Colour, grounds: tuple[Colour, ...], towards: Colour) -> Colour:
    """Return the colour, moved towards another until it can be read on all grounds."""
    for step in range(101):
        found = tuple(round(a + (b - a) * step / 100) for a, b in zip(colour, towards, strict=True))
        if all(contrast(found, ground) >= READABLE for ground in grounds):  # type: ignore[arg-type]
            return found  # type: ignore[return-value]
    return towards


def _luminance(colour: Colour) -> float:
    parts = (part / 255 for part in colour)
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _parsed(text: str) -> Colour:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _written(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
