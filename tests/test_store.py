"""The picture store keeps the same bytes once, whole or not at all, in a folder, in memory and in S3 alike."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from imgsearch.errors import FetchRefused, ObjectMissing, SettingsError, StoreDenied, StoreError
from imgsearch.storage.store import Store, open_store, sha256_of, sweep, uri_of

DATA = b"\xff\xd8\xff a picture"
SHA256 = hashlib.sha256(DATA).digest()
KEY = f"{SHA256[:1].hex()}/{SHA256.hex()}"
NONE = uri_of(bytes(32))


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """A real S3 API over HTTP, in its own process, with one bucket; answers its endpoint."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    ask(f"{endpoint}/pictures", "PUT")
                    break
                except OSError:
                    assert server.poll() is None, "moto does not start"
                    assert time.monotonic() < deadline, "moto takes too long"
                    time.sleep(0.1)
            yield endpoint
        finally:
            server.kill()


def ask(url: str, method: str, body: bytes | None = None) -> None:
    request = urllib.request.Request(url, body, {"Content-Type": "application/octet-stream"}, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=5):  # noqa: S310
        pass


@pytest.fixture
def s3(moto: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Store]:
    """Return how to open a store in the bucket, under a prefix."""
    for name, value in {
        "ENDPOINT_URL": moto,
        "ACCESS_KEY_ID": "test",
        "SECRET_ACCESS_KEY": "test",
        "REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return lambda prefix: open_store(f"s3://pictures/{prefix}", timeout=5)


@pytest.fixture(params=["file", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    if request.param == "file":
        return open_store(f"{tmp_path.as_uri()}/a%20b/pictures")
    if request.param == "memory":
        return open_store(f"memory://{tmp_path.name}")
    open_s3: Callable[[str], Store] = request.getfixturevalue("s3")
    return open_s3(f"deep/{tmp_path.name}")


def test_what_is_put_can_be_got(store: Store) -> None:
    uri = store.put(DATA)
    assert uri == f"store:{KEY}"
    assert uri == uri_of(SHA256)
    assert sha256_of(uri) == SHA256
    assert store.get(uri) == DATA
    assert store.get(uri, len(DATA)) == DATA
    assert store.get(store.put(b"")) == b""
    big = os.urandom(7_000_000)
    assert store.get(store.put(big)) == big
    assert store.exists(uri)
    assert not store.exists(NONE)


def test_the_same_bytes_are_one_object(store: Store) -> None:
    assert store.put(DATA) == store.put(DATA)
    found = list(store.keys())
    assert [(uri, size) for uri, size, _ in found] == [(f"store:{KEY}", len(DATA))]
    assert abs(found[0].modified - datetime.now(UTC)) < timedelta(minutes=1)


def test_too_many_bytes_are_refused(store: Store) -> None:
    with pytest.raises(FetchRefused, match="smaller picture"):
        store.get(store.put(DATA), len(DATA) - 1)


def test_a_missing_object_says_so(store: Store) -> None:
    for ask_for in (lambda: store.get(NONE), lambda: store.get_thumbnail(bytes(32))):
        store.put(DATA)  # an empty folder would be a missing one
        with pytest.raises(ObjectMissing, match="add the picture again"):
            ask_for()
    store.delete(NONE)


def test_thumbnails_stand_beside_and_go_along(store: Store) -> None:
    uri = store.put(DATA)
    store.put_thumbnail(SHA256, b"old")
    store.put_thumbnail(SHA256, b"RIFF webp")
    assert store.get_thumbnail(SHA256) == b"RIFF webp"
    assert {entry.key for entry in store.objects.entries()} == {KEY, f"thumb/{KEY}.webp"}
    assert [stored.uri for stored in store.keys()] == [uri]  # noqa: SIM118 a method, not a mapping
    store.delete(uri)
    assert list(store.objects.entries()) == []


@pytest.mark.parametrize(
    "uri",
    ["store:../../etc/passwd", "store:ab/../../x", "store:", "file:///x", f"store:{KEY}x", f"store:{KEY.upper()}",
     f"store:00/{SHA256.hex()}", f"store:/{KEY}", f"store:{KEY}\n", f"store:thumb/{KEY}.webp", f"store://{KEY}"],
)  # fmt: skip
def test_other_addresses_never_reach_the_place(uri: str, store: Store) -> None:
    for use in (store.get, store.exists, store.delete):
        with pytest.raises(FetchRefused, match=r"Store\.put"):
            use(uri)


def test_a_sweep_takes_what_no_row_uses_after_the_grace_period(store: Store) -> None:
    kept, orphan = store.put(DATA), store.put(b"orphan")
    for uri in (kept, orphan):
        store.put_thumbnail(sha256_of(uri), b"t")
    store.objects.write("notes/readme.txt", b"not ours")
    asked: list[bytes] = []

    def used(digests: list[bytes]) -> set[bytes]:
        asked.extend(digests)
        return {SHA256} & set(digests)

    assert sweep(store, used)[:2] == (4, 0)
    assert asked == [], "nothing is old enough to be asked for"
    time.sleep(1.1)  # S3 tells times in whole seconds
    swept = sweep(store, used, timedelta(0))
    assert swept == (4, 2, len(b"orphan") + 1)
    assert set(asked) == {SHA256, sha256_of(orphan)}
    assert store.get(kept) == DATA
    assert store.get_thumbnail(SHA256) == b"t"
    assert not store.exists(orphan)
    assert store.objects.read("notes/readme.txt", 100) == b"not ours"


def test_a_sweep_asks_for_a_thousand_at_a_time(tmp_path: Path) -> None:
    store = open_store(f"memory://{tmp_path.name}")
    for number in range(2500):
        store.objects.write(uri_of(hashlib.sha256(str(number).encode()).digest()).removeprefix("store:"), b"x")
    sizes: list[int] = []

    def used(digests: list[bytes]) -> set[bytes]:
        sizes.append(len(digests))
        return set(digests[:-1])

    assert sweep(store, used, timedelta(0)) == (2500, 3, 3)
    assert sizes == [1000, 1000, 500]


def test_copying_moves_everything_and_may_be_repeated(tmp_path: Path, s3: Callable[[str], Store]) -> None:
    here, there, back = open_store(tmp_path.as_uri()), s3(tmp_path.name), open_store(f"memory://{tmp_path.name}")
    uris = {here.put(os.urandom(2000)) for _ in range(60)}
    here.put_thumbnail(SHA256, b"thumbnail")
    seen: list[tuple[int, int]] = []
    assert here.copy_to(there, lambda *now: seen.append(now)) == (61, 60 * 2000 + 9, ())
    assert [objects for objects, _ in seen] == list(range(1, 62))
    assert here.copy_to(there) == (0, 0, ())
    assert there.copy_to(back).objects == 61
    assert {stored.uri for stored in back.keys()} == uris  # noqa: SIM118
    assert back.get_thumbnail(SHA256) == b"thumbnail"


def test_copying_leaves_damaged_objects_out(tmp_path: Path) -> None:
    here, there = open_store((tmp_path / "here").as_uri()), open_store((tmp_path / "there").as_uri())
    here.put(DATA)
    (tmp_path / "here" / KEY).write_bytes(DATA[:-1])
    assert here.copy_to(there) == (0, 0, (KEY,))
    assert list(there.keys()) == []
    assert here.get(here.put(DATA)) == DATA, "putting the picture again heals it"


@pytest.mark.parametrize(
    "url",
    ["", "pictures", "/pictures", "file:pictures", "file://host/pictures", "file:///p?x", "ftp://x/y", "http://x/",
     "s3:", "s3://", "az://container/prefix", "memory:", "S3//x"],
)  # fmt: skip
def test_a_bad_setting_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AZURE_"):
            monkeypatch.delenv(name)
    with pytest.raises(SettingsError, match="IMGSEARCH_STORAGE_URL"):
        open_store(url)


def test_memory_is_shared_within_the_process_by_name() -> None:
    uri = open_store("memory://one").put(DATA)
    assert open_store("memory://one").get(uri) == DATA
    assert not open_store("memory://two").exists(uri)


def test_the_second_put_writes_nothing_and_an_old_object_becomes_young(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    store.put(DATA)
    path = tmp_path / KEY
    recent, old = time.time() - 60, time.time() - 7200
    os.utime(path, (recent, recent))
    before = path.stat()
    store.put(DATA)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    os.utime(path, (old, old))
    store.put(DATA)
    assert path.stat().st_ino == before.st_ino
    assert sweep(store, lambda digests: set()).deleted == 0, "an upload in flight of bytes we once had is safe"
    os.utime(path, (old, old))
    assert sweep(store, lambda digests: set()).deleted == 1


def test_a_missing_bucket_is_not_a_missing_picture(s3: Callable[[str], Store]) -> None:
    with pytest.raises(StoreError, match="make it or check IMGSEARCH_STORAGE_URL") as caught:
        open_store("s3://no-such-bucket", timeout=5).get(NONE)
    assert type(caught.value) is StoreError


def test_wrong_credentials_are_denied(moto: str, s3: Callable[[str], Store]) -> None:
    store = s3("denied")
    uri = store.put(DATA)
    ask(f"{moto}/moto-api/reset-auth", "POST", b"0")  # from here on moto knows nobody
    try:
        for use in (lambda: store.get(uri), lambda: store.put(b"new"), lambda: list(store.keys())):
            with pytest.raises(StoreDenied, match="credentials"):
                use()
    finally:
        ask(f"{moto}/moto-api/reset-auth", "POST", b"inf")
    assert store.get(uri) == DATA
