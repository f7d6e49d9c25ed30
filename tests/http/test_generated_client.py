"""The client that openapi-python-client makes of the document imports, adds files, searches, pages on and deletes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from imgsearch.http import openapi
from imgsearch.spaces.space import Space
from tests.http import generator
from tests.http.server import serving
from tests.http.test_api import jpeg
from tests.processes import WorkerProcess

SCRIPT = Path(__file__).with_name("generated_client_script.py")
COLOURS = {"red": (250, 10, 10), "green": (10, 250, 10), "blue": (10, 10, 250)}


def test_a_generated_client_does_what_people_do(
    environment: dict[str, str],
    space: Space,
    worker: WorkerProcess,
    key_of: Callable[..., str],
    tmp_path: Path,
    folder: Path,
) -> None:
    said = generator.generate(openapi.document(), tmp_path)
    assert "arning" not in said, said
    for name, colour in COLOURS.items():
        (folder / f"{name}.jpg").write_bytes(jpeg(colour))
    with serving(environment, IMGSEARCH_HTTP_KEYS="required") as served:
        done = subprocess.run(
            [generator.python(), SCRIPT, served.url, key_of("acme", "admin"), folder],
            env={"PYTHONPATH": str(tmp_path), "PATH": environment["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("modules") > 30
    pages = found.pop("pages")
    assert [len(page) for page in pages] == [2, 1]
    assert sorted(name for page in pages for name in page) == sorted(COLOURS)
    assert found == {
        "outcomes": ["added"] * 3,
        "filtered": ["blue", "green"],
        "nearest": ["green"],
        "dimensions": [48, 48],
        "deleted": 204,
        "bands": [[5, 3]],
        "inks": {"ink": 3},
        "choices": ["blue", "green", "red"],
        "changed": [1, True, False],
        "bulk": ["changed", "missing", "failed"],
        "listed": 2,
        "removed": 204,
        "problem": [404, "unknown_image"],
        "refused": [400, "query_error"],
        "images": 1,
        "alive": True,
    }
