"""docs/models.md is true: its encoder runs, its command answers, its table is the code's own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from imgsearch_workers.model import encoder as encoders
from imgsearch_workers.model import probe
from imgsearch_workers.model.kinds import KINDS

import imgsearch
from bench.soak import pictures
from imgsearch.ingest import upload
from imgsearch.settings import Settings
from tests.conftest import with_settings
from tests.terminal import Run
from tests.test_readme import DOCS, ROOT, blocks

PAGE = DOCS["models.md"]


def test_the_encoder_of_ones_own_is_one(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    [recipe] = blocks("python", PAGE)
    (tmp_path / "colours_of_mine.py").write_text(recipe)
    monkeypatch.syspath_prepend(tmp_path)
    name = "colours_of_mine:Colours"
    mine: Any = encoders.load(with_settings(settings, MODEL=name), name, with_texts=True)
    vectors = mine.embed_pictures(probe.drawn(5, mine.size))
    assert vectors.shape == (5, mine.dimension)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert encoders.geometry_of(mine).mode == "crop"
    assert not encoders.described(mine, with_mean=True).texts
    assert len(mine.describe().mean) == mine.dimension
    assert not encoders.reads_texts(encoders.SharedEncoder(mine))


def test_the_command_answers() -> None:
    block = blocks("console", PAGE)[0]
    command = [sys.executable, *shlex.split(block.strip())[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT, env=os.environ, check=True)
    assert "kind        siglip, squash-1" in done.stdout


def test_vectors_of_ones_own(settings: Settings, connection: psycopg.Connection[Any], run: Run) -> None:
    text = PAGE.split("## Vectors of your own")[1].split("\n## ")[0]
    making, filling = blocks("console", text)
    for line in making.splitlines():
        assert run(*shlex.split(line)[1:], **settings.environment()).code == 0
    [recipe] = blocks("py", text)
    names: dict[str, Any] = {"imgsearch": imgsearch, "connection": connection, "jpeg": pictures.draw(1)}
    store = upload.open_store(settings.storage_url)
    exec(recipe.replace('space="mine")', 'space="mine", store=store)', 1), names | {"store": store}, names)  # noqa: S102
    assert [hit.product_id for hit in names["found"]] == ["sku-1"]
    [statements] = blocks("sql", text)
    *set_vector, told = [one for one in statements.split(";\n") if one]
    assert [connection.execute(one).fetchall() for one in set_vector] == [[(True,)], [(True,)]]
    assert connection.execute(told).fetchall() == [("mine", 1, 0)]
    assert run(*shlex.split(filling)[1:], **settings.environment()).code == 0


def test_every_kind_stands_in_the_table() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    for model_type, kind in KINDS.items():
        [row] = [row for row in rows if f"`{model_type}`" in row]
        assert ("**no**" in row) == (not kind.texts)
