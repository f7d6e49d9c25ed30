"""From a request to what is asked: JSON bodies, and forms of files with their JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import FileStorage

from imgsearch.http import caps, ids, requests
from imgsearch.http.changes import LINES, BulkAdd, BulkChange, BulkDelete, Changes
from imgsearch.http.problem import Problem, bad_request
from imgsearch.http.requests import ImageFields, Model, NewImage
from imgsearch.http.rerank import asked_of
from imgsearch.http.search_request import SearchRequest, Weighted
from imgsearch.picture.region import Region
from imgsearch.query import Crop, ImageId, ProductId

_NO_PICTURE = "A region is of one picture: of the file, of picture_url or of image_id; send exactly one of them."
_FORM = "multipart/form-data"
NDJSON = "application/x-ndjson"
Query = TypeVar("Query", bound=BaseModel)
Changing = TypeVar("Changing", bound=Changes)


@dataclass(frozen=True, kw_only=True)
class NewPicture:
    """A picture to add: its bytes or its address, and what is stored beside it."""

    picture: bytes | str
    tenant: str | None
    fields: dict[str, Any]


def search() -> SearchRequest:
    """Read `POST /v1/search`: JSON."""
    asked = _asked(_json(requests.Search))
    if not asked.likes:
        known = "text, image_id, product_id, more_like, like, vector or picture_url"
        raise bad_request(f"Ask for something: {known}.", "query_error")
    return asked


def search_upload() -> SearchRequest:
    """Read `POST /v1/search/upload`: a form with the file `picture` and the JSON in the field `request`."""
    given, files = _form(requests.SearchFields)
    return _asked(given, _one_file(files))


def choices() -> tuple[requests.Choices, SearchRequest]:
    """Read `POST /v1/choices`: which list, and its filters."""
    given = _json(requests.Choices)
    if (given.facet == "attribute") != (given.name is not None):
        raise bad_request("Name the attribute whose values to list, and only for the facet attribute.", "bad_request")
    return given, ids.taken_request(SearchRequest(filters=requests.filters_of(given)))


def embed() -> SearchRequest:
    """Read `POST /v1/embed`: exactly one of text and picture_url."""
    given = _json(requests.Embed)
    if (given.text is None) == (given.picture_url is None):
        raise bad_request("Send either text or picture_url.", "query_error")
    if given.text is not None and given.region is not None:
        raise bad_request(_NO_PICTURE, "region_error")
    return SearchRequest(text=given.text, picture_url=given.picture_url, region=_region(given.region))


def embed_upload() -> SearchRequest:
    """Read `POST /v1/embed/upload`: a form with the file `picture`."""
    given, files = _form(requests.EmbedFields)
    return SearchRequest(picture=_one_file(files), region=_region(given.region))


def images() -> list[NewPicture]:
    """Read `POST /v1/images`: JSON with addresses."""
    return [_new(one.url, one) for one in _json(requests.Add).images]


def images_upload() -> list[NewPicture]:
    """Read `POST /v1/images/upload`: a form with files and the JSON of each in the field `request`."""
    listed, files = _form(requests.AddFiles)
    if len(files) != len(listed.images):
        raise bad_request(f"There are {len(files)} files and {len(listed.images)} objects in images.")
    return [_new(file.read(), one) for file, one in zip(files, listed.images, strict=True)]


def changes(model: type[Changing]) -> dict[str, Any]:
    """Read a PATCH: what to change, by name."""
    given = _json(model).given
    if not given:
        raise bad_request(f"Name what to change: {', '.join(sorted(model.model_fields))}.")
    if any(name in given and given[name] is None for name in ("in_stock", "attributes", "vector", "space")):
        raise bad_request("in_stock is true or false, attributes an object, vector a list; leave out what is to stay.")
    return given


def body(model: type[Model]) -> Model:
    """Read a JSON object as it stands."""
    return _json(model)


def query(model: type[Query]) -> Query:
    """Read what stands behind the ? of an address."""
    try:
        return model.model_validate(request.args.to_dict())
    except ValidationError as error:
        raise requests.invalid(error, model) from error


def lines() -> list[tuple[int, BulkAdd | BulkChange | BulkDelete | Problem]]:
    """Read `POST /v1/images/bulk`: what each line asks, or what is wrong with it, with its number."""
    if request.mimetype != NDJSON:
        raise Problem(415, "unsupported_media_type", f"Send {NDJSON}: one JSON object on each line.")
    body = request.get_data()
    requests.count_values(body, caps.IMAGES_JSON_VALUES)
    found = [(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
    if not 1 <= len(found) <= caps.LINES:
        raise bad_request(f"There are {len(found)} lines; send 1 to {caps.LINES} at once.")
    return [(number, _line(line)) for number, line in found]


def _line(line: bytes) -> BulkAdd | BulkChange | BulkDelete | Problem:
    try:
        found = LINES.validate_json(line)
    except ValidationError as error:
        return requests.invalid(error, BulkChange)
    if isinstance(found, BulkChange) and not found.given:
        return bad_request("Name what to change, for example price or in_stock.")
    return found


def _asked(given: requests.SearchFields, picture: bytes | None = None) -> SearchRequest:
    first, region, parts = given.image_id, _region(given.region), list[Weighted]()
    if region is not None:
        if sum(one is not None for one in (picture, given.picture_url, first)) != 1:
            raise bad_request(_NO_PICTURE, "region_error")
        if first is not None:
            parts, first, region = [(Crop(ImageId(first), region), 1.0)], None, None
    product = () if given.product_id is None else ((ProductId(given.product_id), 1.0),)
    asked = SearchRequest(
        text=given.text,
        more=tuple(dict.fromkeys((*(() if first is None else (first,)), *given.more_like))),
        less=tuple(dict.fromkeys(given.less_like)),
        picture=picture,
        picture_url=given.picture_url,
        region=region,
        vector=None if given.vector is None else tuple(given.vector),
        like=(*parts, *product, *map(_weighted, given.like)),
        unlike=tuple(map(_weighted, given.unlike)),
        best=given.strategy == "best",
        filters=given.filters,
        ranking=given.ranking,
        k=given.k,
        skip=given.skip,
        after=given.after,
        max_distance=given.max_distance,
        facets=given.facets,
        rerank=asked_of(given.rerank),
    )
    return ids.taken_request(asked)


def _weighted(example: requests.Example) -> Weighted:
    """Return an example with its weight. Raises Problem unless it is exactly one thing."""
    things: list[str | Crop | ImageId | ProductId | tuple[float, ...]] = []
    if example.text is not None:
        things.append(example.text)
    if example.image_id is not None:
        image, region = ImageId(example.image_id), _region(example.region)
        things.append(image if region is None else Crop(image, region))
    elif example.region is not None:
        raise bad_request("The region of an example is of its image_id; name one.", "region_error")
    if example.product_id is not None:
        things.append(ProductId(example.product_id))
    if example.vector is not None:
        things.append(tuple(example.vector))
    if len(things) != 1:
        raise bad_request("An example is exactly one of text, image_id, product_id and vector.", "query_error")
    return things[0], example.weight


def _region(given: list[float] | None) -> Region | None:
    return None if given is None else Region.of(given)


def _json(model: type[Model]) -> Model:
    if request.mimetype != "application/json":
        detail = f"Send application/json; files go as {_FORM} to {request.path.rstrip('/')}/upload."
        raise Problem(415, "unsupported_media_type", detail)
    return requests.parse(model, request.get_data())


def _form(model: type[Model]) -> tuple[Model, list[FileStorage]]:
    files = _files("picture", "request")
    # Browsers and generated clients send a JSON part with a file name; then it stands among the files.
    parts = [text.encode("utf-8", "surrogatepass") for text in request.form.getlist("request")]
    parts += [part.read() for part in request.files.getlist("request")]
    if len(parts) > 1:
        raise bad_request("The form field request came several times; send it once.")
    return requests.parse(model, next(iter(parts), b"") or b"{}"), files


def _files(*known: str) -> list[FileStorage]:
    """Return the files `picture` of a form that has no other fields than those known."""
    if request.mimetype != _FORM:
        raise Problem(415, "unsupported_media_type", f"Send {_FORM} with the file picture.")
    if "picture" in request.form:
        raise bad_request("picture came as text: send it as a file, with a file name.", "unknown_field")
    unknown = sorted({*request.form, *request.files} - {*known})
    if unknown:
        raise bad_request(f"Unknown form field {unknown[0][:40]!r}. Known: {', '.join(known)}.", "unknown_field")
    return request.files.getlist("picture")


def _one_file(files: list[FileStorage]) -> bytes:
    if len(files) != 1:
        raise bad_request("Send one file named picture.")
    return bytes(files[0].read())


def _new(picture: bytes | str, given: ImageFields | NewImage) -> NewPicture:
    fields = given.model_dump(exclude={"tenant", "url"})
    return NewPicture(picture=picture, tenant=given.tenant, fields={**fields, "attributes": given.attributes or {}})
