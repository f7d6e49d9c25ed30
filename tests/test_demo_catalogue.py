"""The demo catalogue: the same shop from the same seed, tenants of very different size, pictures that are real work."""

from __future__ import annotations

import io
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from imgsearch.dev.demo import catalogue, draw
from imgsearch.dev.demo.shapes import shape
from imgsearch.dev.demo.words import BACKGROUNDS, CATEGORIES, COLOURS, PATTERNS, Look, caption


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


@pytest.fixture(scope="module")
def shop() -> list[catalogue.Item]:
    return catalogue.items()


def test_the_same_seed_gives_the_same_shop_and_another_seed_another(shop: list[catalogue.Item]) -> None:
    assert len(shop) == 3000
    assert catalogue.items() == shop
    assert catalogue.items(100) == shop[:100]
    assert catalogue.items(100, seed=21) != shop[:100]


def test_the_same_item_gives_the_same_bytes(shop: list[catalogue.Item]) -> None:
    assert catalogue.draw(shop[5]) == catalogue.draw(shop[5])
    assert catalogue.draw(shop[5]) != catalogue.draw(shop[8])


def test_one_picture_per_tenant_product_and_position(shop: list[catalogue.Item]) -> None:
    keys = {(item.tenant_id, item.product_id, item.position) for item in shop}
    assert len(keys) == len(shop)


def test_pictures_of_a_product_differ_in_pose_alone(shop: list[catalogue.Item]) -> None:
    first, second = next((a, b) for a, b in pairwise(shop) if b.position == 1)
    assert (first.product_id, first.caption, first.price) == (second.product_id, second.caption, second.price)
    assert catalogue.draw(first) != catalogue.draw(second)


def test_tenants_have_very_different_sizes(shop: list[catalogue.Item]) -> None:
    sizes = Counter(item.tenant_id for item in shop)
    assert set(sizes) == set(catalogue.TENANTS)
    for tenant, share in catalogue.TENANTS.items():
        assert sizes[tenant] / len(shop) == pytest.approx(share, abs=0.04)
    assert sizes["dune"] >= 20


def test_prices_keep_to_their_category(shop: list[catalogue.Item]) -> None:
    for item in shop:
        low, high = CATEGORIES[item.category].price
        assert low <= item.price <= high
        assert round(item.price, 2) == item.price


def test_every_category_is_sold_and_has_words_prices_and_a_shape(shop: list[catalogue.Item]) -> None:
    assert {item.category for item in shop} == set(CATEGORIES)
    for name in CATEGORIES:
        assert shape(name)
        assert name in CATEGORIES[name].plurals or f"toy {name}" in CATEGORIES[name].plurals


def test_the_search_of_the_readme_has_pages_of_matches(shop: list[catalogue.Item]) -> None:
    matches = [
        item
        for item in shop
        if item.tenant_id == "acme"
        and item.category == "shoes"
        and item.price < 50
        and item.attributes["colour"] == "red"
    ]
    assert len(matches) >= 20


def test_captions_say_what_can_be_seen() -> None:
    assert caption(Look("shoes", "red", "dotted", "white", "grass")) == "red canvas shoe with white dots on grass"
    assert caption(Look("lamps", "blue", "plain", None, "wood")) == "plain blue lamp on a wooden table"


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_draws_a_large_jpeg(category: str) -> None:
    patterns, grounds = list(PATTERNS), list(BACKGROUNDS)
    turn = list(CATEGORIES).index(category)
    look = Look(category, list(COLOURS)[turn % 12], patterns[1 + turn % 5], "grey", grounds[turn % 6])
    picture = opened(draw.jpeg(look, seed=turn))
    assert (picture.format, picture.mode) == ("JPEG", "RGB")
    assert min(picture.size) == draw.SIDE


def test_the_product_colour_is_the_main_colour_of_the_product() -> None:
    for pattern in PATTERNS:
        other = None if pattern == "plain" else "blue"
        pixels = np.asarray(draw.picture(Look("shirts", "red", pattern, other, "white"), seed=1), dtype=int)
        red = (pixels[:, :, 0] > pixels[:, :, 2] + 80).sum()
        blue = (pixels[:, :, 2] > pixels[:, :, 0] + 80).sum()
        assert red > 1.3 * blue, pattern
        assert (blue > 0) == (other is not None), pattern


def test_an_unknown_word_is_an_error() -> None:
    with pytest.raises(KeyError, match="spaceship"):
        draw.picture(Look("spaceship", "red", "plain", None, "white"), seed=1)
