"""Back up and restore: 20,000 pictures into a fresh cluster, and are the answers the same? `python -m bench.backup`."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bench.home import fresh_home
from bench.soak import pictures
from imgsearch import ImageId, db, schema, search
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder, embed
from imgsearch.ingest import upload
from imgsearch.ops import backup, restore
from imgsearch.ops.doctor import examine
from imgsearch.settings import Settings, load_settings
from imgsearch.spaces.space import ensure

ASKED = 100


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=20_000)
    print(json.dumps(run(parser.parse_args().pictures), indent=1))


def run(many: int) -> dict[str, Any]:
    """Fill a shop, back it up, restore it elsewhere; return seconds, bytes and how many top tens are the same."""
    figures: dict[str, Any] = {"pictures": many, "seconds": {}}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        figures["seconds"][name] = round(time.perf_counter() - began, 1)

    with fresh_home("backup-") as home, fresh_home("restored-") as other:
        settings, elsewhere = (_settings(folder) for folder in (home, other))
        schema.upgrade(settings)
        with db.connect(settings, autocommit=True) as connection, timed("filling"):
            ensure(connection, FakeEncoder().describe())
            store = upload.open_store(settings.storage_url)
            for number in range(many):
                upload.add(connection, pictures.draw(number), product_id=f"p{number}", tenant="acme", store=store)
            embed(connection, texts=[f"shoe {n}" for n in range(ASKED // 2)])
        before = _answers(settings, many)
        with timed("backup"):
            taken = backup.take(settings, home / "backup")
        figures |= {
            "objects": taken.objects,
            "bytes": taken.size,
            "dump": (home / "backup/database.dump").stat().st_size,
        }
        with timed("restore"):
            restore.bring_back(elsewhere, home / "backup")
        after = _answers(elsewhere, many)
        figures["top tens"], figures["the same"] = len(before), sum(a == b for a, b in zip(before, after, strict=True))
        with db.connect(elsewhere, autocommit=True) as connection:
            named = {finding.check_name for finding in examine(connection)} - {"no worker seen"}
            figures["named by the doctor"] = sorted(named)
    return figures


def _settings(home: Path) -> Settings:
    url = embedded.start(home, memory_mb=2048).database_url
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE shop")
    values = {"DATABASE_URL": url.replace("/imgsearch?", "/shop?"), "STORAGE_URL": (home / "pictures").as_uri()}
    return load_settings(values | {"HOME": str(home)}, environ={})


def _answers(settings: Settings, many: int) -> list[Any]:
    with db.connect(settings, autocommit=True) as connection:
        asked: list[Any] = [f"shoe {n}" for n in range(ASKED // 2)]
        asked += [ImageId(1 + n * many // (ASKED // 2)) for n in range(ASKED // 2)]
        found = [search(connection, one, tenant="acme") for one in asked]
        return [[(hit.image_id, hit.distance) for hit in hits] for hits in found]


if __name__ == "__main__":
    main()
