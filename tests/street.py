"""Four products, and one photo that shows them all: what a region of a photo should find."""

from __future__ import annotations

import io
from typing import Any

import psycopg
from PIL import Image

from imgsearch.ingest import upload
from imgsearch.settings import Settings
from imgsearch.storage import open_store
from tests.processes import eventually

PARTS = {
    "red": (0.125, 0.125, 0.25, 0.25),
    "green": (0.625, 0.125, 0.25, 0.25),
    "blue": (0.125, 0.625, 0.25, 0.25),
    "grey": (0.625, 0.625, 0.25, 0.25),
}


def thing(colour: str) -> Image.Image:
    """A product, 100 x 80: a shape of its own in a colour of its own."""
    n = list(PARTS).index(colour)
    shown = Image.new("RGB", (100, 80), [(250, 20, 30), (20, 240, 40), (30, 20, 230), (90, 95, 85)][n])
    shown.paste((255, 255, 255), [(0, 0, 50, 40), (50, 40, 100, 80), (0, 60, 100, 80), (40, 0, 60, 80)][n])
    return shown


def product(colour: str) -> Image.Image:
    """Its picture: with as much room around it as a model is given around a region."""
    shown = Image.new("RGB", (130, 130), "white")
    shown.paste(thing(colour), (15, 25))
    return shown


def street() -> Image.Image:
    """Four products on one photo of 400 x 320."""
    scene = Image.new("RGB", (400, 320), "white")
    for n, colour in enumerate(PARTS):
        scene.paste(thing(colour), (50 + 200 * (n % 2), 40 + 160 * (n // 2)))
    return scene


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


PHOTO = png(street())


def stocked(settings: Settings, connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Add each product alone, and the photo of all four, of tenant acme; return {name: image_id} when all are ready."""
    store = open_store(settings.storage_url)
    pictures = {**{name: png(product(name)) for name in PARTS}, "street": PHOTO}
    found = {
        name: upload.add(connection, shown, product_id=name, tenant="acme", store=store).image_id
        for name, shown in pictures.items()
    }
    ready = "SELECT count(*) FROM imgsearch.vectors"
    eventually(lambda: connection.execute(ready).fetchone() == (5,), what="five vectors")
    return found
