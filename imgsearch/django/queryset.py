"""The queryset with `similar_to()`: nearest images first, and still a queryset."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NoReturn, cast

from django.core.exceptions import ValidationError
from django.db import connections
from django.db.models import Case, IntegerField, QuerySet, When
from django.db.models.expressions import F
from django.db.models.manager import BaseManager

from imgsearch.django import similar
from imgsearch.django.columns import (
    Distance,
    NearestImage,
    NearestPosition,
    NearestUri,
)
from imgsearch.django.mapping import key_parts, mapping_for
from imgsearch.django.nearest import Chosen, NearestQuery
from imgsearch.errors import UsageError
from imgsearch.retrieval.hits import Hit
from imgsearch.retrieval.template import LARGEST_PAGE


class ImageSearchQuerySet(QuerySet):
    """`Product.objects.filter(price__lt=50).similar_to("red canvas shoe")[:20]`: lazy, filterable, one statement.

    Use it as `objects = ImageSearchQuerySet.as_manager()`, or as a mixin before your own queryset's base.
    """

    def similar_to(
        self,
        query: Any,
        *,
        tenant: str | None = None,
        max_distance: float | None = None,
        region: Sequence[float] | None = None,
        duplicates: bool | None = None,
    ) -> Any:
        """Return the rows that have a picture, nearest to `query` first, each with `.distance` (cosine, 0 to 2) and
        which picture is that near: `.image_id`, `.position`, `.image_uri` (unless the model has a name like that).

        query: a text, a picture (bytes, Path, open or uploaded file), ImageId, a saved instance (which is then left
        out), a vector of the active space, or a list of (one of these, weight), below 0 for "not this". Filters before
        and after it are the candidates, slices are the page; a page holds `min(k, matches)` rows and each row once,
        with its nearest picture. Without a slice, and in count(), every candidate is compared: choose first, with
        nearest(), or count the queryset before. `tenant` in place of the one that `@searchable` names. The query is
        embedded when the queryset is evaluated, before its statement. `region`: only this part of the picture (or
        of the instance's) is meant, (x, y, w, h) in shares of its sides or in pixels. `duplicates`: False
        ranks no picture that is marked as certainly the same as another one, True those alone.

        Raises UsageError for a queryset that cannot be ranked; when evaluated also QueryError, PictureError,
        UnknownImage, NoSpace, QueryTimeout.
        """
        if self.query.is_sliced or self.query.combinator or self.query.distinct_fields:
            raise UsageError("similar_to() ranks a whole queryset; call it before slicing, union() and distinct().")
        if isinstance(self.query, NearestQuery):
            raise UsageError("This queryset is ranked already; call similar_to() once, with one query.")
        mapping = mapping_for(self.model)
        if mapping.of:
            owner = mapping.of[-1]
            name = self.model._meta.get_field(owner.split("__")[0]).related_model.__name__  # noqa: SLF001
            raise UsageError(f"{self.model.__name__} are pictures of others; rank {name}: each row tells its image_id.")
        asked = similar.asked_rows(query, self.model)
        rows = self.exclude(pk__in=asked) if asked else self
        question = similar.similar_for(self.model, query, tenant, max_distance, region, duplicates)
        told = {name: column for name, column in _TOLD.items() if not _has(self.model, name)}
        ranked = rows.annotate(distance=Distance(), **told)
        ranked.query = ranked.query.chain(klass=NearestQuery)
        ranked.query.similar = question
        return super(ImageSearchQuerySet, ranked).order_by(*_ORDER)

    def in_order_of(self, hits: Iterable[Hit]) -> Any:
        """Return the rows that a search found, in its order, as an ordinary queryset.

            hits = search(connection, "adidas samba 44", tenant="acme", sort="price", boost={"in_stock": 0.05})
            for product in Product.objects.in_order_of(hits): ...

        For what similar_to() does not take: words, cut, sort, boost, diversity and merchandise need the whole ranking,
        which is one statement of its own, and their filters are those of `imgsearch.search`. What is filtered here
        comes off the page. Rows that are gone are left out.
        """
        mapping = mapping_for(self.model)
        found = list(hits)
        if mapping.pictures:
            keys = [hit.image_id for hit in found]
        else:
            named = [hit.product_id for hit in found if hit.product_id.startswith(mapping.prefix)]
            keys = [key for one in named if (key := key_from(self.model, one.removeprefix(mapping.prefix))) is not None]
        keys = list(dict.fromkeys(form for key in keys for form in _forms(key)))
        places = [When(pk=key, then=place) for place, key in enumerate(keys)]
        rows = self.filter(pk__in=keys)
        if mapping.tenant and not mapping.pictures:
            rows = rows.filter(**{f"{mapping.tenant}__in": {form for hit in found for form in _forms(hit.tenant_id)}})
        return rows.order_by(Case(*places, default=len(keys), output_field=IntegerField())) if keys else rows.none()

    def nearest(self, most: int) -> Any:
        """Return the best `most` rows (1 to 1000) of a ranked queryset as an ordinary one.

        What comes later, `filter()`, `order_by("price")`, `count()`, a slice, is done with these rows alone. It stays
        lazy and one statement.

        Raises UsageError for a queryset that is not ranked, or sliced.
        """
        if not _ranked(self) or self.query.is_sliced:
            raise UsageError(
                "nearest() chooses among the rows that similar_to() ranked; call it behind that, unsliced."
            )
        if not 1 <= most <= LARGEST_PAGE:
            raise UsageError(f"nearest({most}): it must be from 1 to {LARGEST_PAGE}.")
        chosen = self._chain()
        chosen.query.chosen = Chosen(self.query.clone(), most)
        return chosen

    def annotate(self, *args: Any, **named: Any) -> Any:
        """As Django's. Counts per group, `values("category").annotate(n=Count("pk"))`, are of all rows that are ranked,
        or of those that nearest() chose: they have no distance, so any order may follow."""
        found = super().annotate(*args, **named)
        if isinstance(self.query, NearestQuery) and isinstance(found.query.group_by, tuple):
            found.query.chosen = found.query.chosen or Chosen(self.query.clone(), None)
            if found.query.order_by == _ORDER:
                found.query.clear_ordering(force=True)
        return found

    def order_by(self, *names: Any) -> Any:
        if _ranked(self) and not names:  # Django's own get() asks for no order, and no order is as good as this one
            return self._chain()
        if _ranked(self):
            _refuse(
                "order_by()",
                "they are ordered by distance, and another order would make the page arbitrary; choose the best first: "
                'similar_to(…).nearest(100).order_by("price"). '
                "A search() of a package orders, too: rank what it found, "
                "or search nearest(100)",
            )
        return super().order_by(*names)

    def reverse(self) -> Any:
        if _ranked(self):
            _refuse(
                "reverse()",
                "the farthest images are found by no index; turn the best round: similar_to(…).nearest(100).reverse()",
            )
        return super().reverse()

    def distinct(self, *names: Any) -> Any:
        if _ranked(self) and not names and self._fields is None:  # each row is there once already
            return self._chain()
        if _ranked(self):
            _refuse(
                "distinct() of columns",
                "each row is there once already, and has its own distance; take the columns of rows in no order: "
                'similar_to(…).nearest(100).order_by().values("category").distinct()',
            )
        return super().distinct(*names)

    def dates(self, *args: Any, **named: Any) -> Any:
        return super(ImageSearchQuerySet, self._whole()).dates(*args, **named)

    def datetimes(self, *args: Any, **named: Any) -> Any:
        return super(ImageSearchQuerySet, self._whole()).datetimes(*args, **named)

    def earliest(self, *fields: Any) -> Any:
        return super(ImageSearchQuerySet, self._whole()).earliest(*fields)

    def latest(self, *fields: Any) -> Any:
        return super(ImageSearchQuerySet, self._whole()).latest(*fields)

    def last(self) -> Any:
        return super(ImageSearchQuerySet, self._whole()).last()

    def _whole(self) -> Any:
        """Return every row that is ranked, for what is asked of all of them: each candidate is compared."""
        if not _ranked(self) or self.query.is_sliced:
            return self
        whole = self._chain()
        whole.query.chosen = Chosen(self.query.clone(), None)
        return whole

    def _combinator_query(self, combinator: str, *others: Any, all: bool = False) -> Any:  # noqa: A002  # Django's name
        if any(isinstance(one.query, NearestQuery) for one in (self, *others)):
            _refuse(
                f"{combinator}()", "distances of two queries cannot be compared; rank one queryset, filtered with Q"
            )
        return super()._combinator_query(combinator, *others, all=all)

    def update(self, **values: Any) -> Any:
        if isinstance(self.query, NearestQuery):
            _refuse("update()", "an UPDATE has no order; update filter(pk__in=[…]) of the page you read")
        return self._followed(lambda: super(ImageSearchQuerySet, self).update(**values), values)

    update.alters_data = True  # type: ignore[attr-defined]  # as Django's: no template calls it

    def _followed(self, write: Callable[[], Any], values: Iterable[str]) -> Any:
        """Write, and bring the images of these rows in step where what was written is mapped; no file is read."""
        mapping = mapping_for(self.model)
        mapped = {path.split("__")[0] for what, path in mapping.paths() if what != "photo"}
        fields = {self.model._meta.get_field(name).name for name in values if name != "pk"}  # noqa: SLF001
        if not mapping.photo or mapping.of or not mapped & fields or connections[self.db].vendor != "postgresql":
            return write()
        from imgsearch.django import failures, uploads

        self._for_write = True
        keys = list(self.values_list("pk", flat=True)) if self._fields is None else []
        changed = write()
        rows = self.model._base_manager.using(self.db).filter(pk__in=keys)  # noqa: SLF001
        error = failures.attempt(self.db, lambda: uploads.refilter(rows, using=self.db))
        if error is not None:
            failures.note_many("what update() changed", self.model, error)
        return changed

    def delete(self) -> Any:
        if isinstance(self.query, NearestQuery):
            _refuse("delete()", "a DELETE has no order; delete filter(pk__in=[…]) of the page you read")
        return super().delete()


def image_search(queryset: Any) -> Any:
    """Return a queryset of any class, or a manager's, with `similar_to()` and `nearest()`; its own methods stay.

    image_search(Product.objects.browsable()).similar_to("red shoe")
    image_search(category.product_set).similar_to(photo)
    """
    if not isinstance(queryset, BaseManager | QuerySet):
        raise UsageError(
            f"{type(queryset).__name__} is no queryset; rank first, search the page's rows then: "
            "image_search(Model.objects.filter(…)).similar_to(…)."
        )
    rows = queryset.all() if isinstance(queryset, BaseManager) else queryset._chain()  # noqa: SLF001
    kind: Any = type(rows)
    rows.__class__ = _mixed(kind)
    return rows


@cache
def _mixed(kind: type[QuerySet]) -> type[QuerySet]:
    if issubclass(kind, ImageSearchQuerySet):
        return kind
    # A class that is made here has no address, by which pickle would find it.
    return type(
        f"Pictured{kind.__name__}",
        (ImageSearchQuerySet, kind),
        {"__reduce__": lambda rows: (_bare, (kind,), rows.__getstate__())},
    )


def _bare(kind: type[QuerySet]) -> Any:
    return _mixed(cast("Any", kind))()


_TOLD = {"image_id": NearestImage(), "position": NearestPosition(), "image_uri": NearestUri()}
_ORDER = (F("distance").asc(), NearestImage().asc())


def key_from(model: Any, written: str) -> Any:
    """Return a primary key that stands in a product_id, a composite one as a tuple; None for what is none of these."""
    fields = getattr(model._meta, "pk_fields", None) or [model._meta.pk]  # noqa: SLF001
    parts = key_parts(written) if len(fields) > 1 else [written]
    if len(parts) != len(fields):
        return None
    try:
        key = tuple(field.to_python(part) for field, part in zip(fields, parts, strict=True))
    except ValidationError:
        return None
    return key if len(fields) > 1 else key[0]


def _forms(key: Any) -> tuple[Any, ...]:
    """Return a name as it is, and decomposed: images keep it composed, whatever the row holds."""
    if isinstance(key, tuple):
        return (key, tuple(_forms(part)[-1] for part in key))
    return (key, unicodedata.normalize("NFD", key)) if isinstance(key, str) else (key,)


def _has(model: Any, name: str) -> bool:
    """Return whether a model has a name that Django could not annotate, or an instance not take."""
    fields = model._meta.get_fields()  # noqa: SLF001
    return hasattr(model, name) or any(name in (field.name, getattr(field, "attname", None)) for field in fields)


def _ranked(queryset: Any) -> bool:
    """Return whether the distance says which rows are there: those that nearest() chose stay the same in any order."""
    return isinstance(queryset.query, NearestQuery) and queryset.query.chosen is None


def _refuse(what: str, why: str) -> NoReturn:
    raise UsageError(f"{what} does not go with similar_to(): {why}.")
