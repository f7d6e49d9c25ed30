"""The queryset with `similar_to()`: nearest images first, and still a queryset."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db.models import QuerySet
from django.db.models.expressions import F

from imgsearch.django import similar
from imgsearch.django.nearest import Chosen, Distance, NearestImage, NearestQuery
from imgsearch.errors import UsageError
from imgsearch.retrieval.template import LARGEST_PAGE


class ImageSearchQuerySet(QuerySet):
    """`Product.objects.filter(price__lt=50).similar_to("red canvas shoe")[:20]`: lazy, filterable, one statement.

    Use it as `objects = ImageSearchQuerySet.as_manager()`, or as a mixin before your own queryset's base.
    """

    def similar_to(self, query: Any, *, tenant: str | None = None, max_distance: float | None = None) -> Any:
        """Return the rows that have a picture, nearest to `query` first, each with `.distance` (cosine, 0 to 2) and
        `.image_id`, the picture that is that near (unless the model has a field of that name).

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
        if isinstance(self.query, NearestQuery):
            raise UsageError("This queryset is ranked already; call similar_to() once, with one query.")
        asked = [one.pk for one in similar.instances(query) if isinstance(one, self.model)]
        rows = self.exclude(pk__in=asked) if asked else self
        named = {"distance": Distance()} if _has(self.model, "image_id") else _COLUMNS
        ranked = rows.annotate(**named)
        ranked.query = ranked.query.chain(klass=NearestQuery)
        ranked.query.similar = similar.similar_for(self.model, query, tenant, max_distance)
        return super(ImageSearchQuerySet, ranked).order_by(F("distance").asc(), NearestImage().asc())

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

    def order_by(self, *names: Any) -> Any:
        if _ranked(self) and not names:  # Django's own get() asks for no order, and no order is as good as this one
            return self._chain()
        if _ranked(self):
            _refuse(
                "order_by()",
                "they are ordered by distance, and another order would make the page arbitrary; choose the best first: "
                'similar_to(…).nearest(100).order_by("price")',
            )
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
        if any(isinstance(one.query, NearestQuery) for one in (self, *others)):
            _refuse(
                f"{combinator}()", "distances of two queries cannot be compared; rank one queryset, filtered with Q"
            )
        return super()._combinator_query(combinator, *others, all=all)

    def update(self, **values: Any) -> Any:
        if isinstance(self.query, NearestQuery):
            _refuse("update()", "an UPDATE has no order; update filter(pk__in=[…]) of the page you read")
        return super().update(**values)

    def delete(self) -> Any:
        if isinstance(self.query, NearestQuery):
            _refuse("delete()", "a DELETE has no order; delete filter(pk__in=[…]) of the page you read")
        return super().delete()


_COLUMNS = {"distance": Distance(), "image_id": NearestImage()}


def _has(model: Any, name: str) -> bool:
    return any(name in (field.name, getattr(field, "attname", None)) for field in model._meta.get_fields())  # noqa: SLF001


def _ranked(queryset: Any) -> bool:
    """Return whether the distance says which rows are there: those that nearest() chose stay the same in any order."""
    return isinstance(queryset.query, NearestQuery) and queryset.query.chosen is None


def _refuse(what: str, why: str) -> NoReturn:
    raise UsageError(f"{what} does not go with similar_to(): {why}.")
