"""Liveness, readiness, status and metrics: for load balancers, people and Prometheus."""

from __future__ import annotations

from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field

from imgsearch import schema
from imgsearch.db import sql
from imgsearch.errors import ImgsearchError, SchemaAhead, SchemaBehind
from imgsearch.http import access, reader, responses
from imgsearch.http.api import sent
from imgsearch.http.state import AppState, app_state
from imgsearch.ops.exposition import CONTENT_TYPE
from imgsearch.ops.gauges import gauges_exposition

PARTS = ("database", "schema", "model", "query_worker", "store")


class Needs(BaseModel):
    """What must be there for an answer of 200."""

    model_config = ConfigDict(extra="forbid")

    need: Annotated[
        str | None,
        Field(
            pattern=rf"^({'|'.join(PARTS)})(,({'|'.join(PARTS)})){{0,4}}$",
            description="What must be there, with commas between; by default all of it. A load balancer that "
            "is to send searches for known words also while no query worker runs asks for database,schema.",
        ),
    ] = None


def mount(blueprint: Blueprint) -> None:
    """Add the routes."""
    blueprint.add_url_rule("/healthz", "healthz", access.public(alive))
    blueprint.add_url_rule("/readyz", "readyz", access.public(ready))
    blueprint.add_url_rule("/v1/status", "v1_status", access.needs("admin")(status))
    blueprint.add_url_rule("/metrics", "metrics", access.needs("admin")(metrics))


def alive() -> Response:
    """Return that this process is alive; nothing else is looked at."""
    return sent(responses.Alive(alive=True))


def ready() -> Response:
    """Return whether searches can be served: 200, or 503 and what is missing. All who ask cost one look a second."""
    state, asked = app_state(), reader.query(Needs)
    access.count_address(state, "readyz")
    found = state.readiness.get(lambda: checks(state))
    good = all(found[part] for part in (asked.need.split(",") if asked.need else PARTS))
    return sent(responses.Ready(ready=good, **found), 200 if good else 503)


def status() -> Response:
    """Return how the key's pictures are, and who works."""
    return sent(responses.Status(**read(app_state())))


def metrics() -> Response:
    """Return the same for Prometheus; no tenant is named, so that a graph never says who is a customer."""
    state, tenant = app_state(), access.me().tenant
    with state.session(tenant) as connection:
        gauges = gauges_exposition(connection, tenant, state.settings.storage_url)
    own = state.metrics.exposition() if tenant is None else b""  # how busy the process is tells of all tenants
    return Response(gauges + own, content_type=CONTENT_TYPE)


def read(state: AppState) -> dict[str, Any]:
    """Return the figures of whoever asks."""
    tenant = access.me().tenant
    with state.session(tenant) as connection:
        return dict(sql.rows(connection, "http", "status", {"tenant": tenant})[0])


def checks(state: AppState) -> dict[str, bool]:
    """Return what a search needs, and whether it is there."""
    found = dict.fromkeys(PARTS, False)
    try:
        with state.sessions.session(None, writes=False, patience=1) as connection:
            found["database"] = True
            workers = sql.rows(connection, "http", "workers")[0]
            found["query_worker"] = workers["queries"] > 0 or workers["given"]
            found["model"] = workers["model"]
            schema.check(connection)
            found["schema"] = True
    except (SchemaBehind, SchemaAhead):
        pass
    except ImgsearchError:
        return found
    try:
        state.store.exists("store:00/" + "0" * 64)
        found["store"] = True
    except ImgsearchError:
        pass
    return found
