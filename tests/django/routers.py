"""Reads of the shop go to a replica when a test says so."""

from __future__ import annotations

from typing import Any


class Reading:
    alias: str | None = None

    def db_for_read(self, model: Any, **_: Any) -> str | None:
        return type(self).alias


class ReadHere:
    """The router of docs/replicas.md."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"
