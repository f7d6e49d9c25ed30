"""psql: plain SQL, nothing else."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from typing import Any

from imgsearch.query import ImageId
from imgsearch.storage import open_store
from tests.doors.scenario import Answer, Item, Place, Question

_NAMES = {"tenant": "text", "category": "text", "max_price": "float8"}


def psql(place: Place, statement: str, **variables: Any) -> list[list[str]]:
    """Return the rows of a statement; psql quotes the variables itself (:'name')."""
    sets = [part for name, value in variables.items() for part in ("-v", f"{name}={value}")]
    done = subprocess.run(
        [sys.executable, "-m", "imgsearch", "psql", "--csv", "-tqX", "-v", "ON_ERROR_STOP=1", *sets],
        input=statement,
        env=place.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [row for row in csv.reader(io.StringIO(done.stdout)) if row]


def add(place: Place, items: list[Item]) -> None:
    store = open_store(place.settings.storage_url)
    rows = "".join(f"{i.tenant_id}\t{i.product_id}\t{i.category}\t{i.price}\t{store.put(i.picture())}\n" for i in items)
    columns = "tenant_id, product_id, category, price, uri"
    psql(place, f"COPY imgsearch.image ({columns}) FROM STDIN;\n{rows}\\.\n")


def ask(place: Place, question: Question) -> Answer:
    query = question.query
    if isinstance(query, str):
        asked, value = ":'query'", query
    elif isinstance(query, ImageId):
        asked, value = "imgsearch.vec_of(:'query')", str(query.image_id)
    else:
        asked, value = ":'query'::halfvec", str(place.vector_of(query) if isinstance(query, bytes) else query)
    named = "".join(f", {name} => :'{name}'::{_NAMES[name]}" for name in question.filters)
    statement = f"SELECT image_id, distance, strategy FROM imgsearch.search({asked}, k => 10{named});"  # noqa: S608
    rows = psql(place, statement, query=value, **question.filters)
    return Answer([(int(i), float(d)) for i, d, _ in rows], rows[0][2] if rows else None, 1)


def reprice(place: Place, item: Item, price: float) -> None:
    where = "tenant_id = :'tenant' AND product_id = :'product'"
    statement = f"UPDATE imgsearch.image SET price = :'price' WHERE {where};"  # noqa: S608
    psql(place, statement, price=price, tenant=item.tenant_id, product=item.product_id)


def remove(place: Place, item: Item) -> None:
    statement = "DELETE FROM imgsearch.image WHERE tenant_id = :'tenant' AND product_id = :'product';"
    psql(place, statement, tenant=item.tenant_id, product=item.product_id)
