"""From a request to what was asked: JSON, multipart forms and addresses, each checked once, here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flask import request
from werkzeug.datastructures import FileStorage, MultiDict

from imgsearch.http import values
from imgsearch.http.problem import Problem, bad_request
from imgsearch.http.search_request import LARGEST_PAGE, MOST_CATEGORIES, MOST_EXAMPLES, Filters, SearchRequest
from imgsearch.query.resolution import MAX_TEXT

MOST_PARTS = 1000
MOST_NUMBERS = 4000  # halfvec's own limit of dimensions
LONGEST_URL = 4096
LARGEST_PRICE = 1e15
_FILTERS = frozenset({"tenant", "category", "min_price", "max_price", "in_stock", "attributes"})
_SEARCH = _FILTERS | {
    "text",
    "image_id",
    "more_like",
    "less_like",
    "vector",
    "picture_url",
    "k",
    "after",
    "max_distance",
}
_ADDED = frozenset({"product_id", "position", "category", "price", "in_stock", "attributes", "tenant"})
_EMBED = frozenset({"text", "picture_url"})


def search() -> SearchRequest:
    """Read `POST /v1/search`: JSON, or a form with the file `picture` and the JSON in the field `request`."""
    given, files = _body()
    values.only(given, _SEARCH)
    picture = _one_file(files)
    more = values.ids("more_like", given.get("more_like", []), MOST_EXAMPLES)
    if given.get("image_id") is not None:
        more = (values.whole("image_id", given["image_id"], 1, values.LARGEST_ID), *more)
    asked = SearchRequest(
        text=_maybe(given, "text", lambda name, value: values.text(name, value, MAX_TEXT)),
        more=tuple(dict.fromkeys(more)),
        less=values.ids("less_like", given.get("less_like", []), MOST_EXAMPLES),
        picture=picture,
        picture_url=_url(given),
        vector=_maybe(given, "vector", _vector),
        filters=_filters(given),
        k=values.whole("k", given.get("k", 10), 1, LARGEST_PAGE),
        after=_maybe(given, "after", _after),
        max_distance=_maybe(given, "max_distance", lambda name, value: values.number(name, value, 0, 2)),
    )
    if not asked.likes:
        detail = "Ask for something: text, image_id, more_like, vector, picture_url, or the file picture."
        raise bad_request(detail, "query_error")
    return asked


def embed() -> SearchRequest:
    """Read `POST /v1/embed`: exactly one of text, picture_url, and the file `picture`."""
    given, files = _body()
    values.only(given, _EMBED)
    asked = SearchRequest(
        text=_maybe(given, "text", lambda name, value: values.text(name, value, MAX_TEXT)),
        picture=_one_file(files),
        picture_url=_url(given),
    )
    if sum(one is not None for one in (asked.text, asked.picture, asked.picture_url)) != 1:
        raise bad_request("Send one of text, picture_url, and the file picture.", "query_error")
    return asked


def pictures() -> list[tuple[bytes | str, dict[str, Any]]]:
    """Read `POST /v1/images`: (bytes or address, fields) of each picture.

    JSON: {"images": [{"url": …, "product_id": …, …}]}. A form: files `picture`, and in the field `request` the JSON
    {"images": [{"product_id": …}, …]}, one object per file and in the same order.
    """
    given, files = _body()
    values.only(given, frozenset({"images"}))
    listed = given.get("images")
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST_PARTS or not all(map(_is_object, listed)):
        raise bad_request(f"Send images: a list of 1 to {MOST_PARTS} objects, one per picture.")
    if files is None:
        return [(_address(one), _fields(one, _ADDED | {"url"})) for one in listed]
    if len(files) != len(listed):
        raise bad_request(f"There are {len(files)} files and {len(listed)} objects in images; send as many of each.")
    return [(file.read(), _fields(one, _ADDED)) for file, one in zip(files, listed, strict=True)]


def filters_of(args: MultiDict[str, str]) -> Filters:
    """Read the filters of an address: category (repeated), min_price, …, and `a.colour=red` (repeated)."""
    wanted: dict[str, list[str]] = {}
    for name in args:
        if name.startswith("a.") and len(name) > 2:
            chosen = [values.text("An attribute", value) for value in args.getlist(name) if value]
            if chosen:
                wanted[values.text("An attribute", name[2:])] = chosen
    categories = [values.text("category", value) for value in args.getlist("category") if value]
    plain = {name: value for name, value in args.items() if value.strip()}
    return Filters(
        tenant=_maybe(plain, "tenant", values.text),
        categories=tuple(dict.fromkeys(categories)) or None,
        min_price=_maybe(plain, "min_price", _price_in),
        max_price=_maybe(plain, "max_price", _price_in),
        in_stock=_maybe(plain, "in_stock", values.truth_in),
        attributes={name: {"in": spelled} for name, chosen in wanted.items() if (spelled := spellings(chosen))},
    )


def spellings(chosen: Iterable[str]) -> list[Any]:
    """A value in an address is text; the attribute may be a number or a truth of the same spelling."""
    spelled: list[Any] = []
    for value in chosen:
        spelled.append(value)
        if value in {"true", "false"}:
            spelled.append(value == "true")
        else:
            try:
                spelled.append(values.number_in("An attribute", value))
            except Problem:
                continue
    return spelled


def _body() -> tuple[dict[str, Any], list[FileStorage] | None]:
    """Answer the JSON of a request and, for a form, its files."""
    if request.mimetype == "multipart/form-data":
        unknown = sorted({*request.form} - {"request"} | {*request.files} - {"picture"})
        if unknown:
            raise bad_request(f"The form has a part {unknown[0][:40]!r}; send picture and request.", "unknown_field")
        given = request.form.get("request")
        return values.document(given.encode("utf-8", "surrogatepass")) if given else {}, request.files.getlist(
            "picture"
        )
    if request.mimetype != "application/json":
        detail = "Send application/json, or multipart/form-data with the file picture."
        raise Problem(415, "unsupported_media_type", detail)
    return values.document(request.get_data()), None


def _one_file(files: list[FileStorage] | None) -> bytes | None:
    if files is None:
        return None
    if len(files) != 1:
        raise bad_request("Send one file named picture.")
    return bytes(files[0].read())


def _filters(given: Mapping[str, Any]) -> Filters:
    categories = given.get("category")
    if isinstance(categories, str):
        categories = [categories]
    if categories is not None:
        if not isinstance(categories, list) or len(categories) > MOST_CATEGORIES:
            raise bad_request(f"category must be a text, or a list of at most {MOST_CATEGORIES}.")
        categories = tuple(values.text("category", one) for one in categories)
    return Filters(
        tenant=_maybe(given, "tenant", values.text),
        categories=categories,
        min_price=_maybe(given, "min_price", _price),
        max_price=_maybe(given, "max_price", _price),
        in_stock=_maybe(given, "in_stock", _boolean),
        attributes=_maybe(given, "attributes", values.attributes) or {},
    )


def _fields(given: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    values.only(given, known)
    if "product_id" not in given:
        raise bad_request("Every picture needs a product_id: your key of the product it shows.")
    return {
        "product_id": values.text("product_id", given["product_id"]),
        "tenant": _maybe(given, "tenant", values.text),
        "position": values.whole("position", given.get("position", 0), 0, 2**31 - 1),
        "category": _maybe(given, "category", values.text),
        "price": _maybe(given, "price", _price),
        "in_stock": _boolean("in_stock", given.get("in_stock", True)),
        "attributes": _maybe(given, "attributes", values.attributes) or {},
    }


def _maybe(given: Mapping[str, Any], name: str, read: Any) -> Any:
    value = given.get(name)
    return None if value is None else read(name, value)


def _price(name: str, value: Any) -> float:
    return values.number(name, value, 0, LARGEST_PRICE)


def _price_in(name: str, written: str) -> float:
    return values.number_in(name, written, 0, LARGEST_PRICE)


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise bad_request(f"{name} must be true or false.")
    return value


def _vector(name: str, value: Any) -> tuple[float, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_NUMBERS:
        raise bad_request(f"{name} must be a list of 1 to {MOST_NUMBERS} numbers.")
    return tuple(values.number(name, one) for one in value)


def _after(name: str, value: Any) -> tuple[float, int]:
    if not isinstance(value, dict) or set(value) != {"distance", "image_id"}:
        raise bad_request(f"{name} must be the `after` of the page before: an object with distance and image_id.")
    distance = values.number(f"{name}.distance", value["distance"])
    return distance, values.whole(f"{name}.image_id", value["image_id"], 1, values.LARGEST_ID)


def _url(given: Mapping[str, Any]) -> str | None:
    return None if given.get("picture_url") is None else _web_address("picture_url", given["picture_url"])


def _address(given: Mapping[str, Any]) -> str:
    return _web_address("url", given.get("url"))


def _web_address(name: str, value: Any) -> str:
    url = values.text(name, value, LONGEST_URL)
    if not url.lower().startswith(("http://", "https://")):
        raise bad_request(f"{name} must be an http(s) address.")
    return url


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)
