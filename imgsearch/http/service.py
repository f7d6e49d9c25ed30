"""What the API and the page do: resolve each example, combine them, run the one statement of a search."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from psycopg import Connection

from imgsearch.db import sql
from imgsearch.errors import QueryError, UnknownImage
from imgsearch.http import access, ids, links, pictures, responses, visible, watched
from imgsearch.http.rerank import said_of
from imgsearch.http.search_request import SearchRequest, Weighted
from imgsearch.http.state import AppState
from imgsearch.query import Crop, ImageId, Query, Resolved, cache, resolution, resolve
from imgsearch.query.combine import checked_weights, combine
from imgsearch.query.question import Thing
from imgsearch.retrieval import Hits
from imgsearch.retrieval import search as nearest_images
from imgsearch.retrieval.by_filters import space_of, without_twins
from imgsearch.retrieval.listing import Listed, browse_products
from imgsearch.retrieval.recommendation import products_of, ranked_by_best
from imgsearch.spaces import space

Weighed = tuple[Resolved, float]
WAITING = str | Crop  # examples that a worker may have to embed first


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a search asks: its vector, and the page that is wanted. near, far: of a search for the best of several."""

    resolved: Resolved
    page: Mapping[str, Any]
    resolve_ms: float
    near: Sequence[Weighed] = ()
    far: Sequence[Weighed] = ()


@dataclass(frozen=True, kw_only=True)
class Found:
    """A page of hits, and how the query became a vector. `others`: tenant and digest of the hits' other pictures."""

    hits: Hits
    resolved: Resolved
    resolve_ms: float
    others: Mapping[int, tuple[str, bytes]]


@contextmanager
def session(state: AppState, asked: SearchRequest) -> Iterator[tuple[Connection[Any], list[Resolved]]]:
    """Lend a connection, and the vectors of a search's text and picture, and of texts and regions among its examples.

    While a host or a worker is waited for, no connection is held: it is given back, and another one lent.
    Raises FetchRefused, FetchFailed, Busy, NoQueryWorker, and what `imgsearch.resolve` raises.
    """
    queries: list[Thing] = []
    if asked.ranking.look_weight != 0:  # words alone need nobody
        queries = [query for query in (asked.text, pictures.part_of(state, asked)) if query is not None]
        queries += [thing for thing, _ in (*asked.like, *asked.unlike) if isinstance(thing, WAITING)]
    asks: list[tuple[Thing, int | None]] | None = None
    while True:
        with state.session(access.me().tenant) as connection:
            tenant = asked.filters.tenant
            if asks is None:
                visible.require_examples(connection, asked)  # before anybody reads their pictures
                space = space_asked(connection, asked)
                asks = [(query, space) for query in queries]
            found = [pictures.looked_up(connection, query, tenant, space) for query, space in asks]
            known = [one for one in found if isinstance(one, Resolved)]
            # The answer of a model that has been followed since: it is asked anew, of the new one.
            stands = asked.ranking.space or len({one.space_id for one in known} | _searched(connection, known)) < 2
            if len(known) == len(found) and stands:
                yield connection, known
                return
        if len(known) == len(found):
            asks = None
            continue
        access.count_texts(state, sum(isinstance(one, resolution.Question) and one.words is not None for one in found))
        asks = [(one if isinstance(one, Resolved) else state.waiting.ask(one), None) for one in found]


def space_asked(connection: Connection[Any], asked: SearchRequest) -> int | None:
    """Return the number of the space that a search names; None stands for the active one."""
    name = asked.ranking.space
    return None if name is None else space_of(connection, name)


def _searched(connection: Connection[Any], known: Sequence[Resolved]) -> set[int]:
    """Return the searched space, where a worker was waited for: it may be another one by now. Else nothing."""
    if all(one.source != "worker" for one in known):
        return set()
    return {found.space_id for found in (space.active(connection),) if found is not None}


def search(connection: Connection[Any], asked: SearchRequest, given: Sequence[Resolved]) -> Found:
    """Run a search in its `session`, within what may be seen. Raises what `resolve`, `combine` and `search` raise."""
    question = question_of(connection, asked, given)
    if question.near:
        hits = ranked_by_best(connection, question.near, question.far, **question.page)
    else:
        hits = nearest_images(connection, question.resolved, **question.page)
    return found_of(connection, asked, question, hits)


def question_of(connection: Connection[Any], asked: SearchRequest, given: Sequence[Resolved]) -> Question:
    """Return what a search asks, within what may be seen. Raises what `resolve` and `combine` raise."""
    began = time.perf_counter()
    visible.require_examples(connection, asked)
    liked = [thing for thing, _ in (*asked.like, *asked.unlike) if isinstance(thing, ImageId)]
    filters = asked.filters.without_products(products_of(connection, liked, asked.filters.tenant))
    filters = without_twins(connection, filters, [one.image_id for one in liked])
    page: dict[str, Any] = {name: getattr(asked, name) for name in ("ranking", "k", "skip", "after", "max_distance")}
    page["filters"] = access.within(filters)
    best = asked.best and asked.ranking.look_weight != 0
    if best and asked.ranking.space is not None:
        raise QueryError("best searches the active space; leave out best or space.")
    near, far = examples_of(connection, asked, given) if best else ([], [])
    resolved = replace(near[0][0], kind="vector") if best else vector_of(connection, asked, given)
    resolve_ms = (time.perf_counter() - began) * 1000 + max((one.took_ms for one in given), default=0.0)
    return Question(resolved=resolved, page=page, resolve_ms=resolve_ms, near=near, far=far)


def found_of(connection: Connection[Any], asked: SearchRequest, question: Question, hits: Hits) -> Found:
    """Return hits with what else a page shows of them, and note the search."""
    visible.hide_others(connection, hits)
    others = details(connection, [one for hit in hits for one in hit.others], asked.filters.tenant)
    return noted(asked, question, hits, others)


def noted(asked: SearchRequest, question: Question, hits: Hits, others: Mapping[int, tuple[str, bytes]]) -> Found:
    """Return hits with how their question became a vector, and note the search."""
    resolved, resolve_ms = question.resolved, question.resolve_ms
    access.leave(asked, hits)
    watched.note(asked, hits, resolved, resolve_ms, question.page)
    return Found(hits=hits, resolved=resolved, resolve_ms=resolve_ms, others=others)


def vector_of(connection: Connection[Any], asked: SearchRequest, given: Sequence[Resolved]) -> Resolved:
    """Return the one vector that words and pictures (`given`), vectors and images of a search make together."""
    if asked.ranking.look_weight == 0:
        return resolution.words_alone(asked.text, asked.ranking.words, asked.less)
    near, far = examples_of(connection, asked, given, space_asked(connection, asked))
    return unforgetful(combine(connection, [*near, *((one, -weight) for one, weight in far)]))


def unforgetful(made: Resolved) -> Resolved:
    """Return a question without a word of what this process remembers: that tells a tenant how much others ask."""
    hidden = made.source == "memory" and access.me().tenant is not None
    return replace(made, source="database") if hidden else made


def examples_of(
    connection: Connection[Any], asked: SearchRequest, given: Sequence[Resolved], space: int | None = None
) -> tuple[list[Weighed], list[Weighed]]:
    """Return what a search is to be near to and far from, each with a weight above 0.

    `given`: vectors of its text and picture, then of the texts and regions among its examples. Raises QueryError
    without anything to be near to, and for too many.
    """
    texts = sum(isinstance(thing, WAITING) for thing, _ in (*asked.like, *asked.unlike))
    rest = iter(given[len(given) - texts :])

    def ask(query: Query) -> Resolved:
        try:
            return resolve(connection, query, tenant=asked.filters.tenant, space=space)
        except UnknownImage as error:
            if isinstance(query, ImageId):
                raise ids.unknown(query.image_id) from error
            raise

    def weighed(examples: Sequence[Weighted]) -> list[Weighed]:
        return [(next(rest) if isinstance(thing, WAITING) else ask(thing), weight) for thing, weight in examples]

    near: list[Weighed] = [(one, 1.0) for one in given[: len(given) - texts]]
    near += [(ask(query), 1.0) for query in (asked.vector,) if query is not None]
    near += [(ask(ImageId(image_id)), 1.0) for image_id in asked.more]
    if asked.photo is not None:
        near.append((pictures.remembered(connection, cache.key_of(asked.photo, asked.region), space), 1.0))
    near += weighed(asked.like)
    far = [*((ask(ImageId(image_id)), 1.0) for image_id in asked.less), *weighed(asked.unlike)]
    checked_weights([weight for _, weight in (*near, *far)])
    if not near:
        raise QueryError("A search needs something to look for; add words, a picture or an image in more_like.")
    return near, far


def details(connection: Connection[Any], images: list[int], tenant: str | None) -> dict[int, tuple[str, bytes]]:
    """Return the tenant of each image and the digest of its picture's bytes, where it is known."""
    seen = visible.of(connection, images)
    rows = sql.rows(connection, "http", "details", {"images": seen, "tenant": tenant}) if seen else []
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
    hits, resolved, shown = found.hits, found.resolved, ids.showing()
    thumbnail = links.thumbnails(state)
    rows = [
        responses.Match(
            image_id=shown(hit.image_id),
            product_id=hit.product_id,
            tenant_id=hit.tenant_id,
            distance=hit.distance,
            title=hit.title,
            category=hit.category,
            categories=list(hit.categories or ()),
            price=hit.price,
            in_stock=hit.in_stock,
            attributes=dict(hit.attributes),
            thumbnail=thumbnail(hit.tenant_id, hit.sha256),
            match=hit.match,
            pictures=hit.pictures,
            others=[
                responses.OtherPicture(image_id=shown(one), thumbnail=thumbnail(*found.others.get(one, ("", None))))
                for one in hit.others
            ],
            after=ids.turned_after(shown, hit.after),
            look=None if hit.look is None else dict(hit.look),
            box=None if hit.box is None else list(hit.box),
            label=hit.label,
        )
        for hit in hits
    ]
    # How far a search looked follows from how many images there are of all tenants: a floor would measure that.
    hidden = hits.more and access.me().tenant is not None
    took = responses.Took(resolve=round(found.resolve_ms, 3), sql=round(hits.took_ms, 3), facets=round(facets_ms, 3))
    return responses.Page(
        strategy=hits.strategy,
        complete=hits.complete,
        matches=len(rows) if hidden else hits.matches,
        matching_images=len(rows) if hidden else hits.matching_images,
        more=hits.more,
        took_ms=took,
        resolved=responses.Question.model_validate(resolved, from_attributes=True),
        doubtful=hits.doubtful,
        after=ids.shown_after(hits.after),
        thumbnails_expire_at=links.expires_at(state),
        rows=rows,
        facets=facets,
        reranked=said_of(hits.reranked),
    )


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
