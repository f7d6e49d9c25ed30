"""What an operator sees of a worker: metrics as Prometheus scrapes them, readiness, log lines, traces, queue depth.

Nothing is asserted about how long something takes, except that a wedged worker is found out at all.
"""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml
from imgsearch_workers.process import traces, watchdog
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from bench.idle import per_second
from bench.soak import pictures
from imgsearch.dev.testing import FakeEncoder
from imgsearch.dev.testing.poison import COLOURS
from imgsearch.ingest import upload
from imgsearch.settings import Settings
from tests import loops
from tests.processes import WorkerProcess, eventually

pytestmark = pytest.mark.slow  # all of them together

KEDA = Path(__file__).parents[1] / "examples/kubernetes/keda/scaled-object.yaml"


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def listening(settings: Settings, environment: dict[str, str], tmp_path: Path, port: int) -> Iterator[WorkerProcess]:
    """A worker with its HTTP door open, JSON logs, and a model that some colours hurt."""
    words = ("--listen", str(port), "--log-format", "json")
    poisonous = environment | {"IMGSEARCH_MODEL": "imgsearch.dev.testing:PoisonEncoder"}
    with WorkerProcess(settings, poisonous, tmp_path / "worker.log", "images", *words) as process:
        yield process


def add(connection: psycopg.Connection[Any], settings: Settings, number: int, data: bytes, tenant: str = "acme") -> int:
    store = upload.open_store(settings.storage_url)
    return upload.add(connection, data, product_id=f"p{number}", tenant=tenant, store=store).image_id


def solid(colour: tuple[int, int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (96, 96), colour).save(out, "PNG")
    return out.getvalue()


def get(port: int, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=30, trust_env=False)


def scraped(port: int) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Scrape as Prometheus does: {(sample, labels): value}."""
    answer = get(port, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def test_a_scrape_counts_every_picture_and_times_every_step_and_the_log_names_who_failed(
    listening: WorkerProcess, settings: Settings, connection: psycopg.Connection[Any], port: int
) -> None:
    for number in range(3):
        add(connection, settings, number, pictures.draw(number))
    broken = add(connection, settings, 7, pictures.draw(7, kind="truncated"), tenant="globex")
    wanted = "SELECT count(*) = 3 AND (SELECT count(*) = 1 FROM imgsearch.failures) FROM imgsearch.vectors"
    eventually(lambda: connection.execute(wanted).fetchone()[0], what="three vectors and a failure")  # type: ignore[index]

    def counted() -> dict[Any, float] | None:  # the database knows before the worker has counted
        found = scraped(port)
        return found if found["imgsearch_images_ready_total", frozenset()] == 3 else None

    found = eventually(counted, what="the count of three")
    assert found["imgsearch_images_claimed_total", frozenset()] >= 4
    failed = {dict(labels)["code"]: n for (name, labels), n in found.items() if name == "imgsearch_images_failed_total"}
    assert list(failed.values()) == [1]
    assert set(failed) <= {"truncated", "corrupt"}
    for stage in ("fetch", "decode", "forward", "deliver"):
        assert found["imgsearch_stage_duration_seconds_count", frozenset({("stage", stage)})] >= 1, stage
    assert found["imgsearch_batch_next_size_count", frozenset()] >= 1
    assert found["imgsearch_queue_size", frozenset({("state", "failed")})] == 1
    assert found["imgsearch_queue_size", frozenset({("state", "pending")})] == 0
    assert found["imgsearch_oldest_pending_seconds", frozenset()] == 0
    assert found["imgsearch_worker_ready", frozenset()] == 1
    assert not any("globex" in str(labels) for _, labels in found), "no tenant is a label"

    lines = [json.loads(line) for line in listening.log.read_text().splitlines()]
    [said] = [line for line in lines if line.get("image_id") == broken]
    assert said["tenant_id"] == "globex"
    assert said["code"] in {"truncated", "corrupt"}
    assert said["level"] == "WARNING"
    assert {"time", "message", "attempt", "state"} <= set(said)


def test_readiness_turns_red_when_a_forward_pass_hangs_and_the_process_still_lives(
    listening: WorkerProcess, settings: Settings, connection: psycopg.Connection[Any], port: int
) -> None:
    assert watchdog.SLOW_SECONDS <= 10, "what makes it red within ten seconds"
    eventually(lambda: get(port, "/readyz").status_code == 200, what="readiness")
    add(connection, settings, 1, solid(COLOURS["hangs"]))
    red = eventually(lambda: (a := get(port, "/readyz")).status_code == 503 and a, what="red")
    assert red.json() == {"ok": False, "wrong": ["images: the model does not answer"]}
    assert get(port, "/healthz").status_code == 200
    assert scraped(port)["imgsearch_worker_ready", frozenset()] == 0


def test_idle_workers_leave_the_database_alone(worker: WorkerProcess, connection: psycopg.Connection[Any]) -> None:
    time.sleep(2)  # the start is over
    assert per_second(connection, 6) < 8, "statements per second of one idle worker with both queues"


def test_each_step_is_a_span_that_names_picture_and_tenant_where_opentelemetry_is_set_up(
    settings: Settings, connection: psycopg.Connection[Any], space: Any
) -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    traces._tracer.cache_clear()
    image_id = add(connection, settings, 1, pictures.draw(1))
    with loops.images(settings, FakeEncoder()):
        eventually(lambda: {"imgsearch.deliver"} <= {s.name for s in exporter.get_finished_spans()})
    provider.shutdown()
    by_name = {span.name: dict(span.attributes or {}) for span in exporter.get_finished_spans()}
    assert set(by_name) == {"imgsearch.fetch", "imgsearch.decode", "imgsearch.forward", "imgsearch.deliver"}
    for name in ("imgsearch.fetch", "imgsearch.decode"):
        assert by_name[name]["imgsearch.image_id"] == image_id
        assert by_name[name]["imgsearch.tenant_id"] == "acme"
    assert by_name["imgsearch.forward"] == {"imgsearch.pictures": 1, "imgsearch.space": 1}
    assert "store:" not in str(by_name), "addresses may hold secrets"


def test_without_opentelemetry_a_span_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    traces._tracer.cache_clear()
    with traces.span("imgsearch.fetch"):
        assert traces._tracer() is None
    traces._tracer.cache_clear()


def test_the_keda_example_scales_on_what_waits(
    settings: Settings, connection: psycopg.Connection[Any], space: Any
) -> None:
    documents = {d["kind"]: d for d in yaml.safe_load_all(KEDA.read_text())}
    [trigger] = documents["ScaledObject"]["spec"]["triggers"]
    assert trigger["type"] == "postgresql"
    query = trigger["metadata"]["query"]
    assert connection.execute(query).fetchone() == (0,)
    for number in range(5):
        add(connection, settings, number, pictures.draw(number))
    connection.execute("UPDATE imgsearch.job SET state = 'failed', error_code = 'corrupt' WHERE image_id % 5 = 0")
    assert connection.execute(query).fetchone() == (4,)
