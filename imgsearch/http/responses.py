"""The JSON of responses, as models: what is sent, and its description in the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from imgsearch.http.fields import Cursor, Margin
from imgsearch.http.rerank import RerankSaid

ImageId = Annotated[
    int, Field(description="Identity of the image for this API key; what joins with SQL is product_id and position.")
]


class Sent(BaseModel):
    """A JSON object; every field is always there."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


Thumbnail = Annotated[
    str | None, Field(description="Address of a WebP of at most 320 pixels; it works for an hour or two.")
]
Categories = Annotated[list[str], Field(description="Where it has several: `category` finds it by each of them.")]


class OtherPicture(Sent):
    """Another picture of the same product."""

    image_id: ImageId
    thumbnail: Thumbnail


class Match(Sent):
    """One product by its nearest picture that matches; with `per` "image": one image."""

    image_id: ImageId
    product_id: str
    tenant_id: str
    distance: Annotated[float, Field(description="Cosine distance, from 0 (the same) to 2.")]
    title: str | None
    category: str | None
    categories: Categories
    price: float | None
    in_stock: bool
    attributes: dict[str, Any]
    thumbnail: Thumbnail
    match: Annotated[float | None, Field(description="The probability that it fits, where the model can tell.")]
    pictures: Annotated[
        int | None, Field(description="How many pictures the product has; null where a row is an image.")
    ]
    others: Annotated[list[OtherPicture], Field(description="The next best of them, whatever the filters are.")]
    after: Annotated[Cursor | None, Field(description="Send it as `after` to go on behind this row.")]
    look: Annotated[dict[str, Any] | None, Field(description="What the steps of `rerank` say of it, by their names.")]
    box: Annotated[list[float] | None, Field(description="With `regions`: the part that lies nearer, in shares.")]
    label: Annotated[str | None, Field(description="What that part is called, where it has a name.")]


class Took(Sent):
    """Milliseconds."""

    resolve: float
    sql: float
    facets: float


class Count(Sent):
    """A value, and how many products (or images) the filter on it would leave."""

    value: str
    count: int
    approximate: Annotated[bool, Field(description="Whether the count is scaled up from a part of what matches.")]
    error: Margin = None


class Band(Sent):
    """Prices from `low` to below `high` (null: and more), and how many products (or images) they would leave."""

    low: float
    high: float | None
    count: int
    approximate: bool
    error: Margin


class Facets(Sent):
    """The counts that were asked for; the others are empty."""

    category: list[Count]
    in_stock: list[Count]
    price: list[Band]
    attributes: dict[str, list[Count]]


class ChoiceList(Sent):
    """Values of one facet, those of most products first; `different` is how many there are in all."""

    different: int
    values: list[Count]


class Suggestion(Sent):
    """What somebody may be typing: words that go on like this, a title, or what several others asked."""

    text: str
    kind: Literal["question", "words", "title"]
    product_id: Annotated[str | None, Field(description="Whose title it is.")]


class Suggestions(Sent):
    """The likeliest first."""

    suggestions: list[Suggestion]


class Question(Sent):
    """What the query was, and where its vector came from."""

    kind: Literal["text", "picture", "image", "vector"]
    source: Literal["memory", "database", "worker", "image", "given"]
    truncated: Annotated[str | None, Field(description="What to tell people where not the whole text was read.")]
    boxes: Annotated[list[list[float]], Field(description="Of a picture: parts that may be meant, each as a region.")]


class Page(Sent):
    """The products (or images) that match, the best first. `complete` is false only where max_distance cut the page."""

    strategy: Literal["hnsw", "bits", "exact", "words"]
    complete: bool
    matches: Annotated[
        int,
        Field(
            description="Products (or images) that match the filters. Exact where `more` is false; where it is true "
            "this is a floor, and says nothing of how many there are."
        ),
    ]
    matching_images: Annotated[int, Field(description="The same in images.")]
    more: Annotated[bool, Field(description="Whether more than `matches` may match.")]
    took_ms: Took
    resolved: Question
    doubtful: Annotated[
        bool, Field(description="Whether every row is likelier not to fit than to fit; false where nobody can tell.")
    ]
    after: Annotated[Cursor | None, Field(description="Send it as `after` for the next page; null behind the last.")]
    thumbnails_expire_at: Annotated[
        datetime, Field(description="Until then the addresses of thumbnails work; then ask again.")
    ]
    rows: list[Match]
    facets: Annotated[Facets | None, Field(description="What `facets` asked for.")]
    reranked: Annotated[RerankSaid | None, Field(description="What came of `rerank`; null where it was not asked.")]


class Product(Sent):
    """One product by the first of its images that match."""

    image_id: ImageId
    product_id: str
    tenant_id: str
    title: str | None
    category: str | None
    categories: Categories
    price: float | None
    in_stock: bool
    attributes: dict[str, Any]
    thumbnail: Thumbnail
    pictures: Annotated[int, Field(description="How many of its pictures can be searched.")]
    others: Annotated[list[OtherPicture], Field(description="The first of the others, whatever the filters are.")]
    after: Annotated[Cursor, Field(description="Send it as `after` to go on behind this row.")]


class Products(Sent):
    """Products that match, in the order that was asked for."""

    products: list[Product]
    after: Annotated[Cursor | None, Field(description="Send it as `after` for the next page; null on the last.")]
    thumbnails_expire_at: datetime


class Vector(Sent):
    """The vector of a text or a picture."""

    vector: list[float]
    dimension: int
    model: str
    source: str
    took_ms: float


class AddedImage(Sent):
    """What became of one image; `waits`: its vector is still to come."""

    image_id: ImageId
    outcome: Literal["added", "replaced", "changed", "unchanged"]
    waits: bool
    url: str


class Added(Sent):
    """What became of each image, in the order they were sent."""

    images: list[AddedImage]


class Failure(Sent):
    """Why an image has no vector."""

    code: str
    detail: str | None


class Image(Sent):
    """One image: its fields and its state."""

    image_id: ImageId
    product_id: str
    tenant_id: str
    position: int
    category: str | None
    categories: Categories
    price: float | None
    in_stock: bool
    attributes: dict[str, Any]
    state: Literal["pending", "leased", "failed", "ready", "missing"]
    attempts: int
    error: Failure | None
    incomplete: Annotated[bool, Field(description="The file lacks its last bytes; it is searched, upload it again.")]
    created_at: datetime
    updated_at: datetime
    thumbnail: str | None
    thumbnail_expires_at: datetime | None


class Images(Sent):
    """Images in the order they were added."""

    images: list[Image]
    after: Annotated[Cursor | None, Field(description="Send it as `after` for the next page; null on the last.")]


class ChangedProduct(Sent):
    """How many images a product has, how many were not so already, and whether its words changed."""

    product_id: str
    images: int
    changed: int
    words: bool


class Outcome(Sent):
    """What became of one line of a bulk request; `missing`: there is no such image or product."""

    line: Annotated[int, Field(description="From 1; empty lines count too.")]
    outcome: Literal["added", "replaced", "changed", "unchanged", "deleted", "missing", "failed"]
    image_ids: list[ImageId]
    error: Failure | None


class Status(Sent):
    """Counts of the tenant's images by state, and of workers."""

    images: int
    pending: int
    leased: int
    failed: int
    workers: int
    oldest_waiting: Annotated[float | None, Field(description="Seconds.")]
    model: str | None
    dimension: int | None


class Alive(Sent):
    """The process is alive."""

    alive: bool


class Ready(Sent):
    """Whether searches can be served, and what is missing."""

    ready: bool
    database: bool
    schema_: Annotated[bool, Field(alias="schema")]
    model: bool
    query_worker: bool
    store: bool


class ProblemDocument(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    code: Annotated[str, Field(description="For programs.")]
    detail: Annotated[str, Field(description="One sentence for people: what is wrong and how to fix it.")]
    instance: str
    errors: list[dict[str, Any]] = []
