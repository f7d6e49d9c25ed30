"""Count the statements that reach a search's connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import AsyncCursor, Cursor


@contextmanager
def statements() -> Iterator[list[str]]:
    """Note every statement that psycopg executes meanwhile, in this process."""
    seen: list[str] = []
    originals = Cursor.execute, AsyncCursor.execute

    def note(cursor: Cursor[Any], query: Any, *rest: Any, **options: Any) -> Any:
        seen.append(str(query))
        return originals[0](cursor, query, *rest, **options)

    async def note_async(cursor: AsyncCursor[Any], query: Any, *rest: Any, **options: Any) -> Any:
        seen.append(str(query))
        return await originals[1](cursor, query, *rest, **options)

    Cursor.execute, AsyncCursor.execute = note, note_async  # type: ignore[method-assign,assignment]
    try:
        yield seen
    finally:
        Cursor.execute, AsyncCursor.execute = originals  # type: ignore[method-assign]
