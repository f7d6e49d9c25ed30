"""Is a product found among scenes that show it? By imgsearch.search() itself, by whole pictures and by parts.

The catalogue is scenes of 4 products each; a question is another picture of one of them, alone. Regions are what stands
out of a scene, 5 at most, as a worker proposes them; the right answer is the scene that shows the product.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
from imgsearch_workers.model.siglip import SiglipEncoder
from psycopg.sql import SQL, Identifier

from bench import scenes
from bench.home import fresh_home
from bench.scenes import OTHER_VIEW, Vectors, embedded
from imgsearch import schema, search
from imgsearch.dev import embedded as servers
from imgsearch.dev.demo import catalogue, draw
from imgsearch.settings import load_settings
from imgsearch.spaces import space

WEIGHTS = (0.0, 0.5, 1.0)
SIZE, MOST = 4, 5


def measured(products: int, many: int) -> dict[str, Any]:
    """Return recall@1 and @10 of each weight of regions."""
    encoder = SiglipEncoder.load("demo", threads=1)
    items = [item for item in catalogue.items(4 * products) if item.position == 0][:products]
    drawn = list(scenes.drawn(items, SIZE, many))
    whole = embedded(encoder, ((shown.jpeg, None) for shown, _ in drawn))
    places = [(number, box) for number, (shown, _) in enumerate(drawn) for box in scenes.boxes(shown.jpeg)[:MOST]]
    regions = embedded(encoder, ((drawn[number][0].jpeg, box) for number, box in places))
    wanted = [(number, n) for number, (_, chosen) in enumerate(drawn) for n in chosen]
    asked = embedded(encoder, ((draw.jpeg(items[n].look, items[n].seed, OTHER_VIEW), None) for _, n in wanted))
    figures: dict[str, Any] = {"scenes": len(drawn), "questions": len(wanted)}
    with fresh_home("regions-") as home:
        settings = load_settings({"DATABASE_URL": servers.start(home, durable=False).database_url})
        schema.upgrade(settings)
        with psycopg.connect(settings.database_url, autocommit=True) as connection:
            ids = _stored(connection, encoder, whole, places, regions)
            for weight in WEIGHTS:
                found = [
                    [hit.image_id for hit in search(connection, one.tolist(), k=10, regions=weight)] for one in asked
                ]
                right = [ids[number] for number, _ in wanted]
                figures[f"regions {weight:g}"] = {
                    f"recall@{k}": round(float(np.mean([r in f[:k] for r, f in zip(right, found, strict=True)])), 3)
                    for k in (1, 10)
                }
    return figures


def _stored(
    connection: psycopg.Connection[Any], encoder: SiglipEncoder, whole: Vectors, places: Any, regions: Vectors
) -> list[int]:
    """Store scenes and their regions as workers do; return the scenes' image ids."""
    made = space.ensure(connection, encoder.describe()).space_id
    rows = connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256) SELECT 'acme', n, 'x', sha256(n::text::bytea)"
        " FROM generate_series(1, %s) n RETURNING image_id, sha256",
        [len(whole)],
    ).fetchall()
    with connection.cursor() as cursor:
        cursor.executemany(
            SQL("INSERT INTO {} (tenant_id, image_id, sha256, embedding) VALUES ('acme', %s, %s, %s::halfvec)").format(
                Identifier("imgsearch", f"embedding_{made}")
            ),
            [(*row, str(vector.tolist())) for row, vector in zip(rows, whole, strict=True)],
        )
        cursor.execute(
            SQL(
                "UPDATE imgsearch.image i SET {} = imgsearch_internal.quantized(e.embedding, s.mean, s.signs)"
                " FROM {} e, imgsearch.space s WHERE e.image_id = i.image_id"
            ).format(Identifier(f"bits_{made}"), Identifier("imgsearch", f"embedding_{made}"))
        )
        cursor.executemany(
            SQL(
                "INSERT INTO {} (tenant_id, image_id, position, sha256, x, y, w, h, score, embedding)"
                " VALUES ('acme', %s, %s, %s, %s, %s, %s, %s, 1, %s::halfvec)"
            ).format(Identifier("imgsearch", f"region_{made}")),
            [
                (rows[number][0], place, rows[number][1], *box, str(vector.tolist()))
                for place, ((number, box), vector) in enumerate(zip(places, regions, strict=True))
            ],
        )
    connection.execute("ANALYZE")
    return [row[0] for row in rows]
