"""A crash, a full disk, a foreign folder or a sweep beside an upload never costs a picture in a folder."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from imgsearch.errors import StoreDenied, StoreError
from imgsearch.storage.files import UNFINISHED
from imgsearch.storage.store import open_store, sha256_of, sweep, uri_of

DATA = b"\xff\xd8\xff a picture"
SHA256 = hashlib.sha256(DATA).digest()
KEY = f"{SHA256[:1].hex()}/{SHA256.hex()}"
NONE = uri_of(bytes(32))


class Between:
    """Runs `act` once, just before the `turn`-th time (from 0) that this process renames or deletes a file."""

    def __init__(self) -> None:
        self.act: Callable[[], object] | None = None
        self.turn = 0

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if self.act is None or event not in {"os.rename", "os.remove"}:
            return
        self.turn -= 1
        if self.turn < 0:
            act, self.act = self.act, None
            act()


@pytest.fixture(scope="module")
def between() -> Between:
    hook = Between()
    sys.addaudithook(hook)  # cannot be taken out again; it does nothing without `act`
    return hook


@pytest.mark.parametrize("turn", [0, 1])
def test_an_upload_between_two_steps_of_a_sweep_keeps_its_picture(tmp_path: Path, between: Between, turn: int) -> None:
    store = open_store(tmp_path.as_uri())
    uri, old = store.put(DATA), time.time() - 7200
    os.utime(tmp_path / KEY, (old, old))
    uploaded: list[str] = []
    between.act, between.turn = lambda: uploaded.append(store.put(DATA)), turn
    sweep(store, lambda digests: set())
    assert uploaded == [uri]
    assert store.get(uri) == DATA
    assert list((tmp_path / UNFINISHED).iterdir()) == []


WRITER = """
import os, sys
from imgsearch.storage.store import open_store
store = open_store(sys.argv[1])
print("ready", flush=True)
while True:
    store.put(os.urandom(3_000_000))
"""


def test_a_killed_writer_leaves_no_half_object(tmp_path: Path) -> None:
    whole = 0
    for turn in range(5):
        command = [sys.executable, "-c", WRITER, tmp_path.as_uri()]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(0.05 + turn * 0.013)
            writer.send_signal(signal.SIGKILL)
    store = open_store(tmp_path.as_uri())
    for uri, _, _ in store.keys():  # noqa: SIM118 a method, not a mapping
        assert hashlib.sha256(store.get(uri)).digest() == sha256_of(uri)
        whole += 1
    assert whole > 0
    (tmp_path / UNFINISHED / "left").write_bytes(b"half")
    sweep(store, set, timedelta(0))
    assert list((tmp_path / UNFINISHED).iterdir()) == []


FULL = """
import os, resource, signal, sys
from imgsearch.errors import StoreError
from imgsearch.storage.store import open_store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    open_store(sys.argv[1]).put(os.urandom(1_000_000))
except StoreError as error:
    print(type(error).__name__)
"""


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, tmp_path.as_uri()], capture_output=True, text=True, check=True)
    assert done.stdout == "StoreError\n"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_folder_that_is_not_mounted_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="mount it") as caught:
        open_store(f"{tmp_path.as_uri()}/gone").get(NONE)
    assert type(caught.value) is StoreError


def test_a_folder_of_somebody_else_is_denied(tmp_path: Path) -> None:
    store = open_store(f"{tmp_path.as_uri()}/shut")
    uri = store.put(DATA)
    (tmp_path / "shut").chmod(0)
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setuid(65534)  # root is denied nothing
        denied = 0
        for use in (lambda: store.get(uri), lambda: store.put(b"x"), lambda: list(store.keys())):
            try:
                use()
            except StoreDenied as error:
                denied += "check owner and mode" in str(error)
        os._exit(denied)
    _, status = os.waitpid(child, 0)
    (tmp_path / "shut").chmod(0o700)
    assert os.waitstatus_to_exitcode(status) == 3
