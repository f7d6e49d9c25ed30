"""What is deleted is gone: rows, vectors, bits, cached questions and bytes; what others still use stays."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from bench.soak import pictures
from imgsearch import db, picture, storage
from imgsearch.errors import DatabaseRights, UsageError
from imgsearch.ingest import queue, upload
from imgsearch.ingest.queue import Delivery
from imgsearch.query import cache
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.storage import Store, open_store

Connection = psycopg.Connection[Any]
VECTOR = [1.0] + [0.0] * 47
SHARED = 777  # a picture that both tenants sell


@pytest.fixture
def store(settings: Settings) -> Store:
    return open_store(settings.storage_url)


@pytest.fixture
def shop(connection: Connection, space: Space, store: Store) -> Connection:
    """Two tenants with pictures of their own and one in common, embedded; one failed; thumbnails; asked pictures."""
    for tenant, numbers in (("acme", range(5)), ("globex", range(5, 8))):
        for number in (*numbers, SHARED):
            upload.add(connection, pictures.draw(number), product_id=f"p{number}", tenant=tenant, store=store)
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('acme', 'far', 'http://x/1.jpg')"
    )
    claims = queue.claim(connection, worker="w", limit=99, lease_seconds=60)
    near = [c for c in claims if c.sha256]
    queue.deliver(connection, 1, [Delivery(claim=c, sha256=c.sha256 or b"", embedding=VECTOR) for c in near])
    for number in (*range(8), SHARED):
        store.put_thumbnail(picture.digest(pictures.draw(number)), b"thumbnail")
    for number in (0, 5):
        asked = cache.of_picture(pictures.draw(number))
        cache.ask(connection, asked)
        cache.answer(connection, 1, asked, VECTOR)  # type: ignore[arg-type]
    return connection


def traces(connection: Connection, words: list[str]) -> dict[str, int]:
    """Count the rows, in every table there is, whose text holds one of the words."""
    tables = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'imgsearch'::regnamespace AND relkind IN ('r', 'p', 'm')"
    ).fetchall()
    found = {}
    for (table,) in tables:
        query = SQL("SELECT count(*) FROM {} t WHERE t::text ~ ANY (%s)").format(Identifier("imgsearch", table))
        row = connection.execute(query, (words,)).fetchone()
        if row and row[0]:
            found[table] = row[0]
    return found


def bytes_of(store: Store, number: int) -> set[str]:
    digest = picture.digest(pictures.draw(number)).hex()
    return {entry.key for entry in store.objects.entries() if digest in entry.key}


def test_a_forgotten_tenant_leaves_no_byte_and_its_neighbour_keeps_all(shop: Connection, store: Store) -> None:
    digests = [picture.digest(pictures.draw(n)).hex() for n in range(5)]
    assert set(traces(shop, ["acme", *digests])) >= {"image", "job", "embedding_1", "query_vector"}
    theirs = traces(shop, ["globex"])
    gone = upload.forget(shop, tenant="acme", store=store)
    assert (gone.images, gone.objects) == (7, 5)
    assert traces(shop, ["acme", *digests]) == {}
    assert not any(bytes_of(store, n) for n in range(5))
    assert all(len(bytes_of(store, n)) == 2 for n in (5, 6, 7, SHARED)), "bytes and thumbnail"
    assert traces(shop, ["globex"]) == theirs
    assert shop.execute("SELECT * FROM imgsearch.violations").fetchall() == []
    assert upload.forget(shop, tenant="acme", store=store).images == 0, "again is fine"


def test_a_key_and_every_other_row_of_a_tenant_go_too(shop: Connection, store: Store) -> None:
    """Whatever table a later version adds: a column tenant_id is enough."""
    shop.execute(
        "CREATE TABLE imgsearch.later (tenant_id text, note text); INSERT INTO imgsearch.later VALUES ('acme', '1')"
    )
    gone = upload.forget(shop, tenant="acme", store=store)
    assert gone.rows == {"later": 1}


def test_what_a_shop_says_keeps_and_was_asked_goes_too(shop: Connection, store: Store) -> None:
    """Words and their vocabulary, questions that were kept, what is pinned, what was judged: also of lone products."""
    for tenant, word in (("acme", "zebrano"), ("globex", "okapi")):
        shop.execute(
            "INSERT INTO imgsearch.product (tenant_id, product_id, title, words, codes)"
            " SELECT %(t)s, p, %(w)s || p, %(w)s, ARRAY[%(w)s || '-12345'] FROM unnest(ARRAY['p0', 'p5', 'lone']) p",
            {"t": tenant, "w": word},
        )
        shop.execute("SELECT imgsearch.refresh_vocabulary()")
        shop.execute("SELECT imgsearch.set_shop(%s, keep_questions => true)", (tenant,))
        shop.execute("SELECT imgsearch.keep_question(%s, %s)", (f"{word} lamp", tenant))
        shop.execute("SELECT imgsearch.pin(%s, 'p0', query => %s), imgsearch.hide(%s, 'p5')", (tenant, word, tenant))
        shop.execute(
            "INSERT INTO imgsearch.calibration (space_id, kind, tenant_id, scale, bias) VALUES (1, 'text', %s, 9, -3)",
            (tenant,),
        )
    ours = traces(shop, ["acme", "zebrano"])
    assert set(ours) >= {"product", "vocabulary", "past_question", "merchandise", "calibration", "shop"}
    theirs = traces(shop, ["globex", "okapi"])
    upload.forget(shop, tenant="acme", store=store)
    assert traces(shop, ["acme", "zebrano"]) == {}
    assert traces(shop, ["globex", "okapi"]) == theirs
    shop.execute("SELECT imgsearch.refresh_vocabulary()")
    assert traces(shop, ["acme", "zebrano"]) == {}


def test_forgetting_needs_a_connection_of_its_own_and_a_role_that_sees_all(
    shop: Connection, settings: Settings, store: Store
) -> None:
    with db.connect(settings) as lent, pytest.raises(UsageError, match="autocommit"):
        upload.forget(lent, tenant="acme", store=store)
    shop.execute("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA imgsearch TO imgsearch_writer")
    shop.execute("SET ROLE imgsearch_writer")
    with pytest.raises(DatabaseRights, match="one tenant at a time"):
        upload.forget(shop, tenant="acme", store=store)
    with pytest.raises(DatabaseRights, match="one tenant at a time"):
        upload.sweep_store(shop, store, older_than=timedelta(0))
    shop.execute("RESET ROLE")
    assert len(bytes_of(store, 0)) == 2, "to a role behind the wall every byte looks unused"


def test_a_removed_product_takes_vector_and_bits_at_once_and_its_bytes_with_the_sweep(
    shop: Connection, store: Store
) -> None:
    [image_id] = upload.remove(shop, tenant="acme", product_id="p0")
    upload.remove(shop, tenant="acme", product_id=f"p{SHARED}")
    for table in ("image", "embedding_1", "job"):
        query = SQL("SELECT count(*) FROM {} WHERE image_id = %s").format(Identifier("imgsearch", table))
        assert shop.execute(query, (image_id,)).fetchone() == (0,)
    upload.sweep_store(shop, store)
    assert len(bytes_of(store, 0)) == 2, "within the hour it may be an upload in flight"
    swept = upload.sweep_store(shop, store, older_than=timedelta(0))
    assert swept.deleted == 2
    assert bytes_of(store, 0) == set()
    assert len(bytes_of(store, SHARED)) == 2, "the other tenant still sells it"


def test_the_sweep_spares_bytes_that_only_an_address_names(connection: Connection, store: Store) -> None:
    """A row inserted by hand: no worker has filled in the digest yet."""
    uri = store.put(pictures.draw(1))
    connection.execute("INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('acme', 'p', %s)", (uri,))
    assert upload.sweep_store(connection, store, older_than=timedelta(0)).deleted == 0


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "imgsearch", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_line_forgets_copies_and_sweeps(
    shop: Connection, store: Store, environment: dict[str, str], tmp_path: Path
) -> None:
    refused = run(environment, "forget", "acme", "--json")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    gone = run(environment, "forget", "acme", "--yes", "--json")
    assert gone.returncode == 0, gone.stderr
    assert json.loads(gone.stdout)["images"] == 7
    other = (tmp_path / "other").as_uri()
    copied = run(environment, "store", "copy", environment["IMGSEARCH_STORAGE_URL"], other, "--json")
    assert json.loads(copied.stdout) == {"objects": 8, "bytes": pytest.approx(8000, rel=0.9), "damaged": []}
    assert {e.key for e in open_store(other).objects.entries()} == {e.key for e in store.objects.entries()}
    swept = run(environment, "store", "sweep", "--json")
    assert json.loads(swept.stdout)["deleted"] == 0
    assert storage.open_store(other).get(store.put(pictures.draw(5))) == pictures.draw(5)
