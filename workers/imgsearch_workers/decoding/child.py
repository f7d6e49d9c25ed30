"""The confined process that decodes strangers' pictures: `python -P -m imgsearch_workers.decoding.child OPTIONS`.

It imports Pillow and nothing else of weight, gives up what it does not need (memory, CPU time, files, new rights),
then answers frames on its standard input until that closes. Never a pickle, in neither direction.

    request   REQUEST (flags, length of a region's text, length), then that text and the file's bytes
    answer    REPLY (kind, pixels, thumbnail, width, height), then CAPTURE, RGB bytes, PLANE bytes for a
              fingerprint, a WebP and, if asked for, a sketch of SKETCH bytes; or an error as JSON
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imgsearch.errors import PictureError
from imgsearch.picture.geometry import Geometry
from imgsearch.picture.limits import Limits
from imgsearch.picture.region import Region
from imgsearch_workers.decoding import sandbox

if TYPE_CHECKING:
    from imgsearch.picture.capture import Capture
    from imgsearch.picture.pixels import Square

REQUEST = struct.Struct("<BBI")
REPLY = struct.Struct("<BIIII")
PLANE = 4096 + 22 * 22 + 2 * 6 * 6  # bytes: grey levels for PDQ, then tiles
CAPTURE = struct.Struct("<Bddd")  # what it says, seconds since 1970, latitude, longitude
TIME, ZONE, PLACE = 1, 2, 4  # what a capture says
WITH_THUMBNAIL, WITH_SKETCH = 1, 2  # request flags
SKETCH = 64 * 64 * 3  # bytes: the picture squashed, for what looks for its parts
PIXELS, REFUSAL, READY, PIXELS_OF_A_CUT_FILE = 0, 1, 2, 3  # kinds of answer

# More threads than the machine has now that a child may see: others start some, and a child that was taken over may not
# start thousands. A picture that gets no thread ends its child, and is given to a fresh one, which counts anew.
_SPARE_THREADS = 256
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


@dataclass(frozen=True)
class Options:
    """What the parent fixes for the life of a child: `geometry` of the pixels, `memory` in bytes above the start."""

    geometry: Geometry
    limits: Limits
    timeout_s: float
    memory: int
    parent: int

    def as_argument(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls, text: str) -> Options:
        fields = json.loads(text)
        made = {"geometry": Geometry(**fields["geometry"]), "limits": Limits(**fields["limits"])}
        return cls(**{**fields, **made})


Work = Callable[[bytes, int, Region | None], "Square"]


def main() -> int:
    """Decode until the parent goes away."""
    options = Options.from_argument(sys.argv[1])
    source, sink = take_pipes()
    work = prepare(options)
    confine(options)
    return serve(work, options, source, sink)


def prepare(options: Options) -> Work:
    """Import the decoders and use each once, so that nothing is opened or imported later."""
    from PIL import AvifImagePlugin

    from imgsearch.picture.pixels import square
    from imgsearch.picture.samples import is_installed, samples

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # threads would each reserve address space
    if is_installed("HEIF"):
        from pi_heif import options as heif

        heif.DECODE_THREADS, heif.DEPTH_IMAGES, heif.THUMBNAILS = 1, False, False
    for sample in samples():
        square(sample, 8, with_thumbnail=True)

    def work(data: bytes, flags: int, region: Region | None) -> Square:
        with_thumbnail, with_sketch = bool(flags & WITH_THUMBNAIL), bool(flags & WITH_SKETCH)
        wanted = {"with_thumbnail": with_thumbnail, "with_sketch": with_sketch}
        return square(data, options.geometry, options.limits, region=region, **wanted)

    return work


def confine(options: Options) -> None:
    """Give up rights for good: what Pillow's C libraries may be tricked into must end here.

    Memory is bounded (RLIMIT_AS), nothing can be opened (RLIMIT_NOFILE is what is open now) or written, no process
    started, and `imgsearch_workers.decoding.sandbox` refuses all other system calls. The process dies with its parent
    (PR_SET_PDEATHSIG; elsewhere than on Linux, when its input closes).
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        for option, value in ((_PR_SET_PDEATHSIG, signal.SIGKILL), (_PR_SET_NO_NEW_PRIVS, 1)):
            if libc.prctl(option, value, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), f"prctl {option}")
        if os.getppid() != options.parent:  # it died before PR_SET_PDEATHSIG
            raise SystemExit(0)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _lower(resource.RLIMIT_AS, used + options.memory)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    threads = "pi_heif" in sys.modules  # `prepare` has imported it, where it is installed
    _lower(resource.RLIMIT_NPROC, _threads_now() + _SPARE_THREADS if threads else 0)
    _lower(resource.RLIMIT_NOFILE, 5)  # 0-2, and what `take_pipes` made
    sandbox.allow_only_decoding(threads=threads)


def _threads_now() -> int:
    """Return at least as many threads as our user runs now, which is what RLIMIT_NPROC counts: those of the machine."""
    if sys.platform != "linux":
        return 0
    return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])


def _lower(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def serve(work: Work, options: Options, source: int, sink: int) -> int:
    """Serve requests until the input closes."""
    _write(sink, REPLY.pack(READY, 0, 0, 0, 0))
    while head := _read(source, REQUEST.size):
        flags, region_length, length = REQUEST.unpack(head)
        said, data = _read(source, region_length), _read(source, length)
        if len(data) < length:
            break
        _allow_seconds(options.timeout_s)
        try:
            region = Region.read(said.decode("ascii")) if said else None
            done = work(data, flags, region)
        except PictureError as error:
            text = json.dumps({"code": error.code, "message": str(error)}).encode()
            _write(sink, REPLY.pack(REFUSAL, len(text), 0, 0, 0), text)
        else:
            kind, shown = PIXELS if done.whole else PIXELS_OF_A_CUT_FILE, done.thumbnail or b""
            head = REPLY.pack(kind, len(done.pixels), len(shown), done.width, done.height)
            _write(sink, head, packed(done.capture), done.pixels, done.plane, shown, done.sketch)
    return 0


def packed(capture: Capture) -> bytes:
    """Return when and where a picture was taken as bytes of one length."""
    at, latitude, longitude = capture.taken_at, capture.latitude, capture.longitude
    says = TIME * (at is not None) | ZONE * capture.zoned | PLACE * (latitude is not None)
    return CAPTURE.pack(says, at.timestamp() if at else 0, latitude or 0, longitude or 0)


def _allow_seconds(timeout_s: float) -> None:
    """Let this picture use CPU for a second longer than the parent waits: the net for a parent that died."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(usage.ru_utime + usage.ru_stime + timeout_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def take_pipes() -> tuple[int, int]:
    """Return (input, output); what C libraries print (libtiff has much to say) ends in the void.

    Our own tracebacks still reach the worker's stderr: an unforeseen exception is a bug worth a look.
    """
    sink, complaints, void = os.dup(1), os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(void, 1)
    os.dup2(void, 2)
    os.close(void)
    sys.stderr = os.fdopen(complaints, "w", buffering=1)
    return 0, sink


def _read(source: int, length: int) -> bytes:
    """Return `length` bytes, or fewer where the input closes."""
    parts, left = [], length
    while left and (part := os.read(source, min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _write(sink: int, *parts: bytes) -> None:
    left = memoryview(b"".join(parts))  # one write, one wake-up of the parent
    while left:
        left = left[os.write(sink, left) :]


if __name__ == "__main__":
    sys.exit(main())
