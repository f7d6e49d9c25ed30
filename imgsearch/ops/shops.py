"""What a shop says of itself (the language of its words, what is kept for it, duplicates), and what it suggests."""

from __future__ import annotations

from typing import Any, Literal, TypedDict, cast

from psycopg.pq import TransactionStatus

from imgsearch import values
from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.retrieval.filters import Filters, merged


class Suggestion(TypedDict):
    """What somebody may be typing; kind: question, words, or title (of product_id)."""

    suggestion: str
    kind: Literal["question", "words", "title"]
    product_id: str | None


class Shop(TypedDict):
    """What a shop says of itself; how far workers have come with its `pictures`: captures, regions."""

    tenant: str
    language: str
    keep_questions: bool
    duplicates: Literal["keep", "link", "refuse"]
    describe_pictures: bool
    keep_captures: bool
    regions: str
    regions_per_picture: int
    pictures: int
    described: int
    captures_read: int
    with_time: int
    with_place: int
    with_regions: int
    regions_wait: int
    regions_failed: int


def set_shop(
    connection: Connectable,
    *,
    tenant: str,
    language: str | None = None,
    keep_questions: bool | None = None,
    duplicates: Literal["keep", "link", "refuse"] | None = None,
    describe_pictures: bool | None = None,
    keep_captures: bool | None = None,
    regions: str | None = None,
    regions_per_picture: int | None = None,
) -> None:
    """Set the language of a tenant's titles and what is kept; None leaves it. What is turned off is removed.

    keep_questions: what is asked, to be suggested. duplicates: keep (nobody looks for them), link (they are marked) or
    refuse (the same bytes are refused when they are added; what only looks the same fails with the code duplicate).
    describe_pictures: colours and composition of pictures, as their attributes `picture_…`. keep_captures: when and
    where they were taken. regions: by which parts its pictures are found, too: salient, grid, detector:NAME or off;
    regions_per_picture: at most so many, 1 to 9. Turned off on a connection in autocommit what is there goes in small
    parts beside those who search; else workers remove it. Raises FilterError.
    """
    texts = {"language": language, "duplicates": duplicates, "regions": regions}
    truths = {"keep_questions": keep_questions, "describe_pictures": describe_pictures, "keep_captures": keep_captures}
    bound: dict[str, Any] = {
        "tenant": values.key(tenant, "tenant"),
        **{name: value if value is None else values.text(value, name, values.VALUE) for name, value in texts.items()},
        **{name: value if value is None else values.truth(value, name) for name, value in truths.items()},
        "regions_per_picture": regions_per_picture
        if regions_per_picture is None
        else values.whole(regions_per_picture, "regions_per_picture", -1, 2**31 - 1),
    }
    lent = driver(connection)
    sql.run(lent, "shop", "set", bound)
    if regions == "off" and lent.autocommit and lent.info.transaction_status == TransactionStatus.IDLE:
        while sql.value(lent, "shop", "forget_regions", {"tenant": tenant}):
            pass


def show(connection: Connectable, tenant: str) -> Shop:
    """Return what a shop says of itself, and how far workers have come with what it asks for."""
    return cast("Shop", sql.rows(driver(connection), "shop", "show", {"tenant": values.named(tenant, "tenant")})[0])


def suggest(
    connection: Connectable, typed: str, *, tenant: str | None = None, k: int = 8, filters: Filters | None = None
) -> list[Suggestion]:
    """Return at most `k` (1 to 20) words, titles and kept questions that go on from `typed`. Raises FilterError.

    filters: titles of products that match, and nothing else.
    """
    bound = {
        "typed": values.text(typed, "typed", values.VALUE),
        "tenant": tenant if tenant is None else values.named(tenant, "tenant"),
        "k": values.whole(k, "k", -1, 2**31 - 1),
        "filters": None if filters is None else merged(filters, {}).as_json(),
    }
    return cast("list[Suggestion]", list(sql.rows(driver(connection), "shop", "suggest", bound)))
