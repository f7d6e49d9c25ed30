"""What `similar_to()` was asked, kept with the query until it is evaluated: anything Django has → vector."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.core.files.base import File
from django.db import connections
from django.db.models import Model

from imgsearch import query as questions
from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.django import pictures, site
from imgsearch.django.mapping import Searchable, mapping_for, resolve_path
from imgsearch.errors import QueryError, UnknownImage
from imgsearch.picture.region import Region
from imgsearch.query import Crop, ImageId, ProductId, Resolved
from imgsearch.retrieval.template import checked_distance


@dataclass(frozen=True, kw_only=True)
class Similar:
    """A question about rows of a model; can be pickled with its queryset."""

    question: Any
    searchable: Searchable
    tenant: str | None
    max_distance: float | None
    region: Region | None = None
    duplicates: bool | None = None  # False: none that are marked as the same as another; True: nothing else

    def resolve(self) -> Resolved:
        """Return the vector, asking a worker if need be. Asks the primary: a replica cannot take a question."""
        connection = connections[site.alias()]
        question = self.question
        if isinstance(question, Model) and self.region is None:
            return _of_instance(connection, question)
        if isinstance(question, Model):
            question = ImageId(shown) if (shown := _of_instance(connection, question).image_id) else question
        if is_several(question):
            question = [(_of_instance(connection, x) if isinstance(x, Model) else x, weight) for x, weight in question]
        settings = site.settings()
        return questions.resolve(
            connection,
            question,
            timeout=settings.query_timeout,
            tenant=self.tenant,
            notify=site.notify_query_workers,
            primary=settings.primary_url,
            region=self.region,
        )


def similar_for(
    model: type[Model],
    query: Any,
    tenant: str | None,
    max_distance: float | None,
    region: Sequence[float] | None = None,
    duplicates: bool | None = None,
) -> Similar:
    """Return the question as it can be kept: files are read now. Raises QueryError for what cannot be asked."""
    asked = Similar(
        question=query,
        searchable=mapping_for(model),
        tenant=tenant,
        max_distance=checked_distance(max_distance),
        region=None if region is None else Region.of(region),
        duplicates=duplicates,
    )
    if is_several(query):
        things = [(similar_for(model, thing, tenant, max_distance).question, weight) for thing, weight in query]
        return replace(asked, question=things)
    if isinstance(query, Model):
        if query.pk is None:
            raise QueryError("This instance was not saved yet, so it has no image; save it first.")
        return asked
    if isinstance(query, File) or hasattr(query, "read"):
        return replace(asked, question=_content(query))
    if hasattr(query, "save") and hasattr(query, "tobytes"):  # a Pillow image
        return replace(asked, question=_encoded(query))
    if isinstance(query, str | bytes | Path | Crop | ImageId | ProductId | Resolved) or hasattr(query, "__len__"):
        return asked
    raise QueryError(
        f"{type(query).__name__} is not a query; use a text, a picture, an uploaded file, Crop, ImageId, ProductId, a "
        "saved instance or a vector."
    )


def is_several(query: Any) -> bool:
    """Return whether this is a list of (thing, weight)."""
    return isinstance(query, list | tuple) and bool(query) and isinstance(query[0], tuple)


def asked_rows(query: Any, model: type[Model]) -> list[Any]:
    """Return the keys of rows of `model` that are asked by: they are no answers, nor is what shows their pictures."""
    things = [thing for thing, _ in query] if is_several(query) else [query]
    return [key for thing in things if isinstance(thing, Model) for key in _keys(thing, model)]


def _keys(instance: Any, model: type[Model]) -> Iterator[Any]:
    mapping = mapping_for(type(instance))
    if is_row_of(instance, model):
        yield instance.pk
    for path in pictures.paths_beyond(instance):
        if (key := pictures.key_at(instance, path)) is not None:
            yield key
    if mapping.of and (owner := mapping.owner_of(instance)) is not None and is_row_of(owner, model):
        yield owner.pk


def is_row_of(instance: Any, model: Any) -> bool:
    """Return whether an instance is a row of a model, also where either is a proxy or a child table of the other."""
    kinds = type(instance), model
    one, other = (kind._meta.concrete_model for kind in kinds)  # noqa: SLF001
    return issubclass(one, other) or issubclass(other, one)


def _of_instance(connection: Connectable, instance: Model) -> Resolved:
    mapping, began = mapping_for(type(instance)), time.perf_counter()
    if mapping.pictures:
        return questions.resolve(connection, ImageId(instance.pk), tenant=mapping.tenant_of(instance))
    found: Any = None
    if not mapping.of:
        values = {"tenant": mapping.tenant_of(instance), "product": mapping.product_of(instance)}
        found = _first(connection, "first_picture", values)
    if found is None and (sources := pictures.sources_of(instance, site.alias())):
        found = _first(connection, "first_of_sources", {"sources": sources})
    if found is None:
        other = resolve_path(instance, mapping.fallback) if mapping.fallback else None
        if other is not None:
            return _of_instance(connection, other)
        raise UnknownImage(
            f"{instance} has no embedded image yet; look at imgsearch.status. A row that is found by the pictures of "
            'another, as a variant is, names it: @searchable(fallback="parent").'
        )
    return Resolved(
        vector=found["embedding"],
        space_id=found["space_id"],
        source="image",
        took_ms=(time.perf_counter() - began) * 1000,
        kind="image",
        image_id=found["image_id"],
    )


def _first(connection: Connectable, statement: str, values: dict[str, Any]) -> Any:
    found = sql.rows(driver(connection), "django", statement, values)
    return found[0] if found else None


def _content(file: Any) -> bytes:
    try:
        file.seek(0)
        content = file.read()
        file.seek(0)
    except (OSError, ValueError) as error:
        raise QueryError(f"The picture cannot be read ({error}); upload it again.") from error
    if not isinstance(content, bytes):
        raise QueryError("The file is open as text; open it as binary, or pass its path.")
    return content


def _encoded(picture: Any) -> bytes:
    from io import BytesIO

    out = BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
