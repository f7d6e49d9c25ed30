"""From a request to what is asked: JSON bodies, and forms of files with their JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import request
from werkzeug.datastructures import FileStorage

from imgsearch.http import requests
from imgsearch.http.problem import Problem, bad_request
from imgsearch.http.requests import ImageFields, Model, NewImage
from imgsearch.http.search_request import SearchRequest


@dataclass(frozen=True, kw_only=True)
class NewPicture:
    """A picture to add: its bytes or its address, and what is stored beside it."""

    picture: bytes | str
    tenant: str | None
    fields: dict[str, Any]


def search() -> SearchRequest:
    """Read `POST /v1/search`: JSON, or a form with the file `picture` and the JSON in the field `request`."""
    given, files = _body(requests.Search)
    first = () if given.image_id is None else (given.image_id,)
    asked = SearchRequest(
        text=given.text,
        more=tuple(dict.fromkeys((*first, *given.more_like))),
        less=tuple(dict.fromkeys(given.less_like)),
        picture=_one_file(files),
        picture_url=given.picture_url,
        vector=None if given.vector is None else tuple(given.vector),
        filters=given.filters,
        k=given.k,
        skip=given.skip,
        after=given.after,
        max_distance=given.max_distance,
    )
    if not asked.likes:
        detail = "Ask for something: text, image_id, more_like, vector, picture_url, or the file picture."
        raise bad_request(detail, "query_error")
    return asked


def embed() -> SearchRequest:
    """Read `POST /v1/embed`: exactly one of text, picture_url, and the file `picture`."""
    given, files = _body(requests.Embed)
    asked = SearchRequest(text=given.text, picture=_one_file(files), picture_url=given.picture_url)
    if sum(one is not None for one in (asked.text, asked.picture, asked.picture_url)) != 1:
        raise bad_request("Send one of text, picture_url, and the file picture.", "query_error")
    return asked


def images() -> list[NewPicture]:
    """Read `POST /v1/images`: JSON with addresses, or a form with files."""
    if request.mimetype != "multipart/form-data":
        given, _ = _body(requests.Add)
        return [_new(one.url, one) for one in given.images]
    listed, files = _body(requests.AddFiles)
    if len(files or ()) != len(listed.images):
        raise bad_request(f"There are {len(files or ())} files and {len(listed.images)} objects in images.")
    return [_new(file.read(), one) for file, one in zip(files or (), listed.images, strict=True)]


def _body(model: type[Model]) -> tuple[Model, list[FileStorage] | None]:
    """Return the JSON of a request and, for a form, its files."""
    if request.mimetype == "multipart/form-data":
        unknown = sorted({*request.form} - {"request"} | {*request.files} - {"picture"})
        if unknown:
            raise bad_request(f"Unknown form field {unknown[0][:40]!r}. Known: picture, request.", "unknown_field")
        given = request.form.get("request") or "{}"
        return requests.parse(model, given.encode("utf-8", "surrogatepass")), request.files.getlist("picture")
    if request.mimetype != "application/json":
        detail = "Send application/json, or multipart/form-data with the file picture."
        raise Problem(415, "unsupported_media_type", detail)
    return requests.parse(model, request.get_data()), None


def _one_file(files: list[FileStorage] | None) -> bytes | None:
    if files is None:
        return None
    if len(files) != 1:
        raise bad_request("Send one file named picture.")
    return bytes(files[0].read())


def _new(picture: bytes | str, given: ImageFields | NewImage) -> NewPicture:
    fields = given.model_dump(exclude={"tenant", "url"})
    return NewPicture(picture=picture, tenant=given.tenant, fields={**fields, "attributes": given.attributes or {}})
