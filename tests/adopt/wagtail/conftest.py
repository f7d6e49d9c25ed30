"""examples/wagtail_site with collections and images, and a real worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imgsearch.dev import embedded
from tests.adopt import project
from tests.processes import WorkerProcess


@pytest.fixture(scope="session")
def site(servers: embedded.Servers) -> Iterator[Path]:
    """A site of Wagtail's own tables; answers its folder."""
    with project.started(servers, "wagtail_site", "finding") as folder:
        yield folder


@pytest.fixture(scope="session")
def working(site: Path) -> Iterator[WorkerProcess]:
    with project.worker(site) as process:
        yield process
