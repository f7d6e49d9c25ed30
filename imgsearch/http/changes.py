"""The JSON that changes what is here, as models: changes of images and products, and the lines of a bulk request."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.json_schema import SkipJsonSchema

from imgsearch.http import caps, fields
from imgsearch.http.requests import Body, NewImage

_SOMETHING = ConfigDict(json_schema_extra={"minProperties": 1})


class Changes(Body):
    """What to change beside pictures: what is left out stays, null empties it.

    attributes are merged: a name with a value is set, one with null goes, the others stay.
    """

    model_config = _SOMETHING

    category: fields.Text | None = None
    categories: fields.Several | None = None
    price: fields.Price | None = None
    in_stock: bool | SkipJsonSchema[None] = None
    attributes: fields.Attributes | SkipJsonSchema[None] = None

    @property
    def given(self) -> dict[str, Any]:
        """What is to be changed, by name."""
        return {name: getattr(self, name) for name in self.model_fields_set if name in _CHANGES}


class ImageChanges(Changes):
    """What to change beside a picture, and the vector that is brought along for it: what is left out stays.

    attributes are merged: a name with a value is set, one with null goes, the others stay.
    """

    model_config = _SOMETHING

    vector: Annotated[
        fields.Vector | SkipJsonSchema[None], Field(description="Its own, in `space`: a space no worker fills.")
    ] = None
    space: Annotated[
        fields.Text | SkipJsonSchema[None], Field(description="Of the vector; left out: the only such space.")
    ] = None


class ProductChanges(Changes):
    """The same in all images of a product, and what the product is called."""

    model_config = _SOMETHING

    title: fields.Title | None = None
    words: fields.ProductWords | None = None
    codes: fields.Codes | None = None
    order: Annotated[
        Annotated[list[fields.Position], Field(max_length=caps.IMAGES)] | SkipJsonSchema[None],
        Field(description="Positions of its pictures that come first from now on: [3]."),
    ] = None


_CHANGES = frozenset({*ProductChanges.model_fields, *ImageChanges.model_fields})


class BulkAdd(NewImage):
    """A line that adds an image by its address, or replaces it."""

    action: Literal["add"]


class _Which(Body):
    product_id: fields.Text | None = None
    position: fields.Position | None = None
    image_id: fields.Id | None = None
    tenant: fields.Text | None = None


class BulkChange(_Which, ProductChanges, ImageChanges):
    """A line that changes images: of a product, one of them by its position, or one by its id."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 3})

    action: Literal["change"]


class BulkDelete(_Which):
    """A line that deletes images: of a product, one of them by its position, or one by its id."""

    action: Literal["delete"]


Line = Annotated[BulkAdd | BulkChange | BulkDelete, Field(discriminator="action")]
LINES: TypeAdapter[BulkAdd | BulkChange | BulkDelete] = TypeAdapter(Line)


class ListImages(BaseModel):
    """Which images to list, in the order they were added."""

    model_config = ConfigDict(extra="forbid")

    product_id: Annotated[fields.Text | None, Field(description="Only of this product.")] = None
    state: Annotated[
        Literal["any", "pending", "leased", "failed", "ready", "missing"], Field(description="Only in this state.")
    ] = "any"
    after: Annotated[fields.Cursor | None, Field(description="The `after` of the page before.")] = None
    k: Annotated[int, Field(ge=1, le=caps.K, description="How many.")] = 100
    tenant: Annotated[fields.Text | None, Field(description="Only of this tenant; a key has its own.")] = None


class OfTenant(BaseModel):
    """Whose product, where nobody's key says so."""

    model_config = ConfigDict(extra="forbid")

    tenant: Annotated[fields.Text | None, Field(description="Whose product; a key has its own.")] = None
