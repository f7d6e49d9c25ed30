"""What the API and the page do: resolve each example, combine them, run the one statement of a search."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from psycopg import Connection

from imgsearch import storage
from imgsearch.db import sql
from imgsearch.errors import FetchFailed, FetchRefused, QueryError, StoreError, UnknownImage
from imgsearch.http import access, caps, ids, links, responses, visible
from imgsearch.http.search_request import SearchRequest, Weighted
from imgsearch.http.state import AppState
from imgsearch.http.waiting import asker
from imgsearch.picture import DEFAULT_LIMITS
from imgsearch.query import ImageId, Query, Resolved, cache, resolve
from imgsearch.query.cache import Entry
from imgsearch.query.combine import checked_weights, combine
from imgsearch.query.question import Thing
from imgsearch.query.resolution import look_up, words_alone
from imgsearch.retrieval import Filters, Hits
from imgsearch.retrieval import search as nearest_images
from imgsearch.retrieval.by_filters import spaces_of, together
from imgsearch.retrieval.listing import Listed, browse_products
from imgsearch.retrieval.ranking import Per
from imgsearch.retrieval.recommendation import products_of, ranked_by_best
from imgsearch.spaces import space
from imgsearch.storage import FetchPolicy

Weighed = tuple[Resolved, float]
FORGOTTEN = "This photo is no longer cached; choose it again."


@dataclass(frozen=True, kw_only=True)
class Found:
    """A page of hits, and how the query became a vector. `others`: tenant and digest of the hits' other pictures."""

    hits: Hits
    resolved: Resolved
    resolve_ms: float
    others: Mapping[int, tuple[str, bytes]]


@contextmanager
def session(state: AppState, asked: SearchRequest) -> Iterator[tuple[Connection[Any], list[Resolved]]]:
    """Lend a connection, and the vectors of a search's text and picture, and of texts among its examples.

    While a host or a worker is waited for, no connection is held: it is given back, and another one lent.
    Raises FetchRefused, FetchFailed, Busy, NoQueryWorker, and what `imgsearch.resolve` raises.
    """
    queries: list[Thing] = []
    if asked.ranking.look_weight != 0:  # words alone need nobody
        queries = [query for query in (asked.text, picture_of(state, asked)) if query is not None]
        queries += [thing for thing, _ in (*asked.like, *asked.unlike) if isinstance(thing, str)]
    asks: list[tuple[Thing, int | None]] | None = None
    while True:
        with state.session(access.me().tenant) as connection:
            tenant = asked.filters.tenant
            if asks is None:
                asks = [(query, space) for space in spaces_asked(connection, asked) for query in queries]
            found = [look_up(connection, query, tenant=tenant, space=space) for query, space in asks]
            known = [one for one in found if isinstance(one, Resolved)]
            # The answer of a model that has been followed since: it is asked anew, of the new one.
            stands = asked.ranking.space or len({one.space_id for one in known} | _searched(connection, known)) < 2
            if len(known) == len(found) and stands:
                yield connection, known
                return
        if len(known) == len(found):
            asks = None
            continue
        asks = [(one if isinstance(one, Resolved) else state.waiting.ask(one), None) for one in found]


def spaces_asked(connection: Connection[Any], asked: SearchRequest) -> Sequence[int | None]:
    """Return the numbers of the spaces that a search names; None stands for the active one."""
    said = asked.ranking.space
    return [None] if said is None else spaces_of(connection, said)


def _searched(connection: Connection[Any], known: Sequence[Resolved]) -> set[int]:
    """Return the searched space, where a worker was waited for: it may be another one by now. Else nothing."""
    if all(one.source != "worker" for one in known):
        return set()
    return {found.space_id for found in (space.active(connection),) if found is not None}


def picture_of(state: AppState, asked: SearchRequest) -> bytes | None:
    """Return the query's picture: its bytes, or what its address holds. Raises FetchRefused, FetchFailed, Busy."""
    if asked.picture_url is None:
        return asked.picture
    policy = FetchPolicy(allow_hosts=state.settings.fetch_allow)
    with state.waiting.fetches.turn(asker()):
        try:
            found = storage.read(asked.picture_url, state.store, policy, DEFAULT_LIMITS.max_bytes)
        except FetchRefused:
            raise
        except StoreError as error:  # an address of theirs, not our store
            raise FetchFailed(str(error), retry_after=error.retry_after) from error
    return found.data or b""


def search(connection: Connection[Any], asked: SearchRequest, given: Sequence[Resolved]) -> Found:
    """Run a search in its `session`, within what may be seen. Raises what `resolve`, `combine` and `search` raise."""
    began = time.perf_counter()
    visible.require_examples(connection, asked)
    liked = [thing for thing, _ in (*asked.like, *asked.unlike) if isinstance(thing, ImageId)]
    filters = asked.filters.without_products(products_of(connection, liked, asked.filters.tenant))
    page: dict[str, Any] = {name: getattr(asked, name) for name in ("ranking", "k", "skip", "after", "max_distance")}
    page["filters"] = access.within(filters)
    best = asked.best and asked.ranking.look_weight != 0
    if best and asked.ranking.space is not None:
        raise QueryError("best searches the active space; leave out best or space.")
    near, far = examples_of(connection, asked, given) if best else ([], [])
    resolved = replace(near[0][0], kind="vector") if best else in_spaces(connection, asked, given)
    resolve_ms = (time.perf_counter() - began) * 1000 + sum(one.took_ms for one in given)
    hits = ranked_by_best(connection, near, far, **page) if best else nearest_images(connection, resolved, **page)
    visible.hide_others(connection, hits)
    others = details(connection, [one for hit in hits for one in hit.others], asked.filters.tenant)
    access.leave(asked, hits)
    return Found(hits=hits, resolved=resolved, resolve_ms=resolve_ms, others=others)


def in_spaces(connection: Connection[Any], asked: SearchRequest, given: Sequence[Resolved]) -> Resolved:
    """Return the question in each space that is searched: `given` holds the vectors of one behind those of another."""
    spaces = spaces_asked(connection, asked)
    each = len(given) // len(spaces)
    return together(
        [vector_of(connection, asked, given[n * each : (n + 1) * each], space) for n, space in enumerate(spaces)]
    )


def vector_of(
    connection: Connection[Any], asked: SearchRequest, given: Sequence[Resolved], space: int | None = None
) -> Resolved:
    """Return the one vector that words and pictures (`given`), vectors and images of a search make together."""
    if asked.ranking.look_weight == 0:
        return words_alone(asked.text, asked.ranking.words, asked.less)
    near, far = examples_of(connection, asked, given, space)
    made = combine(connection, [*near, *((one, -weight) for one, weight in far)])
    # A process remembers so and so many vectors for all tenants: what it still knows tells how much others ask.
    forgetful = made.source == "memory" and access.me().tenant is not None
    return replace(made, source="database") if forgetful else made


def examples_of(
    connection: Connection[Any], asked: SearchRequest, given: Sequence[Resolved], space: int | None = None
) -> tuple[list[Weighed], list[Weighed]]:
    """Return what a search is to be near to and far from, each with a weight above 0.

    `given`: vectors of its text and picture, then of the texts among its examples. Raises QueryError without anything
    to be near to, and for too many.
    """
    texts = sum(isinstance(thing, str) for thing, _ in (*asked.like, *asked.unlike))
    rest = iter(given[len(given) - texts :])

    def ask(query: Query) -> Resolved:
        try:
            return resolve(connection, query, tenant=asked.filters.tenant, space=space)
        except UnknownImage as error:
            if isinstance(query, ImageId):
                raise ids.unknown(query.image_id) from error
            raise

    def weighed(examples: Sequence[Weighted]) -> list[Weighed]:
        return [(next(rest) if isinstance(thing, str) else ask(thing), weight) for thing, weight in examples]

    near: list[Weighed] = [(one, 1.0) for one in given[: len(given) - texts]]
    near += [(ask(query), 1.0) for query in (asked.vector,) if query is not None]
    near += [(ask(ImageId(image_id)), 1.0) for image_id in asked.more]
    if asked.photo is not None:
        near.append((remembered(connection, asked.photo, space), 1.0))
    near += weighed(asked.like)
    far = [*((ask(ImageId(image_id)), 1.0) for image_id in asked.less), *weighed(asked.unlike)]
    checked_weights([weight for _, weight in (*near, *far)])
    if not near:
        raise QueryError("A search needs something to look for; add words, a picture or an image in more_like.")
    return near, far


def remembered(connection: Connection[Any], photo: bytes, space: int | None = None) -> Resolved:
    """Return the vector of a photo that was asked before, by its digest. Raises QueryError when it is forgotten."""
    found = cache.look_up(connection, Entry(kind="picture", key=photo), space=space)
    if found is None or found.embedding is None:
        raise QueryError(FORGOTTEN)
    return Resolved(vector=found.embedding, space_id=found.space_id, source="database", took_ms=0.0, kind="picture")


def details(connection: Connection[Any], images: list[int], tenant: str | None) -> dict[int, tuple[str, bytes]]:
    """Return the tenant of each image and the digest of its picture's bytes, where it is known."""
    images = visible.of(connection, images)
    if not images:
        return {}
    rows = sql.rows(connection, "http", "details", {"images": images, "tenant": tenant})
    return {row["image_id"]: (row["tenant_id"], bytes(row["sha256"])) for row in rows if row["sha256"] is not None}


def products(connection: Connection[Any], asked: SearchRequest) -> dict[str, tuple[str, bytes | None]]:
    """Return {product_id: (tenant, digest of its first picture)} of the products that a search asks by."""
    named = [one.product_id for one in asked.products]
    if not named:
        return {}
    values = {"products": sorted(visible.products(connection, named)), "tenant": asked.filters.tenant}
    rows = sql.rows(connection, "page", "first_pictures", values)
    return {row["product_id"]: (row["tenant_id"], row["sha256"] and bytes(row["sha256"])) for row in rows}


def page(
    state: AppState, found: Found, facets: responses.Facets | None = None, facets_ms: float = 0.0
) -> responses.Page:
    """Return a page as the API sends it."""
    hits, resolved = found.hits, found.resolved
    rows = [
        responses.Match(
            image_id=ids.shown(hit.image_id),
            product_id=hit.product_id,
            tenant_id=hit.tenant_id,
            distance=hit.distance,
            title=hit.title,
            category=hit.category,
            categories=list(hit.categories or ()),
            price=hit.price,
            in_stock=hit.in_stock,
            attributes=dict(hit.attributes),
            thumbnail=links.thumbnail(state, hit.tenant_id, hit.sha256),
            match=hit.match,
            pictures=hit.pictures,
            others=[_other(state, one, found.others) for one in hit.others],
            after=ids.shown_after(hit.after),
        )
        for hit in hits
    ]
    # How far a search looked follows from how many images there are of all tenants: a floor would measure that.
    hidden = hits.more and access.me().tenant is not None
    return responses.Page(
        strategy=hits.strategy,
        complete=hits.complete,
        matches=len(rows) if hidden else hits.matches,
        matching_images=len(rows) if hidden else hits.matching_images,
        more=hits.more,
        took_ms=responses.Took(
            resolve=round(found.resolve_ms, 3), sql=round(hits.took_ms, 3), facets=round(facets_ms, 3)
        ),
        resolved=responses.Question(kind=resolved.kind, source=resolved.source, truncated=resolved.truncated),
        doubtful=hits.doubtful,
        after=ids.shown_after(hits.after),
        thumbnails_expire_at=links.expires_at(state),
        rows=rows,
        facets=facets,
    )


def _other(state: AppState, image_id: int, known: Mapping[int, tuple[str, bytes]]) -> responses.OtherPicture:
    thumbnail = links.thumbnail(state, *known[image_id]) if image_id in known else None
    return responses.OtherPicture(image_id=ids.shown(image_id), thumbnail=thumbnail)


def image(state: AppState, row: Mapping[str, Any]) -> responses.Image:
    """Return an image and its state as the API sends it."""
    plain = {name: value for name, value in row.items() if name not in {"sha256", "error_code", "error"}}
    plain["image_id"] = ids.shown(row["image_id"])
    plain["categories"] = row["categories"] or []
    error = None if row["error_code"] is None else responses.Failure(code=row["error_code"], detail=row["error"])
    thumbnail = links.thumbnail(state, row["tenant_id"], row["sha256"]) if row["state"] == "ready" else None
    expires = None if thumbnail is None else links.expires_at(state)
    return responses.Image(**plain, error=error, thumbnail=thumbnail, thumbnail_expires_at=expires)


def images(connection: Connection[Any], images: list[int], tenant: str | None) -> list[dict[str, Any]]:
    """Return the rows of images of `tenant` (None: anybody's), in the order asked for."""
    return list(sql.rows(connection, "http", "picture", {"images": visible.of(connection, images), "tenant": tenant}))


def browse(connection: Connection[Any], asked: SearchRequest) -> list[Listed]:
    """Return the products that match, with a few other pictures that may be seen."""
    page: dict[str, Any] = {"sort": asked.ranking.sort or "newest", "k": asked.k, "after": asked.after}
    rows = browse_products(connection, filters=access.within(asked.filters), **page)
    if access.me().limits is None:
        return rows
    # What a key must not see is not counted either.
    seen = visible.images_of(connection, [row.product_id for row in rows])
    return [
        replace(row, others=tuple(one for one in row.others if one[0] in here), pictures=len(here))
        for row in rows
        for here in (seen.get(row.product_id, {row.image_id}),)
    ]


def bound(filters: Filters, per: Per = "product") -> dict[str, Any]:
    """Return the values that the statements `facets` and `choices` bind, within what may be seen."""
    asked = {"filters": access.within(filters).as_json(), "tenant": filters.tenant, "per": per}
    return {**asked, "prices": None, "names": None, "k": caps.CHOICE_VALUES}
