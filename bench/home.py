"""A place of its own for the embedded servers of a run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgsearch.dev import embedded


@contextmanager
def fresh_home(prefix: str) -> Iterator[Path]:
    """Yield a short path that another system user can reach: Postgres does not run as root. What runs there ends."""
    made = Path(tempfile.mkdtemp(prefix=prefix))
    made.chmod(0o755)
    try:
        yield made
    finally:
        embedded.stop(made)
        shutil.rmtree(made, ignore_errors=True)
