"""What can be asked over HTTP: one row per operation; `openapi` makes the document of it, and a test the routes.

An operation takes one media type: generators of clients understand no more than that. JSON goes to one path, files as
a form to the same path with /upload behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import BaseModel

from imgsearch.http import changes, duplicates, health, merchandise, products, requests, responses, suggestions
from imgsearch.ops.api_keys import Scope


@dataclass(frozen=True, kw_only=True)
class Form:
    """A multipart form: the file `picture`, or `several` of them, and JSON in the field `request`.

    name: of its schema, so of a type in a generated client.
    """

    name: str
    several: bool = False
    request: type[BaseModel] | None = None


@dataclass(frozen=True, kw_only=True)
class Lines:
    """A body of NDJSON: each line one of these objects."""

    each: tuple[type[BaseModel], ...]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One row of the table. `body`: JSON, a form with files, or lines; `query`: what may stand behind the ?.

    lines: whether the response is one object on each line.
    """

    name: str
    summary: str
    tag: str
    scope: Scope | None = None
    body: type[BaseModel] | Form | Lines | None = None
    query: type[BaseModel] | None = None
    lines: bool = False
    status: int = 200
    response: type[BaseModel] | None = None
    problems: tuple[int, ...] = field(default=())


_SENT = (413, 415)
_EMBEDDED = (422, 424, 504)
OPERATIONS: dict[tuple[str, str], Operation] = {
    ("/v1/search", "post"): Operation(
        name="search_images",
        summary="The products (or images) that match, the best first.",
        tag="search",
        scope="search",
        body=requests.Search,
        response=responses.Page,
        problems=(404, *_SENT, *_EMBEDDED),
    ),
    ("/v1/search/upload", "post"): Operation(
        name="search_images_by_upload",
        summary="The same, near to a file.",
        tag="search",
        scope="search",
        body=Form(name="SearchForm", request=requests.SearchFields),
        response=responses.Page,
        problems=(404, *_SENT, *_EMBEDDED),
    ),
    ("/v1/choices", "post"): Operation(
        name="list_choices",
        summary="The values of one facet that contain a text, and how many products each would leave.",
        tag="search",
        scope="search",
        body=requests.Choices,
        response=responses.ChoiceList,
        problems=_SENT,
    ),
    ("/v1/suggest", "get"): Operation(
        name="suggest",
        summary="What somebody may be typing.",
        tag="search",
        scope="search",
        query=suggestions.Suggest,
        response=responses.Suggestions,
    ),
    ("/v1/embed", "post"): Operation(
        name="embed",
        summary="The vector of a text, or of the picture at an address.",
        tag="search",
        scope="search",
        body=requests.Embed,
        response=responses.Vector,
        problems=(*_SENT, *_EMBEDDED),
    ),
    ("/v1/embed/upload", "post"): Operation(
        name="embed_upload",
        summary="The vector of a file.",
        tag="search",
        scope="search",
        body=Form(name="EmbedForm", request=requests.EmbedFields),
        response=responses.Vector,
        problems=(*_SENT, *_EMBEDDED),
    ),
    ("/v1/images", "post"): Operation(
        name="add_images",
        summary="Add images by their addresses, which are fetched later: all of them, or none.",
        tag="images",
        scope="write",
        body=requests.Add,
        status=202,
        response=responses.Added,
        problems=(404, 409, *_SENT, 422),
    ),
    ("/v1/images/upload", "post"): Operation(
        name="upload_images",
        summary="Add images as files: all of them or, where one cannot be used, none.",
        tag="images",
        scope="write",
        body=Form(name="ImagesForm", several=True, request=requests.AddFiles),
        status=202,
        response=responses.Added,
        problems=(404, 409, *_SENT, 422),
    ),
    ("/v1/images", "get"): Operation(
        name="list_images",
        summary="Images and their states, in the order they were added.",
        tag="images",
        scope="write",
        query=changes.ListImages,
        response=responses.Images,
    ),
    ("/v1/images/bulk", "post"): Operation(
        name="bulk_images",
        summary="Add by address, change and delete, one on each line; a bad line harms nothing beside it.",
        tag="images",
        scope="write",
        body=Lines(each=(changes.BulkAdd, changes.BulkChange, changes.BulkDelete)),
        response=responses.Outcome,
        lines=True,
        problems=_SENT,
    ),
    ("/v1/images/{image_id}", "patch"): Operation(
        name="change_image",
        summary="Change what is stored beside a picture, without the picture.",
        tag="images",
        scope="write",
        body=changes.ImageChanges,
        response=responses.Image,
        problems=(404, 409, *_SENT),
    ),
    ("/v1/products", "get"): Operation(
        name="list_products",
        summary="The products that match, without a question: by age, price or an attribute.",
        tag="search",
        scope="search",
        query=products.ListProducts,
        response=responses.Products,
    ),
    ("/v1/products/{product_id}", "patch"): Operation(
        name="change_product",
        summary="The same in all images of a product, and what the product is called.",
        tag="images",
        scope="write",
        body=changes.ProductChanges,
        query=changes.OfTenant,
        response=responses.ChangedProduct,
        problems=(404, 409, *_SENT),
    ),
    ("/v1/products/{product_id}", "delete"): Operation(
        name="delete_product",
        summary="Delete all images of a product.",
        tag="images",
        scope="write",
        query=changes.OfTenant,
        status=204,
        problems=(404, 409),
    ),
    (merchandise.PATH, "get"): Operation(
        name="list_merchandise",
        summary="What is pinned to the top of answers, and what is hidden.",
        tag="images",
        scope="write",
        query=merchandise.OfTenant,
        response=merchandise.Merchandised,
    ),
    (merchandise.PATH, "post"): Operation(
        name="set_merchandise",
        summary="Pin a product to the top of answers, or hide it: for a text, a category, or always.",
        tag="images",
        scope="write",
        body=merchandise.Merchandise,
        status=204,
        problems=_SENT,
    ),
    (merchandise.PATH, "delete"): Operation(
        name="clear_merchandise",
        summary="Take back what was pinned or hidden.",
        tag="images",
        scope="write",
        query=merchandise.TakenBack,
        status=204,
    ),
    ("/v1/images/{image_id}", "get"): Operation(
        name="get_image",
        summary="One image: its fields, its state, and why it failed if it did.",
        tag="images",
        scope="search",
        response=responses.Image,
        problems=(404,),
    ),
    ("/v1/images/{image_id}/duplicates", "get"): Operation(
        name="list_duplicates",
        summary="The images that show what an image shows, certain ones first.",
        tag="images",
        scope="search",
        query=duplicates.OfImage,
        response=duplicates.Duplicates,
        problems=(404,),
    ),
    ("/v1/images/{image_id}/duplicates", "delete"): Operation(
        name="dismiss_duplicate",
        summary="Say for good that another image is not the same.",
        tag="images",
        scope="write",
        query=duplicates.Dismissed,
        status=204,
        problems=(404,),
    ),
    ("/v1/images/{image_id}", "delete"): Operation(
        name="delete_image", summary="Delete one image.", tag="images", scope="write", status=204, problems=(404, 409)
    ),
    ("/v1/status", "get"): Operation(
        name="get_status",
        summary="Counts of the tenant's images by state, and of workers.",
        tag="operation",
        scope="admin",
        response=responses.Status,
    ),
    ("/healthz", "get"): Operation(
        name="get_health", summary="Whether this process is alive.", tag="operation", response=responses.Alive
    ),
    ("/readyz", "get"): Operation(
        name="get_readiness",
        summary="Whether searches can be served.",
        tag="operation",
        query=health.Needs,
        response=responses.Ready,
        problems=(400, 429),
    ),
    ("/metrics", "get"): Operation(
        name="get_metrics", summary="The same as status, for Prometheus.", tag="operation", scope="admin"
    ),
}
WHY = {
    400: "The request is invalid; code, detail and errors say where.",
    401: "Missing, invalid or expired API key.",
    403: "The API key lacks the scope, or reaches another tenant.",
    404: "Image, product or space not found.",
    405: "Method not allowed.",
    409: "Somebody else changed the same images meanwhile; send it again.",
    413: "The request is too large.",
    415: "Unsupported media type.",
    422: "A picture cannot be used, or its address must not be fetched.",
    424: "The host of picture_url did not give a picture.",
    429: "Too many requests; see Retry-After.",
    503: "The database, the store, a model or a query worker is not available, or too many requests wait already; "
    "see Retry-After where it is sent.",
    504: "No worker embedded the query, or the database did not respond, in time.",
}
