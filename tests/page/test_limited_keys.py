"""A browser that signed in with a key that has filters: a product shows those of its pictures that the key may see."""

from __future__ import annotations

import re

from flask.testing import FlaskClient

from tests.http.conftest import sign_in
from tests.http.test_search_keys import inside, key, outside

__all__ = ["inside", "key", "outside"]


def test_a_product_shows_the_pictures_within_a_keys_filters_alone(
    client: FlaskClient, key: str, inside: set[int], outside: list[int]
) -> None:
    sign_in(client, key)
    for where in ("/", "/?q=red+shoe"):
        text = client.get(where).get_data(as_text=True)
        shown = {int(one) for one in re.findall(r"/product\?image=(\d+)", text)}
        assert shown
        assert shown <= inside
        assert 'class="count">+' not in text
    for image in inside:
        view = client.get(f"/product?image={image}").get_data(as_text=True)
        assert {int(one) for one in re.findall(r"image=(\d+)", view)} <= inside
        assert "Picture 1 of 1" in view
    for image in outside:
        assert client.get(f"/product?image={image}").status_code == 404
