"""The JSON that requests carry, as models: they check it, and they are its description in the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_type_hints

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.json_schema import SkipJsonSchema

from imgsearch.http import caps, fields
from imgsearch.http.problem import Problem, bad_request
from imgsearch.http.rerank import Steps
from imgsearch.retrieval import filters, ranking
from imgsearch.retrieval.filters import Filters
from imgsearch.retrieval.ranking import Ranking

Model = TypeVar("Model", bound="Body")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)  # to the end where it does not end: linear in any case


class Body(BaseModel):
    """A JSON object; a misspelt field must not silently match everything."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    largest: ClassVar[int] = caps.JSON_VALUES


# How each type of a field of `Filters` and `Ranking` travels in JSON; the fields themselves are named there alone.
_TYPES: dict[Any, Any] = {
    str: fields.Text,
    bool: bool,
    float: fields.Price,
    datetime: AwareDatetime,
    Sequence[str]: fields.ProductIds,
    Sequence[int]: fields.Ids,
    Sequence[float]: fields.Place,
}
_OWN_TYPES: dict[str, Any] = {
    "category": fields.Categories,
    "attributes": fields.AttributeFilters,
    "condition": fields.Condition,
    "per": fields.Per,
    "cutoff": fields.Cutoff,
    "words": fields.Words,
    "word_weight": fields.Weight,
    "look_weight": fields.Weight,
    "min_match": fields.Fraction,
    "boost": fields.Boosts,
    "diversity": fields.Fraction,
    "regions": fields.Fraction,
}


def _fields_of(value: type[Filters | Ranking], helps: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a value's dataclass as those of a model."""
    found = {}
    for name, hint in get_type_hints(value).items():
        kind = _OWN_TYPES.get(name) or next(_TYPES[one] for one in get_args(hint) if one in _TYPES)
        found[name] = (kind | None, Field(default=None, description=helps[name]))
    return found


FilterFields = create_model("FilterFields", __base__=Body, **_fields_of(Filters, filters.HELP))
RankingFields = create_model("RankingFields", __base__=Body, **_fields_of(Ranking, ranking.HELP))


class WantedFacets(Body):
    """Which counts come with an answer: of products, or of images where rows are images.

    Each says how many a further filter would leave; a facet's own filter does not count against its values.
    """

    category: bool = False
    in_stock: bool = False
    price: Annotated[bool | fields.Bands, Field(description="true, or where your own bands begin.")] = False
    attributes: Annotated[bool | fields.Names, Field(description="true: those worth choosing from; or these.")] = False
    exact: Annotated[bool, Field(description="Count all, also where very many match: slower, no `error`.")] = False

    @property
    def bands(self) -> list[float] | None:
        """The prices that bands begin at; None: the usual ones."""
        return None if isinstance(self.price, bool) else self.price

    @property
    def names(self) -> list[str] | None:
        """The attributes to count; None: those worth it."""
        if isinstance(self.attributes, bool):
            return None if self.attributes else []
        return self.attributes


class Example(Body):
    """Something liked or not: one of text, image_id, product_id (by all its pictures) and vector; its weight.

    region: only this part of the image.
    """

    text: fields.Words | None = None
    image_id: fields.Id | None = None
    region: fields.Region | None = None
    product_id: fields.Text | None = None
    vector: fields.Vector | None = None
    weight: fields.ExampleWeight = 1.0


Likes = Annotated[list[Example], Field(max_length=caps.LIKES)]


class SearchFields(FilterFields, RankingFields):  # type: ignore[valid-type,misc]
    """What to search by beside a file, which page, filters that narrow what is found, and how that is ranked and cut.

    Several together make one query. less_like means "not this": these images do not come back, and what looks like them
    comes later; what was asked for is still found.
    """

    text: fields.Words | None = None
    image_id: fields.Id | None = None
    product_id: Annotated[
        fields.Text | None, Field(description="Similar products, by all pictures of this one; itself it is left out.")
    ] = None
    more_like: fields.Examples = Field(default_factory=list)
    less_like: fields.Examples = Field(default_factory=list)
    like: Likes = Field(default_factory=list, description="What is liked; its products are left out.")
    unlike: Likes = Field(default_factory=list, description="What is not liked, with weights above 0; left out too.")
    strategy: Annotated[
        Literal["centroid", "best"] | None,
        Field(description="centroid, the default: near the middle of all examples; best: near to any of them."),
    ] = None
    vector: fields.Vector | None = None
    picture_url: fields.Url | None = None
    region: Annotated[fields.Region | None, Field(description="Of the file, of picture_url or of image_id.")] = None
    k: fields.K = 10
    skip: fields.Skip = 0
    after: fields.Cursor | None = None
    max_distance: fields.Distance | None = None
    facets: WantedFacets | None = None
    rerank: Steps | None = None

    @property
    def filters(self) -> Filters:
        """The filters alone."""
        return filters_of(self)

    @property
    def ranking(self) -> Ranking:
        """How what matches is ranked and cut."""
        return Ranking(**{name: getattr(self, name) for name in ranking.NAMES})


class Search(SearchFields):
    """A search by text, image_id, product_id, more_like, like, vector or picture_url; at least one of them.

    Several together make one query; less_like leads away. Filters narrow what is found.
    """

    # Nothing to search by, as a schema; said with `not`, because generators make a union of types out of anyOf.
    model_config = ConfigDict(
        json_schema_extra={
            "not": {
                "properties": {
                    **{name: {"type": "null"} for name in ("text", "image_id", "product_id", "vector", "picture_url")},
                    **{name: {"maxItems": 0} for name in ("more_like", "like")},
                }
            }
        }
    )


class Choices(FilterFields):  # type: ignore[valid-type,misc]
    """Which values of one facet to list: those of `category`, or of the attribute `name`, that contain a text."""

    facet: Literal["category", "attribute"]
    name: fields.Text | None = None
    contains: fields.Text | None = None
    k: fields.K = 100
    per: fields.Per = "product"


class EmbedFields(Body):
    """What of a file is embedded, where that is not all of it."""

    region: fields.Region | SkipJsonSchema[None] = None


class Embed(EmbedFields):
    """One text, or the address of one picture, and perhaps a region of it."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 2})

    text: fields.Words | SkipJsonSchema[None] = None
    picture_url: fields.Url | SkipJsonSchema[None] = None


class ImageFields(Body):
    """What is stored beside a picture. title, words and codes are its product's: left out, they stay as they are."""

    product_id: fields.Text
    tenant: fields.Text | None = None
    position: fields.Position = 0
    category: fields.Text | None = None
    categories: fields.Several | None = None
    price: fields.Price | None = None
    in_stock: bool = True
    attributes: fields.Attributes | None = None
    title: fields.Title | None = None
    words: fields.ProductWords | None = None
    codes: fields.Codes | None = None
    vector: Annotated[fields.Vector | None, Field(description="Its own, in `space`: a space no worker fills.")] = None
    space: Annotated[fields.Text | None, Field(description="Of the vector; left out: the only such space.")] = None


class NewImage(ImageFields):
    """One image by the address of its picture."""

    url: fields.Url


class Add(Body):
    """Images whose pictures are fetched later."""

    largest: ClassVar[int] = caps.IMAGES_JSON_VALUES
    images: Annotated[list[NewImage], Field(min_length=1, max_length=caps.IMAGES)]


class AddFiles(Body):
    """What is stored beside the files `picture` of a form: one object per file, in the same order."""

    largest: ClassVar[int] = caps.IMAGES_JSON_VALUES
    images: Annotated[list[ImageFields], Field(min_length=1, max_length=caps.IMAGES)]


def filters_of(given: BaseModel) -> Filters:
    """Return the filters among a model's fields."""
    return Filters(**{name: value for name in filters.NAMES if (value := getattr(given, name)) is not None})


def checked_filters(given: Mapping[str, Any]) -> Filters:
    """Return filters that came another way than as JSON, under the same caps. Raises Problem."""
    try:
        return filters_of(FilterFields.model_validate(given))
    except ValidationError as error:
        raise invalid(error, FilterFields) from error


def parse_filters(written: str) -> Filters:
    """Return filters that an address wrote as JSON, under the same caps. Raises Problem."""
    return filters_of(parse(FilterFields, written.encode("utf-8", "surrogatepass")))


def parse(model: type[Model], body: bytes) -> Model:
    """Return the JSON of a body as a model. Raises Problem."""
    count_values(body, model.largest)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error, model) from error


def count_values(body: bytes, largest: int) -> None:
    """Refuse JSON of too many values before it is parsed: one of three bytes takes a hundred then. Raises Problem."""
    bare = _STRING.sub(b"", body)
    if (values := sum(map(bare.count, (b",", b"[", b"{")))) > largest:
        raise bad_request(f"The JSON holds {values} values; at most {largest} are allowed.")


def invalid(error: ValidationError, model: type[BaseModel]) -> Problem:
    """Return what is wrong with a request: the first fault as a sentence, each with its path."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    first = faults[0]
    if first["type"] == "json_invalid" or (first["type"] == "model_type" and not first["loc"]):
        return Problem(400, "not_json", "The body is not a JSON object in UTF-8.")
    unknown = next((one for one in faults if one["type"] == "extra_forbidden"), None)
    code = "unknown_field" if unknown else "bad_request"
    listed = [{"path": _path(one["loc"]), "detail": one["msg"]} for one in faults[:20]]
    if unknown:
        known = ", ".join(sorted(model.model_fields)) if len(unknown["loc"]) == 1 else "those of the OpenAPI document"
        detail = f"Unknown field {str(unknown['loc'][-1])[:40]!r}. Known fields: {known}."
    else:
        detail = f"{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}."
    return Problem(400, code, detail, more={"errors": listed})


def _path(place: tuple[int | str, ...]) -> str:
    return "/" + "/".join(str(one)[:60] for one in place)
