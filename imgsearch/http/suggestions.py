"""What somebody may be typing: `GET /v1/suggest`."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field

from imgsearch.db import sql
from imgsearch.http import access, caps, fields, reader, responses, visible
from imgsearch.http.api import sent
from imgsearch.http.state import app_state

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
    limited = access.me().limits is not None
    with app_state().session(access.me().tenant) as connection:
        rows = sql.rows(
            connection, "http", "suggest", {"typed": asked.q, "tenant": tenant, "k": MOST if limited else asked.k}
        )
        if limited:
            seen = visible.products(connection, [row["product_id"] for row in rows if row["kind"] == "title"])
            rows = [row for row in rows if row["kind"] == "title" and row["product_id"] in seen][: asked.k]
    found = [
        responses.Suggestion(text=row["suggestion"], kind=row["kind"], product_id=row["product_id"]) for row in rows
    ]
    return sent(responses.Suggestions(suggestions=found))
