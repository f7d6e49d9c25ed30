"""Names and paths that `@searchable` was given, walked through the models: what `manage.py check` says of them.

A path is a chain of foreign keys that ends in a field, or anywhere in a Python property, whose value is taken as it is.
"""

from __future__ import annotations

import datetime
import inspect
import uuid
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models.fields.related_descriptors import ManyToManyDescriptor, ReverseManyToOneDescriptor
from django.db.models.manager import ManagerDescriptor

from imgsearch.django.mapping import Searchable, mapping_for

_NUMBERS = (models.IntegerField, models.DecimalField, models.FloatField)
_PHOTOS = (models.FileField, models.CharField, models.TextField)
# What Python makes of a field's value: a path may go on to an attribute of it.
_VALUES: tuple[tuple[type[models.Field], type], ...] = (
    (models.DateTimeField, datetime.datetime),
    (models.DateField, datetime.date),
    (models.UUIDField, uuid.UUID),
)
_IN_DATABASE = frozenset({"tenant", "position", "main"})  # statements name these, so they are columns


class Wrong(NamedTuple):
    """What is wrong with a path, what to do, and its code."""

    code: str
    message: str
    hint: str


class _End(NamedTuple):
    """Where a path ends: a field, or None for a value that only Python knows."""

    field: Any = None


def wrong_paths(model: type[models.Model]) -> Iterator[Wrong]:
    """Yield what is wrong with the names that a model was decorated with."""
    mapping = mapping_for(model)
    for argument, path in mapping.paths():
        found = _walk(model, path, argument)
        yield from [found] if isinstance(found, Wrong) else _unfit(model, argument, path, found)
    for name in mapping.colliding:
        meant = f'{{"{name}": …, "other_{name}": …}}'
        yield Wrong("E014", f"Two attributes would be called {name}.", f"Name them: attributes={meant}.")
    yield from _unfit_together(model, mapping)


def _walk(model: type[models.Model], path: str, argument: str) -> _End | Wrong:
    """Return where a path ends, or why it does not."""
    names = path.split("__")
    for n, name in enumerate(names):
        said = f"{argument}={path!r}: "
        try:
            field = model._meta.pk if name == "pk" else model._meta.get_field(name)  # noqa: SLF001
        except FieldDoesNotExist:
            return _python_value(model, name, said, argument)
        if field.is_relation and name != field.name and name in {"pk", getattr(field, "attname", None)}:
            return _key_alone(field, names[n + 1 :], said)
        if field.is_relation and field.related_model is None:
            return _End()  # a generic foreign key, to any model: only its values tell
        accessor = field.get_accessor_name() if field.auto_created and field.is_relation else name
        if (field.one_to_many or field.many_to_many) and (argument != "categories" or accessor != name):
            return _many(model, name, said, argument, accessor)
        if n == len(names) - 1:
            return _End(field=field)
        if not field.is_relation:
            return _value_of(field, names[n + 1 :], said, model)
        model = field.related_model
    raise AssertionError("a path has a last name")


def _key_alone(field: Any, rest: list[str], said: str) -> _End | Wrong:
    """Return where a path ends that names the column of a foreign key: in what it holds."""
    if rest:
        further = "__".join([field.name, *rest])
        return Wrong("E011", f"{said}{field.attname} is the key alone: the path ends there.", f"Write {further}.")
    while field.is_relation:
        field = field.target_field
    return _End(field=field)


def _value_of(field: Any, rest: list[str], said: str, model: type[models.Model]) -> _End | Wrong:
    """Return where a path ends that goes on behind a field: in an attribute of what Python makes of its value."""
    kind = getattr(field, "attr_class", None) or next((k for f, k in _VALUES if isinstance(field, f)), None)
    if kind is not None and len(rest) == 1 and (hasattr(kind, rest[0]) or rest[0] == "name"):
        return _End()
    message = f"{said}{model._meta.label}.{field.name} is a {type(field).__name__}, no relation: the path ends there."  # noqa: SLF001
    return Wrong("E011", message, f"End it there, or name a property of {model.__name__} that returns the value.")


def _python_value(model: type[models.Model], name: str, said: str, argument: str) -> _End | Wrong:
    found = inspect.getattr_static(model, name, None)
    if isinstance(found, ManyToManyDescriptor | ReverseManyToOneDescriptor | ManagerDescriptor):
        return _End() if argument == "categories" else _many(model, name, said, argument)
    if found is None:
        close = get_close_matches(name, [field.name for field in model._meta.get_fields()], 1)  # noqa: SLF001
        hint = f"Did you mean {close[0]!r}?" if close else "Name a field, a path such as category__name, or a property."
        return Wrong("E011", f"{said}{model._meta.label} has no {name!r}.", hint)  # noqa: SLF001
    if inspect.isroutine(found) or isinstance(found, staticmethod | classmethod):
        return Wrong("E011", f"{said}{name} is a method, not a value.", "Make it a @property.")
    return _End()


def _many(model: type[models.Model], name: str, said: str, argument: str, accessor: str = "") -> Wrong:
    if argument in {"photo", "of"}:
        hint = (
            "Pictures in a model of their own are decorated there: @searchable(of=<the foreign key to "
            f"{model.__name__}>, photo=…)."
        )
    elif argument == "categories":
        hint = f"Name it as Python does: {accessor}."
    else:
        hint = (
            f"Name a property of {model.__name__} that chooses one value, and call imgsearch.django.refilter() when "
            f"those rows change. To filter in Django nothing is needed: .filter({name}__…).similar_to(…) is exact."
        )
    return Wrong("E012", f"{said}{model._meta.label}.{name} leads to many rows, not to one value.", hint)  # noqa: SLF001


def _unfit(model: type[models.Model], argument: str, path: str, end: _End) -> Iterator[Wrong]:
    """Yield what a field cannot be used as."""
    said, field = f"{argument}={path!r}: ", end.field
    kind = type(field).__name__ if field is not None else ""
    if field is None:
        if argument in _IN_DATABASE | {"of", "fallback"}:
            yield Wrong("E015", f"{said}this is no field of the database.", "Statements name it: use a field.")
        return
    if argument == "photo" and not isinstance(field, _PHOTOS):
        yield Wrong(
            "E013", f"{said}a {kind} holds no picture.", "Use an ImageField, a FileField, or a text with a URL."
        )
    elif argument == "price" and not isinstance(field, _NUMBERS):
        yield Wrong("E015", f"{said}a {kind} is no number.", "Name a number, or a property that returns one.")
    elif argument in {"in_stock", "main"} and not isinstance(field, models.BooleanField):
        wanted = (
            f"a property: `return self.{path.replace('__', '.')} > 0`" if isinstance(field, _NUMBERS) else "a boolean"
        )
        yield Wrong("E015", f"{said}a {kind} is neither true nor false.", f"Name {wanted}.")
    elif argument in {"of", "fallback"} and not (field.many_to_one or field.one_to_one):
        yield Wrong("E015", f"{said}a {kind} is no foreign key.", f"Name the foreign key to the {_target(argument)}.")
    elif argument in {"tenant", "position"} and field.is_relation:
        yield Wrong("E015", f"{said}a relation is no value.", f"Name a field of it, as {path}__slug.")


def _unfit_together(model: type[models.Model], mapping: Searchable) -> Iterator[Wrong]:
    if mapping.fallback and "__" in mapping.fallback:
        yield Wrong("E015", f"fallback={mapping.fallback!r}: it is one foreign key.", "Name a key of the model itself.")
    ranked = {target for path in mapping.of if (target := _owner(model, path)) is not None}
    for target in ranked:
        if mapping_for(target).photo and not mapping_for(target).of:
            yield Wrong(
                "E016",
                f"of={mapping.of!r}: {target._meta.label} has a photo of its own in @searchable.",  # noqa: SLF001
                "A product's pictures come from one place: leave out photo= there, or of= here.",
            )


def _owner(model: Any, path: str) -> Any:
    for name in path.split("__"):
        try:
            model = model._meta.get_field(name).related_model  # noqa: SLF001
        except FieldDoesNotExist:
            return None
        if model is None:
            return None
    return model


def _target(argument: str) -> str:
    return "row whose picture it is" if argument == "of" else "row by whose pictures it is found"
