"""What a shop does while others page through it: prices, new pictures, new products, deletions."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg

# Each returns the products that it touched. A new picture has the vector of any other one; what a worker does follows
# in the same transaction.
_PRICE = """UPDATE imgsearch.image i SET price = round((price * (0.8 + 0.4 * random()))::numeric, 2)
FROM (SELECT tenant_id, product_id FROM imgsearch.image WHERE image_id >= %(near)s ORDER BY image_id LIMIT 1) p
WHERE i.tenant_id = p.tenant_id AND i.product_id = p.product_id RETURNING i.product_id"""
_ADD = """INSERT INTO imgsearch.image
    (tenant_id, product_id, position, category, price, in_stock, attributes, uri, sha256)
SELECT tenant_id, coalesce(%(product)s, product_id), 1000 + %(number)s, category, price, in_stock, attributes,
       'store:paging-' || %(number)s, sha256(convert_to('paging ' || %(number)s, 'UTF8'))
FROM imgsearch.image WHERE image_id >= %(near)s ORDER BY image_id LIMIT 1
RETURNING image_id, tenant_id, product_id"""
_EMBED = """WITH like_it AS (
        SELECT v.embedding FROM imgsearch.vectors v WHERE v.image_id >= %(other)s ORDER BY v.image_id LIMIT 1),
     made AS (
        INSERT INTO {table} (tenant_id, image_id, sha256, embedding)
        SELECT i.tenant_id, i.image_id, i.sha256, l.embedding
        FROM imgsearch.image i, like_it l WHERE i.image_id = %(image)s),
     done AS (DELETE FROM imgsearch.job WHERE image_id = %(image)s)
UPDATE imgsearch.image i SET {bits} = imgsearch_internal.quantized(l.embedding, s.mean, s.signs)
FROM like_it l, imgsearch.space s
WHERE i.image_id = %(image)s AND s.state = 'active'"""
_DELETE_PICTURE = """DELETE FROM imgsearch.image WHERE image_id = (
    SELECT image_id FROM imgsearch.image WHERE image_id >= %(near)s ORDER BY image_id LIMIT 1) RETURNING product_id"""
_DELETE_PRODUCT = """DELETE FROM imgsearch.image WHERE (tenant_id, product_id) = (
    SELECT tenant_id, product_id FROM imgsearch.image WHERE image_id >= %(near)s ORDER BY image_id LIMIT 1)
RETURNING product_id"""
_PLAIN = {"price": _PRICE, "picture deleted": _DELETE_PICTURE, "product deleted": _DELETE_PRODUCT}
_KINDS = ("price", "new picture", "new product", "picture deleted", "product deleted")
_ODDS = (0.7, 0.12, 0.08, 0.06, 0.04)


class Writer:
    """Writes to a loaded database. number: of the next new picture; none is used twice in one database."""

    def __init__(self, connection: psycopg.Connection[Any], seed: int = 1) -> None:
        self.connection, self.rng = connection, np.random.default_rng(seed)
        row = connection.execute(
            "SELECT max(image_id), (SELECT space_id FROM imgsearch.space WHERE state = 'active') FROM imgsearch.image"
        ).fetchone()
        assert row is not None
        self.most, self.number = int(row[0]), int(row[0])
        self._embed = _EMBED.format(table=f"imgsearch.embedding_{row[1]}", bits=f"bits_{row[1]}")

    def write(self, kind: str) -> set[str]:
        """Do one write; return the products that it touched."""
        near = int(self.rng.integers(1, self.most + 1))
        if kind in _PLAIN:
            return {row[0] for row in self.connection.execute(_PLAIN[kind].encode(), {"near": near}).fetchall()}
        self.number += 1
        product = f"new-{self.number}" if kind == "new product" else None
        with self.connection.transaction():
            values = {"near": near, "number": self.number, "product": product}
            row = self.connection.execute(_ADD, values).fetchone()
            assert row is not None
            other = int(self.rng.integers(1, self.most + 1))
            self.connection.execute(self._embed.encode(), {"image": row[0], "other": other})
        return {row[2]}


def write(url: str, rate: int, begun: Any, stop: Any, answers: Any) -> None:
    """Write `rate` times a second until `stop` is set; answer with what was written, and (when, what) was touched."""
    touched, done, pace = list[tuple[float, str]](), Counter[str](), Pace(rate)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path = imgsearch, public")
        writer = Writer(connection)
        while not stop.is_set():
            kind = str(writer.rng.choice(_KINDS, p=_ODDS))
            touched += [(time.monotonic(), product) for product in writer.write(kind)]
            done[kind] += 1
            begun.set()
            pace.wait()
    answers.put({"touched": touched, **done})


class Pace:
    """Waits so long that something happens `rate` times a second."""

    def __init__(self, rate: float, now: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.now, self.began, self.done = rate, now, now(), 0

    def wait(self) -> None:
        self.done += 1
        time.sleep(max(0.0, self.began + self.done / self.rate - self.now()))
