"""`imgsearch demo`: the main job on embedded servers with the real tiny model, as a person and a program see it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgsearch.dev.demo import catalogue

ROOT = Path(__file__).parent.parent
COUNT = 60  # too few for some searches: there is no black lamp, and nothing at all of the smallest tenant

SHOP = catalogue.items(COUNT)


def matches(item: catalogue.Item, wanted: dict[str, Any]) -> bool:
    """Tell by other means whether an item passes the filters of a search."""
    return (
        item.tenant_id == wanted.get("tenant", item.tenant_id)
        and item.category == wanted.get("category", item.category)
        and item.in_stock >= wanted.get("in_stock", False)
        and wanted.get("min_price", 0) <= item.price <= wanted.get("max_price", 1e9)
        and wanted.get("attributes", {}).items() <= item.attributes.items()
    )


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="imgd-"))
    folder.chmod(0o755)
    yield folder
    imgsearch(folder, "down")
    shutil.rmtree(folder, ignore_errors=True)


def imgsearch(home: Path, *arguments: object, seconds: float = 300) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("IMGSEARCH_")}
    return subprocess.run(
        [sys.executable, "-m", "imgsearch", *map(str, arguments)],
        env=environ | {"IMGSEARCH_HOME": str(home), "HF_HUB_OFFLINE": "1", "COLUMNS": "120"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@pytest.fixture(scope="module")
def document(home: Path) -> Any:
    done = imgsearch(home, "demo", "--once", "--json", "--count", COUNT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_one_document_with_six_searches_that_obey_their_filters(document: Any) -> None:
    assert document["images"] == COUNT
    assert len(document["searches"]) == 6
    for search in document["searches"]:
        assert search["sql"].startswith("SELECT * FROM imgsearch.search(")
        assert search["took_ms"] > 0
        distances = [row["distance"] for row in search["rows"]]
        assert len(distances) == min(10, len({i.product_id for i in SHOP if matches(i, search["filter"])})), search[
            "sql"
        ]
        if "vec_of(" in search["sql"]:  # words count as well as looks
            assert distances == sorted(distances)
        for row in search["rows"]:
            assert {"image_id", "product_id", "tenant_id", "category", "price", "title", "distance", "pictures"} <= set(
                row
            )
            wanted = search["filter"]
            assert row["tenant_id"] == wanted.get("tenant", row["tenant_id"])
            assert row["category"] == wanted.get("category", row["category"])
            assert wanted.get("min_price", 0) <= row["price"] <= wanted.get("max_price", 1e9)


def test_words_find_what_they_say(document: Any) -> None:
    red_shoes = [item for item in SHOP if item.category == "shoes" and item.attributes["colour"] == "red"]
    assert len(red_shoes) == 2, "two pictures"
    assert len({item.product_id for item in red_shoes}) == 1, "of one product"
    rows = document["searches"][0]["rows"]
    assert rows[0]["title"] == red_shoes[0].title
    assert len({row["product_id"] for row in rows}) == len(rows), "each product once"


def test_a_search_like_a_picture_says_which_one_also_where_the_wanted_one_is_missing(document: Any) -> None:
    like = [s for s in document["searches"] if "vec_of(" in s["sql"]]
    assert [s["query"].partition(",")[0] for s in like] == ["like this white lamp", "like this red canvas shoe"]


def test_once_leaves_nothing_running(home: Path, document: Any) -> None:
    assert imgsearch(home, "status").returncode == 5, "the servers are stopped"


def test_a_second_run_starts_from_what_is_there_and_stays_up(home: Path, document: Any) -> None:
    began = time.monotonic()
    done = imgsearch(home, "demo", "--count", COUNT)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 60
    assert "imgsearch" in done.stdout.splitlines()[-1] or "down" in done.stdout
    assert "SELECT * FROM imgsearch.search('red shoes', tenant => 'acme'" in done.stdout.replace("\n", " ")

    asked = imgsearch(home, "search", "a red shoe", "--category", "shoes", "--per", "image", "-k", "2", "--json")
    assert asked.returncode == 0, asked.stderr
    titles = [row["title"] for row in json.loads(asked.stdout)["rows"]]
    assert len(titles) == 2
    assert all(title.endswith(", red") for title in titles)

    shown = imgsearch(home, "status", "--json")
    assert json.loads(shown.stdout)["status"]["ready"] == COUNT
    counted = imgsearch(home, "psql", "-Atc", "SELECT count(*) FROM imgsearch.violations")
    assert counted.stdout.strip() == "0", counted.stderr
    assert imgsearch(home, "down").returncode == 0
