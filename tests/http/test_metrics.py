"""What a web process tells Prometheus of its searches, and the log of its operator of slow ones."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from imgsearch.flask import create_app
from imgsearch.http import watched
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.slow_searches import SlowSearches
from imgsearch.retrieval import Hits, Ranking
from imgsearch.settings import Settings
from tests.http.conftest import Teach, with_key

Connection = psycopg.Connection[Any]
ROOT = Path(__file__).parents[2]


def scraped(client: FlaskClient, key: str | None = None) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """Scrape: {sample: {labels: value}}."""
    answer = client.get("/metrics", headers=with_key(key) if key else {})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(answer.get_data(as_text=True)):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def labels(**given: str) -> frozenset[tuple[str, str]]:
    return frozenset(given.items())


def test_a_scrape_tells_how_searches_were_found_how_full_their_pages_were_and_which_were_refused(
    anyone: FlaskClient, shop: list[int], teach: Teach
) -> None:
    for k in (5, 10):
        assert anyone.post("/v1/search", json={"text": "red shoe", "k": k}).status_code == 200
    assert anyone.post("/v1/search", json={"text": "red shoe", "category": ["hats"]}).status_code == 200
    assert anyone.post("/v1/search", json={"text": ""}).status_code == 400
    found = scraped(anyone)
    pages = found["imgsearch_search_pages_total"]
    assert pages[labels(strategy="exact", outcome="full")] == 2
    assert pages[labels(strategy="exact", outcome="empty")] == 1
    assert found["imgsearch_search_duration_seconds_count"][labels(strategy="exact")] == 3
    assert sum(found["imgsearch_question_duration_seconds_count"].values()) == 3
    assert {source for key in found["imgsearch_question_duration_seconds_count"] for _, source in key} <= {
        "memory",
        "database",
    }
    assert sum(found["imgsearch_http_errors_total"].values()) == 1
    assert found["imgsearch_query_workers"][labels()] == 0
    assert found["imgsearch_database_size_bytes"][labels()] > 1e6
    assert found["imgsearch_store_free_bytes"][labels()] > 0
    assert not any(one in str(found) for one in ("acme", "shoe", "hats")), "no tenant and no text is a label"


def test_waits_for_a_query_worker_are_counted_by_how_they_end(anyone: FlaskClient, shop: list[int]) -> None:
    assert anyone.post("/v1/search", json={"text": "never asked"}).status_code == 503
    found = scraped(anyone)
    assert found["imgsearch_query_wait_seconds_count"] == {labels(outcome="no_query_worker"): 1}
    assert found["imgsearch_http_errors_total"][labels(code="no_query_worker")] == 1


def test_a_tenants_administrator_sees_neither_other_tenants_nor_how_busy_the_process_is(
    client: FlaskClient, shop: list[int], key_of: Any
) -> None:
    found = scraped(client, key_of("acme", "admin"))
    assert "imgsearch_queue_size" in found
    for hidden in ("search_duration_seconds_count", "queries_waiting", "database_size_bytes", "recall"):
        assert f"imgsearch_{hidden}" not in found


@pytest.mark.parametrize(
    ("given", "rows", "matches", "complete", "wanted"),
    [
        ({}, 10, 30, True, "full"),
        ({}, 3, 3, True, "end"),
        ({}, 3, 30, True, "short"),
        ({}, 0, 0, True, "empty"),
        ({"skip": 27}, 3, 30, True, "end"),
        ({"max_distance": 0.5}, 3, 30, True, "cut"),
        ({"max_distance": 0.5}, 3, 30, False, "uncertain"),
        ({"ranking": Ranking(cutoff="auto")}, 0, 30, True, "empty"),
        ({"ranking": Ranking(look_weight=0.0)}, 2, 30, True, "cut"),
        ({"after": "0.1,7"}, 3, 30, True, "end"),
    ],
)
def test_a_page_is_short_only_where_more_match_and_nothing_was_to_be_left_out(
    given: dict[str, Any], rows: int, matches: int, complete: bool, wanted: str
) -> None:
    hits = Hits([object()] * rows, matches=matches, complete=complete, strategy="hnsw")  # type: ignore[list-item]
    assert watched.outcome(SearchRequest(**given), hits) == wanted


@pytest.mark.parametrize("texts", ["hidden", "shown"])
def test_a_slow_search_is_explained_in_the_log_without_what_was_asked_for_unless_it_is_to_be_shown(
    settings: Settings, shop: list[int], connection: Connection, caplog: pytest.LogCaptureFixture, texts: str
) -> None:
    given = {**settings.environment(), "SLOW_SEARCH_MS": "0.001", "SLOW_SEARCH_TEXTS": texts}
    app = create_app(given, allow_anonymous=True)
    client = app.test_client()
    asked = {"text": "red shoe", "category": ["bags"], "attributes": {"colour": "blue"}, "max_price": 77.5}
    # Where products have words, an explanation quotes those that were asked.
    connection.execute(
        "INSERT INTO imgsearch.product (tenant_id, product_id, title)"
        " SELECT tenant_id, product_id, 'hat' FROM imgsearch.image LIMIT 1"
    )
    try:
        with caplog.at_level(logging.WARNING, "imgsearch.slow"):
            for _ in range(3):
                with client.post("/v1/search", json=asked) as answer:  # its end writes the line
                    assert answer.status_code == 200
        lines = [
            json.loads(r.getMessage().removeprefix("slow search: "))
            for r in caplog.records
            if r.name == "imgsearch.slow"
        ]
        assert len(lines) == 1, "one line in ten seconds"
        [line] = lines
        assert line["strategy"] == "exact"
        assert {"category", "attributes", "max_price"} <= set(line["filters"])
        assert any("exact: compared every image that matches" in one for one in line["how"])
        secrets = ("red shoe", "bags", "blue", "77.5")
        assert [one in json.dumps(line) for one in secrets] == [texts == "shown"] * 4
        assert scraped(client)["imgsearch_slow_searches_total"][labels()] == 3
    finally:
        app.extensions["imgsearch"].close()


def test_a_line_says_how_many_were_slow_since_the_last() -> None:
    slow = SlowSearches(100, every=0.0)
    assert not slow.is_slow(99)
    assert slow.is_slow(100)
    assert slow.turn() == 1
    patient = SlowSearches(100)
    assert [patient.turn() for _ in range(3)] == [1, 0, 0]
    patient._next = 0.0
    assert patient.turn() == 3
    assert not SlowSearches(0).is_slow(1e9), "0: none"


def test_processes_of_one_server_are_added_up_and_the_hosts_own_metrics_left_out(tmp_path: Path) -> None:
    """As under gunicorn: several processes count, any one of them is scraped."""
    program = (
        "from imgsearch.http.metrics import WebMetrics; from prometheus_client import Counter; import sys; "
        "m = WebMetrics(); m.searched('hnsw', 'full', 0.01); Counter('host_orders', 'theirs').inc(); "
        "sys.stdout.write(m.exposition().decode())"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for count in (1, 2, 3):
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert f'imgsearch_search_pages_total{{outcome="full",strategy="hnsw"}} {count}.0' in done.stdout
        assert "host_orders" not in done.stdout


def test_the_command_line_tells_the_same_gauges(
    open_app: Flask, shop: list[int], connection: Connection, run: Any, environment: dict[str, str]
) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "imgsearch", "status", "--prometheus"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout
    mine = {family.name for family in text_string_to_metric_families(told) if family.samples}
    assert {"imgsearch_queue_size", "imgsearch_query_workers", "imgsearch_database_size_bytes"} <= mine
    assert mine <= {name.removesuffix("_total") for name in scraped(open_app.test_client())}


def test_recall_is_told_once_it_was_measured(
    anyone: FlaskClient, shop: list[int], connection: Connection, environment: dict[str, str]
) -> None:
    assert "imgsearch_recall" not in scraped(anyone)
    command = [sys.executable, "-m", "imgsearch", "index", "recall", "--keep", "--seconds", "2", "--json"]
    subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=ROOT)
    found = scraped(anyone)
    [(space, recall)] = found["imgsearch_recall"].items()
    assert dict(space)["space"]
    assert 0.9 <= recall <= 1
    assert next(iter(found["imgsearch_recall_age_seconds"].values())) < 60
