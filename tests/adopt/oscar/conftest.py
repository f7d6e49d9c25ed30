"""examples/oscar_shop, filled, with a real worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imgsearch.dev import embedded
from tests.adopt import project
from tests.adopt.conftest import step
from tests.processes import WorkerProcess

PRODUCTS = 120


@pytest.fixture(scope="session")
def shop(servers: embedded.Servers) -> Iterator[Path]:
    """A shop of Oscar's own tables, filled before anybody thought of pictures; answers its folder."""
    with project.started(servers, "oscar_shop", "looks") as folder:
        from looks.filling import fill

        with step(f"{PRODUCTS} products with pictures, stock and categories"):
            fill(PRODUCTS)
        yield folder


@pytest.fixture(scope="session")
def working(shop: Path) -> Iterator[WorkerProcess]:
    with project.worker(shop) as process:
        yield process
