"""What do large pictures cost a decoder? Seconds and memory of each format at each size, in the real children.

python -m bench.large_pictures                              every kind, 24 to 120 megapixels
python -m bench.large_pictures --kinds 'WebP|AVIF' --megapixels 50,64 --folder /tmp/large
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from imgsearch_workers.decoding.decoder import DecodePool
from PIL import Image, ImageOps

from imgsearch.errors import PictureError

KINDS: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "JPEG": ("RGB", "JPEG", {"quality": 85}),
    "JPEG progressive": ("RGB", "JPEG", {"quality": 85, "progressive": True}),
    "JPEG progressive 4:4:4": ("RGB", "JPEG", {"quality": 75, "progressive": True, "subsampling": 0}),
    "JPEG CMYK": ("CMYK", "JPEG", {"quality": 85}),
    "JPEG CMYK progressive": ("CMYK", "JPEG", {"quality": 75, "progressive": True}),
    "PNG": ("flat RGB", "PNG", {"compress_level": 1}),
    "PNG RGBA": ("flat RGBA", "PNG", {"compress_level": 1}),
    "PNG palette": ("flat P", "PNG", {"compress_level": 1}),
    "GIF": ("flat P", "GIF", {}),
    "BMP": ("flat P", "BMP", {}),
    "TIFF RGBA": ("flat RGBA", "TIFF", {"compression": "tiff_adobe_deflate"}),
    "TIFF turned": ("flat RGB", "TIFF", {"compression": "tiff_adobe_deflate", "turn": 6}),
    "TIFF CMYK": ("flat CMYK", "TIFF", {"compression": "tiff_adobe_deflate"}),
    "TIFF float": ("flat F", "TIFF", {"compression": "tiff_adobe_deflate"}),
    "WebP": ("RGB", "WEBP", {"quality": 75, "method": 0}),
    "WebP alpha": ("RGBA", "WEBP", {"quality": 75, "method": 0}),
    "WebP lossless": ("flat RGB", "WEBP", {"lossless": True, "quality": 0, "method": 0}),
    "WebP lossless alpha": ("flat RGBA", "WEBP", {"lossless": True, "quality": 0, "method": 0}),
    "AVIF": ("RGB", "AVIF", {"speed": 10, "quality": 60}),
    "AVIF 4:4:4": ("RGB", "AVIF", {"speed": 10, "quality": 60, "subsampling": "4:4:4"}),
    "AVIF 4:4:4 alpha": ("RGBA", "AVIF", {"speed": 10, "quality": 60, "subsampling": "4:4:4"}),
}
MEGAPIXELS = "24,40,50,64,108,120"


def drawn(mode: str, megapixels: float) -> Image.Image:
    """Return a 4:3 picture of soft clouds, fine grain in it; `flat` ones have few colours, as what is kept lossless."""
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5) // 16 * 16
    size = width, int(megapixels * 1e6 / width)
    chance = np.random.default_rng(1)
    clouds = Image.fromarray(chance.integers(0, 255, (48, 64, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    if mode.startswith("flat "):
        return ImageOps.posterize(clouds, 3).convert(mode.removeprefix("flat "))
    grain = Image.fromarray(chance.integers(0, 255, (1500, 2000, 3), np.uint8)).resize(size, Image.Resampling.BILINEAR)
    picture = Image.blend(clouds, grain, 0.1).convert(mode)
    if mode == "RGBA":
        picture.putalpha(clouds.getchannel(0))
    return picture


def file(kind: str, megapixels: float, folder: Path) -> bytes:
    """Return the picture's bytes, drawn once per folder."""
    path = folder / f"{kind.replace(' ', '_').replace(':', '')}-{megapixels:g}"
    if not path.exists():
        mode, name, options = KINDS[kind]
        options = dict(options)
        if turn := options.pop("turn", None):
            options["exif"] = Image.Exif()
            options["exif"][0x0112] = turn
        out = io.BytesIO()
        drawn(mode, megapixels).save(out, name, **options)
        path.write_bytes(out.getvalue())
    return path.read_bytes()


class Peak(threading.Thread):
    """The most memory, in MB, that any decoder of this process holds while it is watched."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self._done = 0.0, threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.002):
            for path in Path("/proc/self/task").glob("*/children"):
                for pid in path.read_text().split():
                    self.most = max(self.most, _resident(pid))

    def end(self) -> float:
        self._done.set()
        self.join()
        return self.most


def _resident(pid: str) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6
    except OSError:
        return 0.0


def measure(data: bytes) -> tuple[float, float, str]:
    """Return seconds, peak MB and what came of it, in a fresh child."""
    with DecodePool(1, 256, timeout_s=60) as pool:
        pool.await_start()
        watch = Peak()
        watch.start()
        began = time.perf_counter()
        try:
            pool.decode(data, thumbnail=True)
            result = "ok"
        except PictureError as error:
            result = f"{error.code}: {error}"
        return time.perf_counter() - began, watch.end(), result


def main(arguments: list[str] | None = None) -> int:
    """Draw, decode, print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.large_pictures", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kinds", default=".", metavar="REGEX")
    parser.add_argument("--megapixels", default=MEGAPIXELS)
    parser.add_argument("--folder", type=Path, help="where pictures are kept for the next run")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="large-") as made:
        folder = given.folder or Path(made)
        folder.mkdir(exist_ok=True)
        print("| kind | MP | MiB | seconds | peak MB | |\n|---|---|---|---|---|---|")
        for kind in filter(re.compile(given.kinds).search, KINDS):
            for megapixels in map(float, given.megapixels.split(",")):
                data = file(kind, megapixels, folder)
                seconds, peak, result = measure(data)
                size = len(data) / (1 << 20)
                print(
                    f"| {kind} | {megapixels:g} | {size:.1f} | {seconds:.2f} | {peak:.0f} | {result[:110]} |",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
