"""What became of every picture that was acknowledged: the soak's answer."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from bench.soak import pictures
from imgsearch import picture
from imgsearch.dev.testing import FakeEncoder
from imgsearch.spaces.space import cosine

LOOKED_AT = 2_000  # vectors computed again, beside those of all replaced pictures


def acknowledged(notes: Iterable[Path]) -> dict[int, tuple[int, str]]:
    """Return {number: (version, sha256)} of what was committed last."""
    found: dict[int, tuple[int, str]] = {}
    for file in notes:
        for line in file.read_text().splitlines():
            number, version, sha256, _ = line.split()
            if int(version) >= found.get(int(number), (0, ""))[0]:
                found[int(number)] = (int(version), sha256)
    return found


def verdict(
    connection: psycopg.Connection[Any], notes: Iterable[Path], max_attempts: int, *, real_model: bool
) -> dict[str, Any]:
    """Return the counts, each of which but `pictures`, `replaced`, `poison` and `poison_by` should be as wanted."""
    wanted = acknowledged(notes)
    rows = _rows(connection)
    kinds = {number: pictures.kind(number, real_model=real_model) for number in wanted}
    poison = {number: found for number, found in kinds.items() if found != "good"}
    states = {number: _state(row) for number, row in rows.items()}
    wrong_end = {
        n: f"{kinds[n]}: {states.get(n)}" for n in poison if not _is_right_end(kinds[n], rows.get(n), max_attempts)
    }
    last = [n for n in poison if pictures.FATES[poison[n]].last_attempt]
    exactly = sum(rows[n]["attempts"] == max_attempts for n in last if n in rows)
    counts = Counter(row[1] for row in _products(connection))
    return {
        "pictures": len(wanted),
        "replaced": sum(version > 0 for version, _ in wanted.values()),
        "poison": len(poison),
        "poison_by": dict(Counter(poison.values())),
        "lost": len(
            [n for n in wanted if n not in rows or rows[n]["sha256"] != wanted[n][1] or states[n].startswith("lost")]
        ),
        "stale": _stale(rows, wanted, real_model=real_model),
        "duplicate": sum(count - 1 for count in counts.values()),
        "violations": len(connection.execute("SELECT * FROM imgsearch.violations").fetchall()),
        "poison_not_as_it_should": len(wrong_end),
        "poison_at_exactly_max_attempts": f"{exactly}/{len(last)}",
        "neighbours_harmed": len([n for n in wanted if n not in poison and states.get(n) != "ready"]),
        "examples": [*wrong_end.values()][:5]
        + [
            f"{n}: {states.get(n)} {rows.get(n, {}).get('error')}"
            for n in wanted
            if n not in poison and states.get(n) != "ready"
        ][:5],
    }


def _rows(connection: psycopg.Connection[Any]) -> dict[int, dict[str, Any]]:
    cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
    cursor.execute(
        "SELECT i.product_id, encode(i.sha256, 'hex') AS sha256, i.uri, j.state, j.attempts, j.error_code, j.error,"
        " v.image_id IS NOT NULL AS has_vector, encode(v.sha256, 'hex') AS vector_of, v.embedding::text AS embedding"
        " FROM imgsearch.image i LEFT JOIN imgsearch.job j USING (tenant_id, image_id)"
        " LEFT JOIN imgsearch.vectors v USING (tenant_id, image_id) WHERE i.product_id LIKE 'p%'"
    )
    return {int(row["product_id"][1:]): row for row in cursor}


def _products(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT tenant_id, product_id FROM imgsearch.image WHERE product_id LIKE 'p%'").fetchall()


def _state(row: dict[str, Any]) -> str:
    if row["has_vector"] and row["state"] is None:
        return "ready"
    return "failed" if row["state"] == "failed" and not row["has_vector"] else f"lost ({row['state']})"


def _is_right_end(kind: str, row: dict[str, Any] | None, max_attempts: int) -> bool:
    fate = pictures.FATES[kind]
    return (
        row is not None
        and _state(row) == "failed"
        and row["error_code"] in fate.codes
        and (row["attempts"] == max_attempts if fate.last_attempt else row["attempts"] <= max_attempts)
    )


def _stale(rows: dict[int, dict[str, Any]], wanted: dict[int, tuple[int, str]], *, real_model: bool) -> int:
    """Count vectors of other bytes: by the digest beside them, and by computing them again from the current bytes."""
    ready = {n: row for n, row in rows.items() if row["has_vector"]}
    stale = {n for n, row in ready.items() if row["vector_of"] != row["sha256"]}
    if real_model:
        return len(stale)
    replaced = [n for n in ready if n in wanted and wanted[n][0] > 0]
    others = [n for n in ready if n in wanted and wanted[n][0] == 0]
    encoder = FakeEncoder()
    for number in replaced + others[:: max(1, len(others) // LOOKED_AT)]:
        data = pictures.draw(number, wanted[number][0])
        if hashlib.sha256(data).hexdigest() != wanted[number][1]:
            raise AssertionError("the soak's own pictures are not the same twice")
        expected = encoder.embed_pictures(picture.decode(data, encoder.size)[None])[0]
        found = np.array(ready[number]["embedding"].strip("[]").split(","), dtype=np.float32)
        if cosine(expected.tolist(), found.tolist()) < 0.999:
            stale.add(number)
    return len(stale)
