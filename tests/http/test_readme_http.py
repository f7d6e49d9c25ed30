"""The README's HTTP block runs as it stands, against `imgsearch serve` with a key."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from imgsearch.ops import api_keys as keys
from tests.test_readme import ROOT, Connection, blocks, jpeg, shop

__all__ = ["shop"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_every_http_block_runs(shop: Connection, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/red.jpg").write_bytes(jpeg((240, 0, 0)))
    key = keys.create(shop, tenant="acme", scope="write")
    served = {**environment, "IMGSEARCH_HTTP_KEYS": "required", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "imgsearch.flask", "--bind", "127.0.0.1:0"]
    tasks, shows = blocks("bash")
    block = f"{tasks}\necho\n{shows}"
    with subprocess.Popen(command, env=served, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        url = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]  # type: ignore[index]
        try:
            done = subprocess.run(
                ["bash", "-ec", "set -o pipefail\n" + block],
                env=served | {"URL": url, "KEY": key},
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            process.terminate()
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"outcome":"added"' in done.stdout.replace(" ", "")
    assert done.stdout.count('"strategy"') == 5 + 6, (
        "the searches that are shown; others are read by what stands behind"
    )
    assert '"outcome":"missing"' in done.stdout
    assert any(len(line.split()) == 10 for line in done.stdout.splitlines()), "the product ids alone"
