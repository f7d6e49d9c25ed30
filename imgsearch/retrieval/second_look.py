"""Rank the first of an answer anew: find them, have a worker look, show them page by page in the new order.

The first page ranks a pool anew: as many rows as its widest step sees, behind those that the shop pinned. The cursors
of its rows name the ticket of that look and a place in it; further pages take the order that is kept with the ticket,
without what no longer matches, until the pool is shown. Behind it the first ranking goes on, where the pool ended.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import FilterError
from imgsearch.picture.region import Region
from imgsearch.query import Crop, ImageId, Resolved
from imgsearch.query.looking import Asker, Looked, order_of
from imgsearch.retrieval.by_filters import hits_of
from imgsearch.retrieval.hits import Hits, place_of
from imgsearch.retrieval.rerank import NOT, Pool, Rerank, Reranked, Row, StepDone, not_reranked
from imgsearch.retrieval.template import LARGEST_PAGE

_PLACE = re.compile(r",L([0-9a-f]{32}),([0-9]{1,4})")
GONE = "The order of this page is no longer kept; search again, without `after`."
Looking = Callable[[Mapping[str, Any], bytes | None], Looked]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A search with a second look. values: what the statements of search.sql bind; thing: what was asked with."""

    values: Mapping[str, Any]
    rerank: Rerank
    resolved: Resolved
    image_id: int | None = None
    picture: bytes | None = None
    region: str | None = None  # of either

    @property
    def k(self) -> int:
        return int(self.values["k"])

    @property
    def skip(self) -> int:
        return int(self.values["skip"])

    @property
    def belongs_to(self) -> str:
        """Tell this question, with its filters, its ranking and its steps, from others."""
        asked = [self.values[name] for name in ("filters", "ranking", "max_distance", "space")]
        told = json.dumps([*asked, self.resolved.key or self.resolved.vector, self.rerank.as_json()], default=str)
        return sha256(told.encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """The pool in an order; `rows` behind it stand as they were. ticket: of the look that made it."""

    wanted: Wanted
    pool: Pool
    reranked: Reranked
    ticket: str | None = None
    ended: str | None = None  # the cursor behind the pool


def things_of(query: object) -> dict[str, Any]:
    """Return what a step may see of a question besides its vector: the first picture or image to be near to."""
    several = query if isinstance(query, list | tuple) and query and isinstance(query[0], tuple) else [(query, 1.0)]
    for thing, weight in several:
        shown = thing.picture if isinstance(thing, Crop) else thing
        region = str(Region.of(thing.region)) if isinstance(thing, Crop) else None
        if weight > 0 and isinstance(shown, bytes | Path):
            return {"picture": shown if isinstance(shown, bytes) else shown.read_bytes(), "region": region}
        image_id = shown.image_id if isinstance(shown, ImageId | Resolved) else None
        if weight > 0 and image_id is not None:
            return {"image_id": image_id, "region": region}
    return {}


def ticket_in(after: str | None) -> tuple[str, int] | None:
    """Return the ticket and the place that a cursor of a page ranked anew names; None for any other."""
    place = place_of(after)
    found = _PLACE.fullmatch(place[2]) if place else None
    return (found[1], int(found[2])) if found else None


def first(connection: Connectable, wanted: Wanted) -> Ordered:
    """Return the rows that a search begins with, in the first ranking: those to be ranked anew, and those behind."""
    values, pool = dict(wanted.values), wanted.rerank.pool
    if not 1 <= wanted.k <= LARGEST_PAGE or wanted.skip < 0:
        pool = 0  # said by the database, in its words
    elif wanted.skip + wanted.k > LARGEST_PAGE:
        raise FilterError(f"skip and k are together at most {LARGEST_PAGE} with rerank; page through with after.")
    after = place_of(values["after"])
    behind = after is not None and after[1] != 0  # a pinned row's names no image
    if behind or not pool:
        return Ordered(wanted=wanted, pool=_pool(connection, values), reranked=not_reranked("behind"))
    found = _pool(connection, values | {"k": max(pool, wanted.skip + wanted.k), "skip": 0})
    if pins := len(_pins(found)):
        shown = min(LARGEST_PAGE, max(pool + pins, wanted.skip + wanted.k))
        found = _pool(connection, values | {"k": shown, "skip": 0})
    about = _about(found, wanted.rerank)
    code = "nothing" if len(about) < 2 else "behind" if wanted.skip >= len(_pins(found)) + len(about) else None
    reranked = not_reranked(code, pool=len(about)) if code else Reranked(pool=len(about))
    return Ordered(wanted=wanted, pool=found, reranked=reranked, ended=about[-1].cursor if about else None)


def looked(ordered: Ordered, look: Looking) -> Ordered:
    """Have a worker look at the pool, and return it in the new order; the first one stands where none comes."""
    if ordered.reranked.code:
        return ordered
    began, wanted, pool = time.perf_counter(), ordered.wanted, ordered.pool
    about, pins = _about(pool, wanted.rerank), _pins(pool)
    kept = {"rows": [_kept(row) for row in about], "found": dict(pool.found), "behind": ordered.ended}
    vector = wanted.resolved.vector or None
    of_picture = {"image_id": wanted.image_id, "region": wanted.region}
    asked = {
        "space": wanted.resolved.space_id,
        "steps": [step.as_plain() for step in wanted.rerank.steps],
        "question": {"text": wanted.resolved.words, "vector": vector} | of_picture,
        "images": [row.image for row in about],
        "pool": kept,
        "belongs_to": wanted.belongs_to,
    }
    found = look(asked, wanted.picture)
    took_ms = (time.perf_counter() - began) * 1000
    if found.answer is None:
        return replace(ordered, reranked=not_reranked(found.code or "no_step", pool=len(about), took_ms=took_ms))
    steps = tuple(StepDone(**one) for one in found.answer["steps"])
    if all(step.code for step in steps):
        return replace(ordered, reranked=_none(steps, len(about), took_ms))
    rows = [*pins, *_in_order(about, found.answer), *pool.rows[len(pins) + len(about) :]]
    reranked = Reranked(steps=steps, pool=len(about), took_ms=took_ms)
    return replace(ordered, pool=replace(pool, rows=rows), reranked=reranked, ticket=found.ticket)


def page_of(connection: Connectable, ordered: Ordered) -> Hits:
    """Return the page that was asked for, of a pool in its order."""
    wanted, rows = ordered.wanted, list(ordered.pool.rows)
    if ordered.reranked.code == "behind" and ordered.ended is None:
        return _shown(connection, wanted, ordered.pool, rows, ordered.reranked)  # it is the page already
    if ordered.ticket is not None:
        rows = _with_cursors(rows, len(_pins(ordered.pool)), ordered)
    return _filled(connection, wanted, ordered.pool, rows[wanted.skip :], ordered.reranked)


def next_page(connection: Connectable, wanted: Wanted, asker: Asker) -> Hits:
    """Return a further page of an order that was found before. Raises FilterError where it is not kept any more."""
    ticket, place = ticket_in(wanted.values["after"]) or ("", 0)
    kept = order_of(asker, ticket)
    if kept is None:
        raise FilterError(GONE)
    if kept["belongs_to"] != wanted.belongs_to:
        raise FilterError("This `after` belongs to another question; ask again without it.")
    pool = Pool(rows=[Row(cursor="", **row) for row in kept["pool"]["rows"]], found=kept["pool"]["found"])
    steps = tuple(StepDone(**one) for one in kept["answer"]["steps"])
    reranked = Reranked(steps=steps, pool=len(pool.rows))
    ordered = Ordered(wanted=wanted, pool=pool, reranked=reranked, ticket=ticket, ended=kept["pool"]["behind"])
    rows = _with_cursors(_in_order(pool.rows, kept["answer"]), 0, ordered)[place + wanted.skip :]
    hits = _filled(connection, wanted, pool, rows, reranked)
    left = wanted.k - len(hits)
    if left > 0 and ordered.ended is not None:  # the first ranking goes on behind the pool
        skip = max(0, place + wanted.skip - len(pool.rows))
        more = _pool(connection, {**wanted.values, "after": ordered.ended, "k": left, "skip": skip})
        hits.extend(_shown(connection, wanted, more, more.rows, reranked))
    return hits


def _filled(connection: Connectable, wanted: Wanted, pool: Pool, rows: Sequence[Row], reranked: Reranked) -> Hits:
    """Return the first `k` rows that still match: some may have gone while a worker looked, or since."""
    hits = _shown(connection, wanted, pool, rows[: wanted.k], reranked)
    while rows := rows[wanted.k :]:
        if len(hits) == wanted.k:
            break
        hits.extend(_shown(connection, wanted, pool, rows[: wanted.k], reranked)[: wanted.k - len(hits)])
    return hits


def _pool(connection: Connectable, values: Mapping[str, Any]) -> Pool:
    began = time.perf_counter()
    row = sql.rows(driver(connection), "look", "pool", values)[0]
    lists = [row.pop(name) or [] for name in ("tenants", "images", "products", "distances", "cursors", "fits")]
    products = lists[2] or [None] * len(lists[1])
    fits = lists[5] or [None] * len(lists[1])
    parts = row.pop("parts") or [None] * len(lists[1])
    rows = [
        Row(tenant=tenant, image=image, product=product, distance=distance, cursor=cursor, fit=fit, part=part)
        for tenant, image, product, distance, cursor, fit, part in zip(
            lists[0], lists[1], products, lists[3], lists[4], fits, parts, strict=True
        )
    ]
    found = {**row, "per_product": bool(lists[2]), "took_ms": (time.perf_counter() - began) * 1000}
    return Pool(rows=rows, found=found)


def _shown(connection: Connectable, wanted: Wanted, pool: Pool, rows: Sequence[Row], reranked: Reranked) -> Hits:
    """Return rows with all that is shown of them."""
    began = time.perf_counter()
    shown = {**pool.found, "rows": [{**_kept(row), "cursor": row.cursor} for row in rows]}
    values = {name: wanted.values[name] for name in ("question", "vector", "filters")} | {"shown": json.dumps(shown)}
    found = sql.rows(driver(connection), "look", "page", values)
    took_ms = (time.perf_counter() - began) * 1000 + pool.found.get("took_ms", 0.0)
    hits = hits_of(found, took_ms=took_ms, statement="search", truncated=wanted.resolved.truncated)
    said = {row.image: row.look for row in rows if row.look}
    hits[:] = [replace(hit, look=said.get(hit.image_id)) for hit in hits]
    hits.reranked = reranked
    return hits


def _pins(pool: Pool) -> list[Row]:
    return [row for row in pool.rows if row.pinned]


def _about(pool: Pool, rerank: Rerank) -> list[Row]:
    """Return the rows that are ranked anew: behind those that the shop pinned."""
    pins = len(_pins(pool))
    return list(pool.rows[pins : pins + rerank.pool])


def _kept(row: Row) -> dict[str, Any]:
    names = ("tenant", "image", "product", "distance", "fit", "part")
    return {name: getattr(row, name) for name in names}


def _in_order(rows: Sequence[Row], answer: Mapping[str, Any]) -> list[Row]:
    """Return rows as an answer orders them, each with what it says of it; what it does not name stays behind."""
    places = [place for place in dict.fromkeys(answer["order"]) if 0 <= place < len(rows)]
    places += sorted(set(range(len(rows))) - set(places))
    said = answer.get("details") or {}
    return [replace(rows[place], look=said.get(str(place))) for place in places]


def _with_cursors(rows: Sequence[Row], pins: int, ordered: Ordered) -> list[Row]:
    """Return rows that name their place in the order; the last of the pool names where the first ranking goes on."""
    found, last = list(rows), ordered.reranked.pool
    for place in range(1, last + 1):
        row = found[pins + place - 1]
        named = f"{row.distance!r},{row.image},L{str(ordered.ticket).replace('-', '')},{place}"
        found[pins + place - 1] = replace(row, cursor=(ordered.ended or named) if place == last else named)
    return found


def _none(steps: tuple[StepDone, ...], pool: int, took_ms: float) -> Reranked:
    """Return that no step ranked: for the reason of the only one, or the first."""
    why = steps[0].why if steps else None
    code = steps[0].code if steps else "no_step"
    return Reranked(steps=steps, pool=pool, took_ms=took_ms, code=code, why=why or NOT.get(code or "", NOT["no_step"]))
