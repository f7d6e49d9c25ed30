"""The release before this one, taken from this repository's own history into a folder, to run beside this one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from imgsearch.schema import window
from imgsearch.settings import Settings

ROOT = Path(__file__).parent.parent


class NotThere(Exception):
    """The clone does not reach back to the release before."""


def checkout(folder: Path) -> Path:
    """Write the release before into `folder`; return it. Raises NotThere in a clone that does not reach back so far.

    Before there is a release the commit plays one: it is told its number, as a release would have been.
    """
    commit = window.PREVIOUS_COMMIT
    packed = subprocess.run([_tool("git"), "archive", commit], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        raise NotThere(
            f"The release before ({commit[:12]}) is not in this clone, which is shallow or no clone at all: "
            "git fetch --unshallow"
        )
    subprocess.run([_tool("tar"), "-x", "-C", str(folder)], input=packed.stdout, check=True)
    for path, name in (("imgsearch/schema/window.py", "Version"), ("imgsearch/__init__.py", "__version__")):
        _renumber(folder / path, name)
    return folder


def environment(root: Path, settings: Settings) -> dict[str, str]:
    """Return the environment of a process of the code in `root`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("IMGSEARCH_")}
    path = os.pathsep.join(str(root / part) for part in ("", "workers", "dev"))
    return kept | settings.environment() | {"PYTHONPATH": path}


def command(root: Path, settings: Settings, *arguments: str) -> str:
    """Run `imgsearch …` of the code in `root`; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "imgsearch", *arguments],
        cwd=root,
        env=environment(root, settings),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"imgsearch {' '.join(arguments)}: {done.stderr[-2000:]}")
    return done.stdout


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise NotThere(f"The release before is taken from the history by {name}, which is not installed.")
    return found


def _renumber(path: Path, name: str) -> None:
    text = path.read_text(encoding="utf-8")
    changed = re.sub(rf'({name}(?:\(| = )")\d[^"]*(")', rf"\g<1>{window.PREVIOUS}\g<2>", text)
    assert changed != text, f"{path} names no release"
    path.write_text(changed, encoding="utf-8")
