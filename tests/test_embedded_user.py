"""The system user that Postgres runs as under root is made once, however many servers start on a fresh machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STARTS = 4
# In a mount namespace of its own: this machine's accounts stay as they are.
FRESH_MACHINE = """
set -e
cp -a /etc "$1/etc" && mount --bind "$1/etc" /etc
sed -i '/^pgserver:/d' /etc/passwd /etc/shadow /etc/group /etc/gshadow
"""
START = r"""
import sys
from pathlib import Path
from imgsearch.dev.embedded.wheel import programs
sys.stdout.write(f"{programs(Path(sys.argv[1]) / 'postgres').account}\n")
"""


def allowed(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="only root may leave its accounts behind")
def test_servers_that_start_at_once_share_the_one_user_that_is_made(tmp_path: Path) -> None:
    if not allowed("unshare", "-m", "true"):
        pytest.skip("this machine lets nobody have mounts of their own")
    useradd = shutil.which("useradd")
    slow, made = tmp_path / "bin" / "useradd", tmp_path / "made"
    slow.parent.mkdir()
    # useradd looks whether there is such a user, then waits for its lock: in between another one can make it.
    slow.write_text(f'#!/bin/sh\necho made >> {made}\nsleep 1\nexec {useradd} "$@"\n')
    slow.chmod(0o755)
    starts = "\n".join(f'mkdir "$1/{n}"; "$2" -c "$3" "$1/{n}" &' for n in range(STARTS))
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", f"{FRESH_MACHINE}\n{starts}\nwait", "-", str(tmp_path), sys.executable, START],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PATH": f"{slow.parent}:{os.environ['PATH']}"},
        timeout=120,
        check=False,
    )
    accounts = done.stdout.splitlines()
    assert len(accounts) == STARTS, done.stderr
    assert len(set(accounts)) == 1
    assert made.read_text().split() == ["made"]
