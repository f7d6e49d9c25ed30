"""Deliver pictures; in shops that link or refuse duplicates one at a time: of two equal ones one is the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from imgsearch.db import sql
from imgsearch.ingest import queue
from imgsearch.ingest.queue import Delivery, Failure, Key
from imgsearch.picture import CODES


def deliver(
    connection: Connection[Any], space_id: int, deliveries: Sequence[Delivery]
) -> tuple[set[Key], list[Failure]]:
    """Do what `queue.deliver` does; return what was written, and the duplicates that their shop refuses."""
    values = {"tenants": sorted({one.claim.tenant_id for one in deliveries})}
    policies = {row["tenant_id"]: row["duplicates"] for row in sql.rows(connection, "arrival", "policies", values)}
    if not policies:
        return queue.deliver(connection, space_id, deliveries), []
    written = queue.deliver(connection, space_id, [one for one in deliveries if one.claim.tenant_id not in policies])
    failures: list[Failure] = []
    for one in deliveries:
        if policy := policies.get(one.claim.tenant_id):
            with connection.transaction():
                found = _delivered(connection, space_id, one, refuses=policy == "refuse")
            if isinstance(found, Failure):
                failures.append(found)
            else:
                written |= found
    return written, failures


def _delivered(connection: Connection[Any], space_id: int, one: Delivery, *, refuses: bool) -> set[Key] | Failure:
    values = {
        "tenant": one.claim.tenant_id,
        "image_id": one.claim.image_id,
        "sha256": one.sha256,
        "pdq": one.pdq,
        "quality": one.quality,
    }
    sql.run(connection, "arrival", "alone", values)
    twins = sql.rows(connection, "arrival", "twin", values)
    if twins and refuses:
        where = f"It is picture {twins[0]['position']} of product {twins[0]['product_id'][:100]}. {CODES['duplicate']}"
        return Failure(claim=one.claim, code="duplicate", message=where, permanent=True)
    written = queue.deliver(connection, space_id, [one])
    if twins and written:
        sql.run(connection, "arrival", "link", {**values, "twin": twins[0]["image_id"]})
    return written
