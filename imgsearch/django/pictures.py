"""Models whose rows are the pictures of others: `searchable(of="product")`.

Which row an image is stands in imgsearch.picture_source; its position is the row's place among the pictures of its
product, which changes as the shop sorts them: then only positions are written.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import connections
from django.db.models import F, Model, Q

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import driver
from imgsearch.django import failures, files, sources, uploads
from imgsearch.django.mapping import Searchable, key_text, mapping_for, resolve_path

_UNSORTED = 1 << 30  # and more: the places of pictures that were just added


class Outcome(NamedTuple):
    """Whether a file was read, and why that was not possible."""

    read: bool
    error: Exception | None = None


def keep_in_step(instance: Any, using: str, *, written: frozenset[str] = frozenset()) -> Outcome:
    """Add, replace, move or remove the image of a picture's row.

    What cannot be read is written down in imgsearch.failures. Raises the database's typed errors, UsageError.
    """
    mapping = mapping_for(type(instance))
    owner, photo = mapping.owner_of(instance), resolve_path(instance, mapping.photo or "")
    name = files.name_of(photo)
    if owner is None or not name:
        forget(instance, using)
        return Outcome(read=False)
    belongs = sources.place_of(owner)
    place: dict[str, Any] = belongs._asdict()
    sources.standing([sources.source_of(instance, using)], [belongs], using)
    there = find(instance, using)
    _lock(place, using)
    if there is not None and (there["tenant_id"], there["product_id"]) != belongs:
        _move(instance, there, place, using)
        there = find(instance, using)
    fresh = there is None or there["file"] != name or name in written or files.is_unread(there["uri"])
    error = None
    if fresh:
        position = there["position"] if there else _unsorted()
        error = _read(instance, owner, {**place, "position": position}, using)
    sort(type(instance), owner, using)
    return Outcome(fresh, error)


def forget(instance: Any, using: str) -> None:
    """Remove the image of a row, and close the gap."""
    sql.run(driver(connections[using]), "django_pictures", "forget", {"source": sources.source_of(instance, using)})
    owner = mapping_for(type(instance)).owner_of(instance)
    if owner is not None and owner.pk is not None:
        sort(type(instance), owner, using)


def find(instance: Any, using: str) -> Any:
    """Return tenant_id, image_id, product_id, position, uri and file of a row's image, None where it has none."""
    named = {"source": sources.source_of(instance, using)}
    found = sql.rows(driver(connections[using]), "django_pictures", "source", named)
    return found[0] if found else None


def follow(instance: Any, using: str, *, created: bool) -> None:
    """Keep images in step with a row that pictures belong to, or that lies on the way there."""
    if created:
        return
    uploads.refilter(instance, using=using)
    for model in _pictured_by(type(instance)):
        mapping = mapping_for(model)
        kind = sources.kind_of(model, using)
        rows = {f"{kind}{key_text(row.pk)}": row for row in _rows_through(model, instance, using)}
        known = sql.rows(driver(connections[using]), "django_pictures", "products_of", {"sources": list(rows)})
        stand = {one["source"]: (one["tenant_id"], one["product_id"]) for one in known}
        for source, row in rows.items():
            owner = mapping.owner_of(row)
            if owner is not None and stand.get(source) != sources.place_of(owner):
                keep_in_step(row, using)


def sort(model: type[Model], owner: Any, using: str) -> None:
    """Give the pictures of a product the places that their order in the shop says."""
    place, mapping = sources.place_of(owner)._asdict(), mapping_for(model)
    rows = model._base_manager.using(using).filter(_is_of(mapping.of, owner))  # noqa: SLF001
    keys = rows.order_by(*_order(mapping)).values_list("pk", flat=True)
    kind = sources.kind_of(model, using)
    lent = driver(connections[using])
    found = sql.rows(lent, "django_pictures", "places", place)
    ours = {row["source"]: row for row in found if (row["source"] or "").startswith(kind)}
    taken = {row["position"] for row in found} - {row["position"] for row in ours.values()}
    free = (n for n in range(len(found) + len(taken)) if n not in taken)
    wanted = [(ours[source], next(free)) for key in keys if (source := f"{kind}{key_text(key)}") in ours]
    moved = [(row["image_id"], to) for row, to in wanted if row["position"] != to]
    if moved:
        images, places = (list(column) for column in zip(*moved, strict=True))
        sql.run(lent, "django_pictures", "lift", {"tenant": place["tenant"], "images": images, "places": places})
        sql.run(lent, "django_pictures", "settle", {"tenant": place["tenant"], "images": images})


def models_on_the_way(model: type[Model]) -> set[type[Model]]:
    """Return the models that the paths of a picture's `of` pass and lead to."""
    return {target for path in mapping_for(model).of for _, target in _steps(model, path)}


def owners_beyond(instance: Any) -> Iterator[Any]:
    """Yield the rows that the pictures of this one rank in its place: of a variant, what it is a variant of."""
    for path in paths_beyond(instance, also_fallback=False):
        if (owner := resolve_path(instance, path)) is not None:
            yield owner


def paths_beyond(instance: Any, *, also_fallback: bool = True) -> set[str]:
    """Return the paths from a row to those that its pictures rank, or by whose pictures it is found."""
    found: set[str] = set()
    for model in _pictured_by(type(instance)):
        for path in mapping_for(model).of:
            ways = (path.removeprefix(way)[2:] for way, target in _steps(model, path) if _is_kind(instance, target))
            found.update(rest for rest in ways if rest)
    fallback = mapping_for(type(instance)).fallback
    return found | ({fallback} if fallback and also_fallback else set())


def key_at(instance: Any, path: str) -> Any:
    """Return the key of the row at a path of foreign keys, without reading that row where the key is here."""
    *way, last = path.split("__")
    row = resolve_path(instance, "__".join(way)) if way else instance
    return None if row is None else getattr(row, row._meta.get_field(last).attname)  # noqa: SLF001


def sources_of(instance: Any, using: str) -> list[str]:
    """Return what picture_source calls the pictures of a row, its first one first; of a picture, itself."""
    if mapping_for(type(instance)).of:
        return [sources.source_of(instance, using)]
    found: list[str] = []
    for model in _pictured_by(type(instance)):
        keys = _rows_through(model, instance, using).order_by(*_order(mapping_for(model))).values_list("pk", flat=True)
        found += [f"{sources.kind_of(model, using)}{key_text(key)}" for key in keys]
    return found


def _read(instance: Any, owner: Any, place: dict[str, Any], using: str) -> Exception | None:
    mapping = mapping_for(type(instance))
    photo = resolve_path(instance, mapping.photo or "")
    added: list[int] = []

    def write() -> None:
        added.append(uploads.put(owner, files.content_of(photo), position=place["position"], using=using).image_id)

    error = failures.attempt(using, write)
    image: int | None
    if error is None:
        image = added[0]
    else:
        image = failures.record(using, place, files.name_of(photo), error, failures.mend_of(instance))
    if image is not None:
        values = {
            "source": sources.source_of(instance, using),
            "image_id": image,
            "file": files.name_of(photo),
            **place,
        }
        sql.run(driver(connections[using]), "django_pictures", "remember", values)
    return error


def _order(mapping: Searchable) -> list[Any]:
    main = [F(mapping.main).desc(nulls_last=True)] if mapping.main else []
    return [*main, *(F(name).asc(nulls_last=True) for name in (mapping.position, "pk") if name)]


def _unsorted() -> int:
    return _UNSORTED + random.randrange(_UNSORTED)


def _move(instance: Any, there: Any, place: dict[str, Any], using: str) -> None:
    """Move the image of a row to the product that it is a picture of now; its file is not read again."""
    lent, source = driver(connections[using]), sources.source_of(instance, using)
    old = {"old_tenant": there["tenant_id"], "old_product": there["product_id"], "image_id": there["image_id"]}
    values = {"source": source, **place, **old, "position": _unsorted()}
    image = sql.value(lent, "django_source", "copy", values)
    sql.run(lent, "django_pictures", "forget", {"source": source})
    if image is not None:
        remembered = {"source": source, "image_id": image, "file": there["file"], **place}
        sql.run(lent, "django_pictures", "remember", remembered)


def _lock(place: dict[str, Any], using: str) -> None:
    sql.run(driver(connections[using]), "django_pictures", "lock", place)


def _is_of(paths: tuple[str, ...], owner: Any) -> Q:
    """Return the condition that a picture is of this row: the first path that leads somewhere leads to it."""
    found = Q()
    for n, path in enumerate(paths):
        found |= Q(**{path: owner.pk}) & Q(**{f"{earlier}__isnull": True for earlier in paths[:n]})
    return found


def _pictured_by(model: type[Model]) -> list[type[Model]]:
    """Return the models of pictures whose paths pass this one."""
    return [
        one
        for one in apps.get_models()
        if mapping_for(one).of and not one._meta.proxy and any(issubclass(model, way) for way in models_on_the_way(one))  # noqa: SLF001
    ]


def _rows_through(model: type[Model], instance: Any, using: str) -> Any:
    """Return the pictures whose paths pass a row."""
    through = Q()
    for path in mapping_for(model).of:
        for passed, target in _steps(model, path):
            if _is_kind(instance, target):
                through |= Q(**{passed: instance.pk})
    return model._base_manager.using(using).filter(through)  # noqa: SLF001


def _steps(model: type[Model], path: str) -> Iterator[tuple[str, type[Model]]]:
    """Yield each step of a path of foreign keys: the path so far, and the model it leads to."""
    passed: list[str] = []
    for name in path.split("__"):
        try:
            related = model._meta.get_field(name).related_model  # noqa: SLF001
        except FieldDoesNotExist:  # check_paths says so
            return
        if related is None or isinstance(related, str):
            return
        passed.append(name)
        model = related
        yield "__".join(passed), model


def _is_kind(instance: Any, model: type[Model]) -> bool:
    return issubclass(type(instance), model._meta.concrete_model)  # noqa: SLF001
