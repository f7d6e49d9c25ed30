"""Two spaces' answers side by side, blind: people say which is better, and may mark what fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from psycopg import Connection

from imgsearch.db import sql
from imgsearch.evaluation import votes
from imgsearch.evaluation.judged import Question
from imgsearch.evaluation.places import ask, chosen, places
from imgsearch.http import access, links
from imgsearch.http.problem import Problem
from imgsearch.http.state import AppState, app_state
from imgsearch.page.frame import frame
from imgsearch.page.titles import title_of
from imgsearch.query import ImageId
from imgsearch.spaces.space import Space

K = 10  # products of each answer
_SIDES = ("left", "right", "same")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One product of an answer."""

    product_id: str
    title: str
    thumbnail: str | None


def mount(blueprint: Blueprint) -> None:
    """Add the routes; they are for whoever stands above tenants."""
    blueprint.add_url_rule("/judge", "judge", access.needs("admin")(show))
    blueprint.add_url_rule("/judge", "vote", access.needs("admin")(vote), methods=["POST"])


def show() -> Response:
    """Return the next question with both answers, which space is which not said."""
    state, tenant = app_state(), _tenant()
    with state.session(access.me().tenant) as connection:
        first, second = votes.pair(chosen(connection, request.args.getlist("space")))
        question = votes.following(connection, first, second, tenant=tenant, voter=access.me().name)
        stand = votes.tally(connection, first, second, tenant)
        sides: list[list[Seen]] = []
        asked = None
        if question is not None:
            order = (second, first) if votes.is_turned(question, first, second) else (first, second)
            sides = [_answer(state, connection, question, space, tenant) for space in order]
            asked = _asked(state, connection, question, tenant)
    html = render_template(
        "imgsearch/judge.html",
        **frame(state),
        question=question and votes.key_of(question),
        asked=asked,
        sides=sides,
        spaces=[first.space_id, second.space_id],
        votes=stand.first + stand.second + stand.same,
        whose=tenant,
    )
    return Response(html)


def vote() -> Any:
    """Keep a vote and go on to the next question."""
    state, tenant, given = app_state(), _tenant(), request.form
    question = votes.question_of(given.get("question", ""))
    side = given.get("better", "")
    if side not in _SIDES:
        raise Problem(400, "bad_request", "Say which is better: left, right or same.")
    with state.session(access.me().tenant, writes=True) as connection:
        first, second = votes.pair(chosen(connection, request.args.getlist("space")))
        turned = votes.is_turned(question, first, second)
        better = "same" if side == "same" else "second" if (side == "left") == turned else "first"
        votes.keep(
            connection,
            first,
            second,
            question,
            better,  # type: ignore[arg-type]
            shown=given.getlist("shown")[: 2 * K],
            fits=given.getlist("fits")[: 2 * K],
            tenant=tenant,
            voter=access.me().name,
        )
    return redirect(url_for("imgsearch_page.judge", space=request.args.getlist("space"), tenant=tenant), 303)


def _tenant() -> str | None:
    return access.tenant_of(request.args.get("tenant") or None)


def _answer(
    state: AppState, connection: Connection[Any], question: Question, space: Space, tenant: str | None
) -> list[Seen]:
    vector = ask(connection, question, space, "product", tenant=tenant, timeout=state.settings.query_timeout)
    best = places(connection, vector, question, space, "product", depth=K, tenant=tenant).best
    shown = _pictures(connection, [name for name, _ in best], tenant)
    return [_seen(state, shown[name]) for name, _ in best if name in shown]


def _asked(state: AppState, connection: Connection[Any], question: Question, tenant: str | None) -> Seen | str:
    if not isinstance(question.query, ImageId):
        return question.called
    values = {"image_id": question.query.image_id, "tenant": tenant}
    row = sql.rows(connection, "vote", "asked", values)
    if not row:
        raise Problem(404, "not_found", "This picture is not here any more; open the page anew.")
    return _seen(state, row[0])


def _pictures(connection: Connection[Any], products: Sequence[str], tenant: str | None) -> dict[str, Any]:
    rows = sql.rows(connection, "vote", "pictures", {"products": list(products), "tenant": tenant})
    return {row["product_id"]: row for row in rows}


def _seen(state: AppState, row: Mapping[str, Any]) -> Seen:
    return Seen(
        product_id=row["product_id"],
        title=title_of(row["product_id"], row["title"], row["attributes"]),
        thumbnail=links.thumbnail(state, row["tenant_id"], row["sha256"]),
    )
