"""How large everything is: tables and indexes in Postgres, the peers' files."""

from __future__ import annotations

from typing import Any

import psycopg

from bench.dataset import Dataset

_LOOK = """
SELECT c.oid::regclass::text,
       pg_relation_size(c.oid) + coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0)
FROM pg_class c
WHERE c.relnamespace = ANY (ARRAY[to_regnamespace('imgsearch'), to_regnamespace('bare')]::oid[])
  AND c.relkind IN ('r', 'i') AND pg_relation_size(c.oid) > 65536
ORDER BY 2 DESC
"""


def sizes(data: Dataset, url: str) -> dict[str, Any]:
    """Return {relation or peer: {bytes, per_row}}; what has to fit into memory for these figures to hold."""
    with psycopg.connect(url) as connection:
        found: dict[str, int] = dict(connection.execute(_LOOK.encode()).fetchall())
    for peer in ("qdrant", "lancedb", "faiss.index"):
        path = data.folder / peer
        if path.exists():
            files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
            # Blocks and not lengths: some engines reserve sparse files.
            found[peer] = sum(file.stat().st_blocks * 512 for file in files)
    return {name: {"bytes": int(size), "per_row": round(size / data.rows, 1)} for name, size in found.items()}


def table(found: dict[str, Any]) -> Any:
    """Return the sizes as a table."""
    from rich.table import Table

    made = Table(title="sizes", title_justify="left")
    for heading in ("what", "MB", "bytes per picture"):
        made.add_column(heading, no_wrap=True)
    for name, size in found.items():
        made.add_row(name, f"{size['bytes'] / 2**20:,.0f}", f"{size['per_row']:,.0f}")
    return made
