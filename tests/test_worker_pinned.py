"""A branch of the hub that moves never stops a pod: a worker loads the commit that made its space."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench.soak import pictures
from imgsearch.ingest import upload
from imgsearch.settings import Settings
from imgsearch.spaces import space as spaces
from tests import tiny_siglip
from tests.conftest import with_settings
from tests.processes import WorkerProcess, eventually

MODEL = "shop/shoes"
FIRST, SECOND = "a" * 40, "b" * 40


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """What the hub's client keeps of two commits of a model; nothing is asked of the network."""
    kept = tmp_path / "hub" / f"models--{MODEL.replace('/', '--')}"
    for seed, commit in enumerate((FIRST, SECOND)):
        tiny_siglip.save(kept / "snapshots" / commit, "demo", seed=seed)
    (kept / "refs").mkdir()
    return kept


def test_a_pod_that_starts_after_the_branch_moved_goes_on_in_its_space(
    settings: Settings, connection: psycopg.Connection[Any], hub: Path, tmp_path: Path
) -> None:
    shop = with_settings(settings, MODEL=MODEL, DEVICE="cpu")
    keep = {key: value for key, value in os.environ.items() if not key.startswith("IMGSEARCH_")}
    around = keep | shop.environment() | {"HF_HUB_CACHE": str(hub.parent), "HF_HUB_OFFLINE": "1"}
    log = tmp_path / "worker.log"

    def embedded(number: int) -> Any:
        store = upload.open_store(shop.storage_url)
        added = upload.add(connection, pictures.draw(7, 0), product_id=f"p{number}", tenant=f"t{number}", store=store)
        one = "SELECT embedding::text FROM imgsearch.vectors WHERE image_id = %s"
        return eventually(lambda: connection.execute(one, (added.image_id,)).fetchone(), what="the vector")

    (hub / "refs" / "main").write_text(FIRST)
    with WorkerProcess(shop, around, log, "images"):
        before = embedded(1)
    assert spaces.require(connection).revision == FIRST
    (hub / "refs" / "main").write_text(SECOND)
    with WorkerProcess(shop, around, log, "images"):
        assert embedded(2) == before, "the same bytes for another tenant, by the same weights"
    assert spaces.require(connection).revision == FIRST
    assert log.read_text().count("space shoes") == 2
