"""The columns that a ranked queryset has besides its own: how near a row is, and by which picture."""

from __future__ import annotations

from typing import Any

from django.db.models import BigIntegerField, Expression, FloatField
from django.db.models.fields import IntegerField, TextField

from imgsearch.django.template import Part, fill
from imgsearch.errors import FilterError

NEAREST = "imgsearch_nearest"


class Found(Expression):
    """A column of what the search found."""

    column: str

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        if not getattr(compiler.query, "ranks", False):
            raise FilterError(
                "A filter on distance cannot choose the candidates; pass similar_to(…, max_distance=0.5) instead, or "
                "choose first: similar_to(…).nearest(100).filter(distance__lt=0.5)."
            )
        return f"{connection.ops.quote_name(NEAREST)}.{connection.ops.quote_name(self.column)}", []

    def get_group_by_cols(self) -> list[Any]:
        return [self]


class Distance(Found):
    """The column `distance` of a ranked queryset."""

    column = "distance"
    output_field = FloatField()


class NearestImage(Found):
    """Its column `image_id`: the picture of the row that is that near."""

    column = "image_id"
    output_field = BigIntegerField()


class Told(NearestImage):
    """What the row of that picture says: an expression over it, looked up for the rows that are answered."""

    statement: str

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        image, _ = super().as_sql(compiler, connection)
        told = fill(self.statement, {"image_id": Part(image, ())})
        return told.sql, list(told.params)

    def get_group_by_cols(self) -> list[Any]:
        return [NearestImage()]


class NearestPosition(Told):
    """`position`: which picture of the row's it is."""

    statement = "position_of"
    output_field = IntegerField()


class NearestUri(Told):
    """`image_uri`: where its bytes are."""

    statement = "uri_of"
    output_field = TextField()
