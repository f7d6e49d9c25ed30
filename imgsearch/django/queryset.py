"""The queryset with `similar_to()`: nearest images first, and still a queryset."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db.models import QuerySet
from django.db.models.expressions import F

from imgsearch.django import similar
from imgsearch.django.nearest import Distance, NearestQuery
from imgsearch.errors import UsageError


class ImageSearchQuerySet(QuerySet):
    """`Product.objects.filter(price__lt=50).similar_to("red canvas shoe")[:20]`: lazy, filterable, one statement.

    Use it as `objects = ImageSearchQuerySet.as_manager()`, or as a mixin before your own queryset's base.
    """

    def similar_to(self, query: Any, *, tenant: str | None = None, max_distance: float | None = None) -> Any:
        """Return the rows that have a picture, nearest to `query` first, each with `.distance` (cosine, 0 to 2).

        query: a text, a picture (bytes, Path, open or uploaded file), ImageId, a saved instance (which is then left
        out), a vector of the active space, or a list of (one of these, weight), below 0 for "not this". Filters before
        and after it are the candidates, slices are the page; a page holds `min(k, matches)` rows and each row once,
        with its nearest picture. `tenant` in place of the one that `@searchable` names. The query is embedded when the
        queryset is evaluated, before its statement.

        Raises UsageError for a queryset that cannot be ranked; when evaluated also QueryError, PictureError,
        UnknownImage, NoSpace, QueryTimeout.
        """
        if self.query.is_sliced or self.query.combinator or self.query.distinct_fields:
            raise UsageError("similar_to() ranks a whole queryset; call it before slicing, union() and distinct().")
        if _ranked(self):
            raise UsageError("This queryset is ranked already; call similar_to() once, with one query.")
        asked = [one.pk for one in similar.instances(query) if isinstance(one, self.model)]
        rows = self.exclude(pk__in=asked) if asked else self
        ranked = rows.annotate(distance=Distance())
        ranked.query = ranked.query.chain(klass=NearestQuery)
        ranked.query.similar = similar.similar_for(self.model, query, tenant, max_distance)
        return super(ImageSearchQuerySet, ranked).order_by(F("distance").asc())

    def order_by(self, *names: Any) -> Any:
        if _ranked(self) and not names:  # Django's own get() asks for no order, and no order is as good as this one
            return self._chain()
        if _ranked(self):
            _refuse("order_by()", "they are ordered by distance, and another order would make the page arbitrary")
        return super().order_by(*names)

    def reverse(self) -> Any:
        if _ranked(self):
            _refuse("reverse()", "the farthest images are found by no index")
        return super().reverse()

    def distinct(self, *names: Any) -> Any:
        if _ranked(self):
            _refuse("distinct()", "each row is there once already, with its nearest picture")
        return super().distinct(*names)

    def _combinator_query(self, combinator: str, *others: Any, all: bool = False) -> Any:  # noqa: A002  # Django's name
        if any(_ranked(one) for one in (self, *others)):
            _refuse(
                f"{combinator}()", "distances of two queries cannot be compared; rank one queryset, filtered with Q"
            )
        return super()._combinator_query(combinator, *others, all=all)

    def update(self, **values: Any) -> Any:
        if _ranked(self):
            _refuse("update()", "an UPDATE has no order; update filter(pk__in=[…]) of the page you read")
        return super().update(**values)

    def delete(self) -> Any:
        if _ranked(self):
            _refuse("delete()", "a DELETE has no order; delete filter(pk__in=[…]) of the page you read")
        return super().delete()


def _ranked(queryset: Any) -> bool:
    return isinstance(queryset.query, NearestQuery)


def _refuse(what: str, why: str) -> NoReturn:
    raise UsageError(f"{what} does not go with similar_to(): {why}.")
