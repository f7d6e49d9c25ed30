"""What a picture takes in the database, part by part, and what its index costs: the constants of `imgsearch plan`.

`python -m bench.capacity --write` fills a shop by the queue, as workers do (the HNSW is built afterwards), in several
dimensions, and writes imgsearch/ops/capacity.json. Bytes are those of the relations' files; times are processor
seconds of the one backend that builds, which other work on the machine hardly reaches.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from bench.home import fresh_home
from bench.planned_shop import HNSW, WORDS, Shop, fill, fill_second
from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.ops import capacity
from imgsearch.settings import Settings, load_settings
from imgsearch.spaces import space

PRODUCT = ("product", "product_by_code:product", "product_by_words:product", "product_pkey:product")
VOCABULARY = ("vocabulary", "vocabulary_by_pieces:vocabulary", "vocabulary_by_word:vocabulary")
FILE = Path(capacity.__file__).with_suffix(".json")
# Processor seconds of an image, 768 numbers: `python -m bench --rows N --load-only`, by two processes; a million
# beside other work.
LARGER = [(200_000, 2 * 265 / 200_000), (1_000_000, 2 * 2124 / 1_000_000)]


def build(connection: psycopg.Connection[Any], memory: str = "2GB") -> float:
    """Build the HNSW by one backend; return its processor seconds."""
    connection.execute("SELECT set_config('maintenance_work_mem', %s, false)", [memory])
    connection.execute("SET max_parallel_maintenance_workers = 0")
    before = _processor(connection)
    connection.execute(HNSW.format(1).encode())
    return _processor(connection) - before


def graph_bytes(connection: psycopg.Connection[Any], shop: Shop) -> float:
    """Return what a vector takes in memory while the graph is built: pgvector says how many fit, where not all do."""
    kilobytes = int(shop.images * (2 * shop.dimension + 714) * 0.97) >> 10
    said: list[str] = []
    connection.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
    connection.execute("DROP INDEX IF EXISTS imgsearch.embedding_1_hnsw")
    build(connection, f"{kilobytes}kB")
    [fitted] = [int(text.rsplit("after ", 1)[1].split()[0]) for text in said if "no longer fits" in text]
    return kilobytes * 1024 / fitted


def _processor(connection: psycopg.Connection[Any]) -> float:
    fields = Path(f"/proc/{connection.info.backend_pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def relations(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Return {relation, or index:table: bytes} of the schema imgsearch."""
    rows = connection.execute(
        """SELECT c.relname || coalesce(':' || t.relname, ''), pg_relation_size(c.oid) FROM pg_class c
           LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = i.indrelid
           WHERE c.relnamespace = 'imgsearch'::regnamespace AND c.relkind IN ('r', 'i')"""
    )
    return {name: size for name, size in rows.fetchall() if size}


def sizes(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Return the bytes of each part of the plan, as the relations' files are."""
    found: dict[str, int] = defaultdict(int)
    for name, size in relations(connection).items():
        found[capacity.part_of(*_named(name))] += size
    return dict(found)


def _named(relation: str) -> tuple[str, str | None]:
    name, _, table = relation.partition(":")
    return name, table or None


def ask(connection: psycopg.Connection[Any], dimension: int, questions: int = 2000) -> float:
    """Return the bytes of a text that was asked and is remembered."""
    drawn = np.random.default_rng(1).standard_normal(dimension)
    connection.execute(
        """INSERT INTO imgsearch.query_vector (space_id, kind, key, query, embedding, answered_at)
           SELECT 1, 'text', sha256(n::text::bytea), 'red canvas shoe ' || n, %s::halfvec, now()
           FROM generate_series(1, %s) n""",
        (space.vector_literal(drawn / np.linalg.norm(drawn)), questions),
    )
    row = connection.execute("SELECT pg_total_relation_size('imgsearch.query_vector')").fetchone()
    assert row is not None
    return float(row[0]) / questions


def measure(settings: Settings, shop: Shop, *, memory: bool) -> dict[str, Any]:
    """Fill a fresh schema and return what it takes."""
    with db.connect(settings, autocommit=True) as connection:
        for name in ("imgsearch_internal", "imgsearch"):
            connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE".encode())
    schema.upgrade(settings)
    with db.connect(settings, autocommit=True) as connection:
        fill(connection, shop)
        graph = graph_bytes(connection, shop) if memory else None
        connection.execute("DROP INDEX IF EXISTS imgsearch.embedding_1_hnsw")
        found: dict[str, Any] = asdict(shop) | {"build_seconds": round(build(connection), 2), "graph": graph}
        found["bytes"] = relations(connection)
        found["question"] = ask(connection, shop.dimension)
        if memory and shop.dimension == 128:
            before = sizes(connection)["bits"]
            fill_second(connection, shop)
            found["bits_of_two"] = sizes(connection)["bits"] / before
        print(json.dumps(found), flush=True)
        return found


def constants(measured: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the constants of imgsearch/ops/capacity.py, from shops that differ in one thing each."""
    first = measured[0]
    plain = [one for one in measured if one["images"] == first["images"] and one["attributes"] == first["attributes"]]
    other = next(one for one in measured if one["attributes"] != first["attributes"])
    n = first["images"]

    def line(value: Callable[[dict[str, Any]], float]) -> list[float]:
        slope, at_zero = np.polyfit([one["dimension"] for one in plain], [value(one) for one in plain], 1)
        return [round(float(at_zero), 2), round(float(slope), 5)]

    def part(one: dict[str, Any], wanted: str) -> float:
        return sum(size for name, size in one["bytes"].items() if capacity.part_of(*_named(name)) == wanted)

    def each(one: dict[str, Any], *names: str) -> float:
        return sum(one["bytes"].get(name, 0) for name in names) / n

    words = [each(one, *PRODUCT) * one["per_product"] for one in (first, other)]
    of_title = (words[1] - words[0]) / (other["title"] - first["title"])
    keys = float(np.mean([part(one, "keys") / n for one in plain]))
    of_attributes = (part(other, "images") - part(first, "images")) / n / (other["attributes"] - first["attributes"])
    return {
        "attributes": first["attributes"],
        "title": first["title"],
        "by_dimension": {
            "images": line(lambda one: part(one, "images") / n),
            "bits": line(lambda one: part(one, "bits") / n),
            "question": line(lambda one: float(one["question"])),
        },
        "per_attribute_byte": round(of_attributes, 3),
        "keys": round(keys, 1),
        "keys_of_vector": round(each(first, "embedding_1_pkey:embedding_1", "embedding_1_by_id:embedding_1"), 1),
        "product": round(words[0], 1),
        "per_title_character": round(of_title, 2),
        "word": round(sum(each(first, name) for name in VOCABULARY) * n / len(WORDS), 1),
        "other": part(first, "other"),
        "bits_of_two": round(first["bits_of_two"], 3),
        "build_bytes": line_through([(one["dimension"], one["graph"]) for one in measured if one["graph"]]),
    }


def built(measured: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what building costs: a line by the dimension, and how it grows with the number of images."""
    alike = [one for one in measured if one["images"] == measured[0]["images"] and one["build_seconds"]]
    seconds = line_through([(one["dimension"], one["build_seconds"] / one["images"]) for one in alike])
    growing = sorted(
        {one["images"]: one["build_seconds"] / one["images"] for one in measured if one["dimension"] == 768}.items()
    )
    return {"seconds": seconds, "at_768": [[n, round(each, 7)] for n, each in [*growing, *LARGER]]}


def line_through(points: Sequence[tuple[float, float]]) -> list[float]:
    """Return [value at 0, slope] of the line that is nearest to some points."""
    slope, at_zero = np.polyfit(*zip(*points, strict=True), 1)
    return [float(f"{at_zero:.4g}"), float(f"{slope:.4g}")]


def main() -> None:
    """Measure, and write the constants; what other commands measured stays as it is in the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs=2, default=[20_000, 50_000])
    parser.add_argument("--write", action="store_true", help=f"renew {FILE}")
    given = parser.parse_args()
    few, many = given.rows
    shops = [Shop(images=few, dimension=d) for d in (128, 512, 768, 1152)]
    shops += [
        Shop(images=few, dimension=128, attributes=320, per_product=1, title=120),
        Shop(images=many, dimension=768),
    ]
    with fresh_home("capacity-") as home:
        settings = load_settings({"DATABASE_URL": embedded.start(home, memory_mb=4096).database_url}, environ={})
        measured = [measure(settings, shop, memory=n < 2) for n, shop in enumerate(shops)]
    found = json.loads(FILE.read_text()) if FILE.exists() else {"times": {}}
    found["command"], found["database"] = "python -m bench.capacity --write", constants(measured)
    found["times"]["build"] = built(measured)
    print(json.dumps(found, indent=1))
    if given.write:
        FILE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
