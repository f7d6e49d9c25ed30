"""One client of the soak, a process of its own: adds its pictures, each in a transaction, and notes what was committed.

`python -m bench.soak.client NOTES FIRST STEP COUNT MODEL`: a line `number version sha256 image_id` per commit.
A picture whose commit got no answer is added again, as a shop's own code would: the same key is the same picture.
"""

from __future__ import annotations

import hashlib
import random
import sys
import time
from pathlib import Path
from typing import Any

import psycopg

from bench.soak import pictures
from bench.soak.encoder import SOAK
from imgsearch import db
from imgsearch.errors import DatabaseError
from imgsearch.ingest import upload
from imgsearch.ingest.wakeup import notify_workers
from imgsearch.settings import Settings, load_settings
from imgsearch.storage import Store

TENANTS = ("acme", "globex", "initech")


def main(notes: str, first: str, step: str, count: str, model: str) -> int:
    """Add every `step`-th picture from `first` on."""
    settings = load_settings()
    store = upload.open_store(settings.storage_url)
    with Path(notes).open("a", buffering=1) as file:
        for number in range(int(first), int(count), int(step)):
            found = pictures.kind(number, real_model=model != SOAK)
            data = pictures.draw(number, 0, found)
            if found == "rotten":
                spoil(store, data)
            image_id = add(settings, store, number, data)
            file.write(f"{number} 0 {hashlib.sha256(data).hexdigest()} {image_id}\n")
            if random.random() < 0.1:
                notify_workers(settings)
    return 0


_connection: psycopg.Connection[Any] | None = None


def add(settings: Settings, store: Store, number: int, data: bytes) -> int:
    """Add a picture and commit; try until the database has answered that it is there."""
    global _connection
    while True:
        try:
            if _connection is None or _connection.closed:
                _connection = db.connect(settings)
            found = upload.add(
                _connection,
                data,
                product_id=f"p{number}",
                tenant=TENANTS[number % len(TENANTS)],
                price=number % 100,
                store=store,
            )
            _connection.commit()
        except (psycopg.OperationalError, DatabaseError):
            _connection = None
            time.sleep(0.2)
        else:
            return found.image_id


def spoil(store: Store, data: bytes) -> None:
    """Put other bytes of the same length under this picture's name, as a failing disk would, before it is added."""
    digest = hashlib.sha256(data).hexdigest()
    store.objects.write(f"{digest[:2]}/{digest}", data[:-1] + bytes([data[-1] ^ 255]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
