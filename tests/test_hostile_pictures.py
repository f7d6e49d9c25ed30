"""Pictures made to hurt cost a refusal: no child dies, none hangs, none grows; every one ends in pixels or a code.

HOSTILE_PICTURES=10000 python -m pytest tests/test_hostile_pictures.py    the long run
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from imgsearch_workers.decoding.decoder import DecodePool
from PIL import Image

from imgsearch.errors import PictureError
from imgsearch.picture import CODES, inspect
from tests.bombs import bombs
from tests.drawn import encoded
from tests.mutants import healthy, mutants
from tests.test_decode_pool import decoders

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="cost is read from /proc: Linux only")

MUTANTS = int(os.environ.get("HOSTILE_PICTURES", "2000"))  # IMGSEARCH_* is cleared by conftest
MOST_CPU = 0.2  # seconds of the child for one refusal
MOST_GROWTH = 64  # MB of the child for one refusal, the file itself among them
MOST_MEMORY = 512  # MB of a child, whatever it is given
MOST_MEMORY_LARGE = 1_200  # MB of the one child for large pictures


@dataclass
class Cost:
    """What the only child of a pool has used so far."""

    pid: int
    cpu: float  # seconds
    peak: int  # MB
    now: int  # MB


def cost(pid: int) -> Cost:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    memory = [int(status[name].split()[0]) // 1024 for name in ("VmHWM", "VmRSS")]
    return Cost(pid, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), *memory)


def outcome(pool: DecodePool, data: bytes) -> str | None:
    """The code of the refusal, or None for pixels."""
    try:
        pool.decode(data)
    except PictureError as error:
        return error.code
    return None


@pytest.fixture
def pool() -> Iterator[DecodePool]:
    with DecodePool(1, 64) as made:
        made.decode(healthy()[0])
        yield made


def test_every_bomb_is_refused_with_its_code_at_once_and_for_little(pool: DecodePool) -> None:
    complaints, seen = [], 0
    (pid,) = decoders()
    for name, data, code in bombs():
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # forgets the peak
        before = cost(pid)
        got = outcome(pool, data)
        after = cost(pid)
        seen += 1
        if got != code:
            complaints.append(f"{name}: {got} instead of {code}")
        if after.cpu - before.cpu > MOST_CPU:
            complaints.append(f"{name}: {after.cpu - before.cpu:.2f} s")
        if after.peak - before.now > MOST_GROWTH:
            complaints.append(f"{name}: {after.peak - before.now} MB")
        complaints += header_complaints(name, data, code)
    assert not complaints
    assert seen >= 50
    assert pool.replaced == 0
    assert decoders() == {pid}


def header_complaints(name: str, data: bytes, code: str | None) -> list[str]:
    """What is wrong with looking at the header here, where nothing confines us."""
    start, got = time.process_time(), None
    try:
        inspect(data)
    except PictureError as error:
        got = error.code
    spent = time.process_time() - start
    wrong = [f"{name}: header {got} instead of {code}"] if got not in (None, code) else []
    return [*wrong, f"{name}: header {spent:.2f} s"] if spent > MOST_CPU else wrong


def _heavy() -> Iterator[bytes]:
    """Within all limits, and as heavy as those allow, in the costliest modes."""
    side = 8_000
    yield encoded(Image.new("RGBA", (side, side), (9, 9, 9, 9)), "PNG", compress_level=1)
    yield encoded(Image.new("RGB", (12_000, 10_000), "red"), "JPEG", progressive=True, subsampling=0)
    yield encoded(Image.new("RGBA", (side, side), (9, 9, 9, 9)), "WEBP", lossless=True, quality=0, method=0)
    yield encoded(Image.new("RGBA", (6_000, 5_000), (9, 9, 9, 9)), "AVIF", speed=10, subsampling="4:4:4")
    tags = Image.Exif()
    tags[0x0112] = 6
    yield encoded(Image.new("RGB", (side, side), "red"), "TIFF", compression="tiff_lzw", exif=tags)


@pytest.mark.slow
def test_every_picture_within_the_limits_is_decoded_and_none_needs_more_than_promised() -> None:
    with DecodePool(1, 256, timeout_s=60) as pool, Watched() as watched:
        assert [outcome(pool, data) for data in _heavy()] == [None] * 5
        assert pool.replaced == 0
    assert max(watched.peaks.values()) <= MOST_MEMORY_LARGE
    assert watched.most_children == 2, "one ordinary, one large at a time"


class Watched(threading.Thread):
    """The peak in MB of each decoder that lives meanwhile, and how many lived at once."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peaks: dict[int, int] = {}
        self.most_children = 0
        self._over = threading.Event()

    def __enter__(self) -> Watched:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(0.01):
            alive = decoders()
            self.most_children = max(self.most_children, len(alive))
            for pid in alive:
                with contextlib.suppress(OSError, KeyError):  # gone meanwhile
                    self.peaks[pid] = max(self.peaks.get(pid, 0), cost(pid).peak)


def test_damaged_pictures_end_in_pixels_or_a_code_and_no_child_dies() -> None:
    with DecodePool(2, 64) as pool, ThreadPoolExecutor(2) as threads:
        results = Counter(threads.map(lambda data: outcome(pool, data), mutants(MUTANTS)))
        peaks = [cost(pid).peak for pid in decoders()]
        replaced = pool.replaced
    print(f"{MUTANTS} mutants: {dict(results.most_common())}; peaks {peaks} MB")
    assert sum(results.values()) == MUTANTS
    assert set(results) <= {None, *CODES}
    assert not set(results) & {"decoder_timeout", "decoder_crashed"}
    assert replaced == 0
    assert max(peaks) <= MOST_MEMORY
    assert results[None] > MUTANTS // 20  # some damage does not matter: the mutants are not all rubbish
    assert results["corrupt"] > MUTANTS // 20
    assert results["truncated"] > MUTANTS // 20
