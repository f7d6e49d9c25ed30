"""The types of the fields of requests: each holds its caps, and says them in the OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypeAliasType

from imgsearch.http import caps


def _whole(value: Any) -> Any:
    """JSON writes a whole number also as 1.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def plain(value: Any, depth: int = 0) -> Any:
    """Return JSON that a database can hold as it is. Raises ValueError."""
    if depth > caps.DEPTH:
        raise ValueError(f"is nested deeper than {caps.DEPTH} levels")
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("contains the character U+0000")
        if len(value) > caps.VALUE:
            raise ValueError(f"contains a text of more than {caps.VALUE} characters")
    elif isinstance(value, dict):
        for name, inner in value.items():
            plain(name, depth + 1)
            if len(name) > caps.NAME:
                raise ValueError(f"contains a name of more than {caps.NAME} characters")
            plain(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            plain(inner, depth + 1)
    elif isinstance(value, int | float) and not abs(value) < 10**100:  # NaN is not, either
        raise ValueError("contains a number that is too large")
    return value


def _short_lists(value: Any) -> Any:
    """Return conditions whose lists are short enough. Raises ValueError."""
    if isinstance(value, list) and len(value) > caps.VALUES:
        raise ValueError(f"contains a list of {len(value)} values; at most {caps.VALUES} are allowed")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _short_lists(inner)
    return value


def within(largest: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a check that JSON takes at most so many bytes."""

    def check(value: dict[str, Any]) -> dict[str, Any]:
        if (size := len(json.dumps(value, ensure_ascii=False).encode())) > largest:
            raise ValueError(f"takes {size} bytes; at most {largest} are allowed")
        return value

    return check


def _small_tree(value: dict[str, Any]) -> dict[str, Any]:
    """Return a `condition` of few levels and conditions. Raises ValueError."""
    groups, conditions = _counted(value, 1)
    if conditions > caps.CONDITIONS:
        raise ValueError(f"has {conditions} conditions; at most {caps.CONDITIONS} are allowed")
    if groups > caps.GROUPS:
        raise ValueError(f"has {groups} groups and conditions; at most {caps.GROUPS} are allowed")
    return value


def _counted(node: Any, level: int) -> tuple[int, int]:
    """Return how many objects and how many conditions a tree has."""
    if not isinstance(node, dict):
        return 0, 1
    if level > caps.LEVELS:
        raise ValueError(f"is nested deeper than {caps.LEVELS} levels")
    groups, conditions = 1, 0
    for name, inner in node.items():
        parts = inner if name in {"any", "all"} and isinstance(inner, list) else [inner] if name == "not" else None
        counts = [(0, 1)] if parts is None else [_counted(one, level + 1) for one in parts]
        groups += sum(count for count, _ in counts)
        conditions += sum(count for _, count in counts)
    return groups, conditions


def _rising(value: list[float]) -> list[float]:
    """Return numbers each of which is larger than the one before. Raises ValueError."""
    if any(low >= high for low, high in pairwise(value)):
        raise ValueError("does not rise from each number to the next")
    return value


def _on_earth(value: list[float]) -> list[float]:
    """Return latitude, longitude and kilometres. Raises ValueError."""
    latitude, longitude, km = value
    if abs(latitude) > 90 or abs(longitude) > 180 or not 0 < km <= caps.KILOMETRES:
        raise ValueError(f"is no latitude, longitude (degrees) and distance up to {caps.KILOMETRES} km")
    return value


class OneOrMany:
    """Marks a list of which one value may also be sent alone."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda value: [value] if isinstance(value, str) else value, handler(source)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        many = handler(schema)
        return {"anyOf": [many["items"], many]}


Text = Annotated[str, Field(min_length=1, max_length=caps.NAME, pattern=r"^[^\u0000]+$")]
Words = Annotated[str, Field(min_length=1, max_length=caps.TEXT, pattern=r"^[^\u0000]+$")]
Url = Annotated[str, Field(max_length=caps.URL, pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[^\u0000]*$")]
Id = Annotated[int, Field(ge=1, le=caps.LARGEST_ID), BeforeValidator(_whole)]
K = Annotated[int, Field(ge=1, le=caps.K), BeforeValidator(_whole)]
Skip = Annotated[int, Field(ge=0, le=caps.SKIP), BeforeValidator(_whole)]
Position = Annotated[int, Field(ge=0, le=2**31 - 1), BeforeValidator(_whole)]
Price = Annotated[float, Field(ge=0, le=caps.PRICE)]
Distance = Annotated[float, Field(ge=0, le=2)]
Place = Annotated[list[float], Field(min_length=3, max_length=3), AfterValidator(_on_earth)]
# Named, so that what a page answers and what the next search takes are one type in the document.
Cursor = TypeAliasType(
    "Cursor", Annotated[str, Field(max_length=caps.CURSOR, description="Where a page ended; opaque. Send it as it is.")]
)
Weight = Annotated[float, Field(ge=0, le=caps.WEIGHT)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Boosts = TypeAliasType(
    "Boosts",
    Annotated[
        dict[str, float],
        Field(
            max_length=caps.BOOSTS,
            description="name → how far it may move a row: in_stock, or attributes.NAME.",
            examples=[{"in_stock": 0.05, "attributes.popularity": 0.1}],
        ),
        AfterValidator(plain),
    ],
)
Bands = TypeAliasType(
    "Bands",
    Annotated[
        list[Price],
        Field(
            min_length=1, max_length=caps.BANDS, description="Where each band begins; rising.", examples=[[0, 25, 50]]
        ),
        AfterValidator(_rising),
    ],
)
# Named, so that a generated client has one type of each.
Per = TypeAliasType("Per", Annotated[Literal["product", "image"], Field(description="What a row is.")])
Cutoff = TypeAliasType("Cutoff", Annotated[Literal["auto"], Field(description="Where a page ends by itself.")])
Names = Annotated[list[Text], Field(min_length=1, max_length=caps.ATTRIBUTES)]
Vector = Annotated[list[float], Field(min_length=1, max_length=caps.NUMBERS)]
ExampleWeight = Annotated[float, Field(ge=1 / caps.HEAVIEST_EXAMPLE, le=caps.HEAVIEST_EXAMPLE)]
Region = Annotated[
    list[float],
    Field(
        min_length=4,
        max_length=4,
        description="Only this part of the picture as it is shown: x, y, w, h from its upper left corner; four numbers "
        "of which none is above 1 are shares of its sides, others are pixels.",
    ),
]
Examples = Annotated[list[Id], Field(max_length=caps.EXAMPLES)]
Ids = Annotated[list[Id], Field(max_length=caps.IDS)]
ProductIds = Annotated[list[Text], Field(max_length=caps.IDS)]
Categories = Annotated[list[Text], Field(max_length=caps.CATEGORIES), OneOrMany()]
Title = Annotated[str, Field(max_length=caps.TITLE, pattern=r"^[^\u0000]*$")]
ProductWords = Annotated[str, Field(max_length=caps.PRODUCT_WORDS, pattern=r"^[^\u0000]*$")]
Code = Annotated[str, Field(min_length=1, max_length=caps.CODE, pattern=r"^[^\u0000]+$")]
Several = Annotated[
    list[Text], Field(max_length=caps.SEVERAL, description="Where it has several: `category` finds it by each of them.")
]
Codes = Annotated[list[Code], Field(max_length=caps.CODES)]
Attributes = TypeAliasType(
    "Attributes",
    Annotated[
        dict[str, Any],
        Field(description=f"Anything else to filter by: name → JSON, {caps.ATTRIBUTES_BYTES:,} bytes."),
        AfterValidator(plain),
        AfterValidator(within(caps.ATTRIBUTES_BYTES)),
    ],
)
AttributeFilters = TypeAliasType(
    "AttributeFilters",
    Annotated[
        dict[str, Any],
        Field(
            max_length=caps.ATTRIBUTES,
            description=f"name → value, [one, of] (at most {caps.VALUES}), or {{operator: value}} with is, not, in, "
            f"not_in, has, min, max, above, below, exists; {caps.FILTER_BYTES:,} bytes of JSON.",
            examples=[{"colour": "red", "size": {"min": 38}}],
        ),
        AfterValidator(plain),
        AfterValidator(_short_lists),
        AfterValidator(within(caps.FILTER_BYTES)),
    ],
)
Condition = TypeAliasType(
    "Condition",
    Annotated[
        dict[str, Any],
        Field(
            description='A tree of {"any": […]}, {"all": […]}, {"not": …} over columns and attributes: at most '
            f"{caps.CONDITIONS} conditions on {caps.LEVELS} levels, {caps.VALUES} values in a list, "
            f"{caps.FILTER_BYTES:,} bytes of JSON.",
            examples=[{"any": [{"category": "shoes"}, {"attributes.colour": ["red", "blue"]}]}],
        ),
        AfterValidator(plain),
        AfterValidator(_short_lists),
        AfterValidator(_small_tree),
        AfterValidator(within(caps.FILTER_BYTES)),
    ],
)
Margin = Annotated[
    int | None, Field(description="How far off the count is at most, in 95 of 100 cases; 0: not at all; null: unknown.")
]
