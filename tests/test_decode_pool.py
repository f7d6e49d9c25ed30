"""No picture can hurt the worker: children crash, hang, lie and are killed; the pool and its neighbours go on."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from imgsearch_workers.decoding.decoder import DecodePool
from PIL import Image

from imgsearch import picture
from imgsearch.errors import ImgsearchError, PictureError
from tests.drawn import encoded, scene
from tests.processes import eventually

pytestmark = pytest.mark.slow  # all of them together

SIZE = 64
GOOD = encoded(scene(), "JPEG", quality=90)
EVIL = "tests.evil_decoder_child"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits are the kernel's: Linux only")


@pytest.fixture
def evil() -> Iterator[DecodePool]:
    with DecodePool(2, SIZE, timeout_s=1.0, module=EVIL) as pool:
        yield pool


def code_of(pool: DecodePool, trick: str) -> str:
    return said(pool, trick).code


def said(pool: DecodePool, trick: str) -> PictureError:
    with pytest.raises(PictureError) as caught:
        pool.decode(b"EVIL " + trick.encode())
    return caught.value


def is_right(pool: DecodePool) -> bool:
    return bool((pool.decode(GOOD).pixels == picture.decode(GOOD, SIZE)).all())


def decoders(pid: int | str = "self") -> set[int]:
    """The living decoder processes of a process, whichever of its threads started them."""
    found = set()
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # gone meanwhile
            for child in children.read_text().split():
                with contextlib.suppress(OSError):
                    state = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
                    command = Path(f"/proc/{child}/cmdline").read_bytes()
                    if state != "Z" and (b"decoding.child" in command or b"decoder_child" in command):
                        found.add(int(child))
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_gives_what_decoding_here_gives() -> None:
    with DecodePool(1, SIZE) as pool:
        plain = pool.decode(GOOD)
        assert plain.pixels.dtype == np.uint8
        assert (plain.pixels == picture.decode(GOOD, SIZE)).all()
        assert (plain.width, plain.height, plain.thumbnail) == (300, 200, None)
        shown = pool.decode(encoded(scene(900, 600), "PNG"), thumbnail=True).thumbnail
        with Image.open(io.BytesIO(shown or b"")) as small:
            assert (small.format, small.size) == ("WEBP", (320, 213))
        plain.pixels[:] = 0  # the array is the caller's own


def test_a_refusal_keeps_its_code_and_costs_no_child() -> None:
    bad = {"empty": b"", "not_a_picture": b"prose", "truncated": GOOD[:2_000], "too_many_bytes": bytes(26 << 20)}
    with DecodePool(1, SIZE) as pool:
        pool.decode(GOOD)
        before = decoders()
        for code, data in bad.items():
            with pytest.raises(PictureError) as caught:
                pool.decode(data)
            assert caught.value.code == code
            assert str(caught.value).endswith(picture.CODES[code])
            assert is_right(pool)
        assert decoders() == before


def test_a_crash_is_the_pictures_alone(evil: DecodePool) -> None:
    for nth, trick in enumerate(("segfault", "leave", "error", "hoard"), 1):
        assert code_of(evil, trick) == "decoder_crashed"
        assert evil.replaced == 2 * nth  # every picture is given a second chance
        assert is_right(evil)


def test_a_hang_ends_at_the_time_limit(evil: DecodePool) -> None:
    evil.decode(GOOD)
    for nth, trick in enumerate(("spin", "sleep"), 1):
        start = time.monotonic()
        assert code_of(evil, trick) == "decoder_timeout"
        assert time.monotonic() - start < 60, "it would go on for ever"
        assert evil.replaced == nth
        assert is_right(evil)


def test_a_child_that_lies_is_replaced(evil: DecodePool) -> None:
    for lie in ("too few pixels", "too many pixels", "an endless thumbnail", "an unknown code", "noise"):
        assert code_of(evil, lie) == "decoder_crashed"
        assert is_right(evil)


def test_neighbours_of_bad_pictures_are_unharmed(evil: DecodePool) -> None:
    tricks = [b"EVIL segfault", b"EVIL spin", b"EVIL leave", b"prose"]
    work = [tricks[n // 8 % 4] if n % 8 == 0 else GOOD for n in range(64)]

    def result(data: bytes) -> str:
        try:
            return "right" if (evil.decode(data).pixels == expected).all() else "wrong"
        except PictureError as error:
            return error.code

    expected = picture.decode(GOOD, SIZE)
    with ThreadPoolExecutor(6) as threads:
        results = list(threads.map(result, work))
    assert {results[n] for n in range(64) if n % 8} == {"right"}
    assert [results[n] for n in (0, 8, 16, 24)] == [
        "decoder_crashed",
        "decoder_timeout",
        "decoder_crashed",
        "not_a_picture",
    ]


@LINUX
def test_a_child_killed_by_somebody_else_costs_no_picture() -> None:
    with DecodePool(1, SIZE) as pool:
        pool.decode(GOOD)
        (idle,) = decoders()
        os.kill(idle, signal.SIGKILL)
        assert is_right(pool)
        assert idle not in decoders()
        large = encoded(scene(500, 400).resize((5_000, 4_000), Image.Resampling.NEAREST), "PNG", compress_level=1)
        (busy,) = decoders()
        threading.Timer(0.05, os.kill, (busy, signal.SIGKILL)).start()  # of some 0.3 s of work
        assert pool.decode(large).width == 5_000
        assert pool.replaced == 2


@LINUX
def test_a_child_that_stops_reading_is_killed() -> None:
    with DecodePool(1, SIZE, timeout_s=1.0) as pool:
        pool.decode(GOOD)
        (child,) = decoders()
        os.kill(child, signal.SIGSTOP)
        with pytest.raises(PictureError) as caught:
            pool.decode(GOOD.ljust(20 << 20, b"\0"))
        assert caught.value.code == "decoder_timeout"
        assert not is_alive(child)


PARENT = """
import sys, threading, time
from imgsearch_workers.decoding.decoder import DecodePool
pool = DecodePool(3, 64, timeout_s=60.0, module="tests.evil_decoder_child")
for trick in (b"EVIL spin", b"EVIL sleep"):
    threading.Thread(target=pool.decode, args=(trick,), daemon=True).start()
print("busy", flush=True)
time.sleep(60)
"""


@LINUX
def test_no_child_outlives_a_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"busy\n"
    # One spins, one sleeps, one waits for work.
    children = eventually(lambda: len(found := decoders(parent.pid)) == 3 and found, what="the third decoder")
    parent.kill()
    parent.wait()
    parent.stdout.close()
    eventually(lambda: not any(map(is_alive, children)), what="the end of the children")


def test_a_pool_outlives_the_thread_that_made_it() -> None:
    made: list[DecodePool] = []

    def make() -> None:
        made.append(DecodePool(1, SIZE))
        made[0].decode(GOOD)

    maker = threading.Thread(target=make)
    maker.start()
    maker.join()
    time.sleep(0.3)  # a child that dies with the thread that started it would be dead by now
    with made[0] as pool:
        assert is_right(pool)
        assert pool.replaced == 0


def test_a_child_knows_no_secret_and_no_model(evil: DecodePool, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("IMGSEARCH_DATABASE_URL", "DATABASE_URL", "IMGSEARCH_REDIS_URL", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY")
    for name in secrets:
        monkeypatch.setenv(name, "postgres://shop:hunter2@db/shop")
    with DecodePool(1, SIZE, module=EVIL) as pool:
        environment = json.loads(str(said(pool, "environment")))
        modules = json.loads(str(said(pool, "modules")))
    unsecret = {"PYTHONPATH", "LANG", "LC_CTYPE", "LD_LIBRARY_PATH"}
    assert {name for name in environment if not name.startswith("MALLOC_")} <= unsecret
    assert modules in (["PIL"], ["PIL", "numpy"])  # numpy comes with the decoder of JPEG XL


@LINUX
def test_a_child_that_was_taken_over_can_do_nothing(evil: DecodePool) -> None:
    victim = Path("/tmp/imgsearch-evil-victim")
    victim.touch()
    files = ("read a file", "write a file", "remove a file", "list a folder")
    for trick in (*files, "open a socket", "fork", "run a program", "signal the parent"):
        assert str(said(evil, trick)).startswith("refused: "), trick
    assert victim.exists()
    victim.unlink()
    assert evil.replaced == 0


@LINUX
def test_a_child_is_replaced_after_its_share_of_pictures() -> None:
    with DecodePool(1, SIZE, recycle=3) as pool:
        seen = []
        for _ in range(7):
            pool.decode(GOOD)
            seen.append(decoders())
        assert seen[0] == seen[1] != seen[3] == seen[4] != seen[6]
        assert pool.replaced == 0


@LINUX
def test_a_closed_pool_leaves_nothing_and_says_so() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    pool = DecodePool(3, SIZE)
    pool.decode(GOOD)
    assert len(decoders()) == 3
    pool.close()
    pool.close()
    assert not decoders()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    with pytest.raises(ImgsearchError, match="closed"):
        pool.decode(GOOD)


def test_closing_waits_for_the_picture_at_work_and_refuses_those_that_wait() -> None:
    pool = DecodePool(1, SIZE, timeout_s=2.0, module=EVIL)
    pool.decode(GOOD)
    with ThreadPoolExecutor(3) as threads:
        at_work = threads.submit(pool.decode, b"EVIL spin")
        time.sleep(0.3)
        waiting = threads.submit(pool.decode, GOOD)
        time.sleep(0.1)
        pool.close()
        assert isinstance(at_work.exception(), PictureError)
        assert waiting.exception() is None or isinstance(waiting.exception(), ImgsearchError)


def test_a_decoder_that_cannot_start_is_not_blamed_on_the_picture() -> None:
    with DecodePool(1, SIZE, module="tests.no_such_module") as pool:
        for _ in range(2):
            with pytest.raises(ImgsearchError, match="does not start") as caught:
                pool.decode(GOOD)
            assert not isinstance(caught.value, PictureError)
            assert "import PIL, imgsearch_workers'" in str(caught.value)
