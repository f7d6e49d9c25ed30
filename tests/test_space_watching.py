"""Each space is seen by those who watch: in `imgsearch status`, and as a label in metrics."""

from __future__ import annotations

from typing import Any

import psycopg
from prometheus_client.parser import text_string_to_metric_families

from imgsearch.ops.gauges import gauges_exposition
from imgsearch.spaces.space import Space
from tests.loops import add_another
from tests.terminal import Run, run

__all__ = ["run"]


def test_status_and_metrics_tell_the_spaces_apart(connection: psycopg.Connection[Any], space: Space, run: Run) -> None:
    assert "space" not in run("status").out.split(), "one space needs no table"
    add_another(connection)
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri) SELECT 'acme', 'p' || n, 'store:' || n"
        " FROM generate_series(1, 3) n"
    )
    connection.execute(
        "UPDATE imgsearch.job SET state = 'failed', error_code = 'missing', error = 'gone'"
        " WHERE space_id = 2 AND image_id = (SELECT min(image_id) FROM imgsearch.image)"
    )
    found = run("status", "--json").document["spaces"]
    assert [(one["name"], one["waiting"], one["failed"]) for one in found] == [(space.name, 3, 0), ("other", 2, 1)]
    shown = run("status").out
    assert [line.split()[-3:] for line in shown.splitlines() if line.split()[:1] == ["other"]] == [["0", "2", "1"]]
    for tenant, waiting in ((None, 2), ("acme", 2), ("nobody", 0)):
        families = text_string_to_metric_families(gauges_exposition(connection, tenant).decode())
        told = {tuple(s.labels.values()): s.value for f in families for s in f.samples if "space_images" in s.name}
        assert (told["other", "pending"], told[space.name, "leased"]) == (waiting, 0)
