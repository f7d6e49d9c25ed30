"""Speak for a tenant on a connection of a test's own, from now on; the code does so for one transaction at a time."""

from __future__ import annotations

from typing import Any

import psycopg


def speak_for(connection: psycopg.Connection[Any], tenant: str) -> None:
    connection.execute("SELECT set_config('imgsearch.tenant', %s, false)", (tenant,))
