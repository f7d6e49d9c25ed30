"""What somebody may be typing: `GET /v1/suggest`."""

from __future__ import annotations

from typing import Annotated, Any

from flask import Blueprint, Response
from psycopg import Connection
from pydantic import BaseModel, ConfigDict, Field

from imgsearch.http import access, caps, fields, reader, responses
from imgsearch.http.api import sent
from imgsearch.http.state import app_state
from imgsearch.ops import shops
from imgsearch.retrieval.filters import Filters

MOST = 20


class Suggest(BaseModel):
    """What was typed so far."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[str, Field(min_length=1, max_length=caps.TYPED, pattern=r"^[^\u0000]+$", description="Typed so far.")]
    k: Annotated[int, Field(ge=1, le=MOST, description="How many at most.")] = 8
    tenant: Annotated[fields.Text | None, Field(description="Whose shop; a key has its own.")] = None


def mount(blueprint: Blueprint) -> None:
    """Add the route."""
    blueprint.add_url_rule("/v1/suggest", "v1_suggest", suggest)


def suggest() -> Response:
    """Return what somebody may be typing; a key with filters is told the titles of what it may see, and no more."""
    asked = reader.query(Suggest)
    tenant = access.tenant_of(asked.tenant)
    with app_state().session(access.me().tenant) as connection:
        rows = suggested(connection, asked.q, tenant, asked.k)
    found = [
        responses.Suggestion(text=row["suggestion"], kind=row["kind"], product_id=row["product_id"]) for row in rows
    ]
    return sent(responses.Suggestions(suggestions=found))


def suggested(connection: Connection[Any], typed: str, tenant: str | None, k: int) -> list[shops.Suggestion]:
    """Return {suggestion, kind, product_id} of what whoever asks may be told."""
    who = access.me()
    filters = None if who.limits is None else access.within(Filters(tenant=who.tenant))
    return shops.suggest(connection, typed, tenant=tenant, k=k, filters=filters)
