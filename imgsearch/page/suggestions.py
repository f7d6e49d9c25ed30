"""What people may want to type, while they type: a few lines of text, as JSON for the script of the search box."""

from __future__ import annotations

import psycopg
from flask import Blueprint, Response, jsonify, request

from imgsearch.db import sql
from imgsearch.errors import DatabaseError
from imgsearch.http import access
from imgsearch.http.state import app_state
from imgsearch.http.suggestions import suggested
from imgsearch.page import urls

MOST = 8  # suggestions shown
LONGEST = 100  # characters typed that are looked at
PATIENCE = 0.5  # seconds for the answer: a later one is for words that stand there no more


def mount(blueprint: Blueprint) -> None:
    """Add the route."""
    blueprint.add_url_rule("/suggest", "suggest", show)


def show() -> Response:
    """Return {"suggestions": [...]} for what was typed so far; none where there is nothing to say in time."""
    state = app_state()
    typed = " ".join(request.args.get("q", "")[:LONGEST].replace("\0", " ").split())
    tenant = access.tenant_of(request.args.get("tenant") or None)
    found: list[str] = []
    if typed:
        try:
            with state.session(access.me().tenant, patience=PATIENCE) as connection:
                sql.run(connection, "http", "hurry", {"milliseconds": str(round(PATIENCE * 1000))})
                found = [row["suggestion"] for row in suggested(connection, typed, tenant, MOST)]
        except (psycopg.Error, DatabaseError):  # too late, or no database: people type on, and the search says why
            found = []
    return jsonify(suggestions=list(dict.fromkeys(found)))


def address(tenant: str | None) -> str:
    """Return where the script asks; whose suggestions they are goes with it."""
    return urls.beside("suggest", tenant=tenant)
