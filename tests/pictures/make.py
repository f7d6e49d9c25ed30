"""Write the HEIC files of this folder anew: `pip install pillow-heif`, then `python -m tests.pictures.make`.

By hand only: the wheel of pillow-heif holds x265 and is GPL, so nothing here depends on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.drawn import P3, STORED, profile, scene
from tests.pictures.kinds import veiled

HERE = Path(__file__).parent


def main() -> None:
    """Write every file."""
    import pillow_heif  # type: ignore[import-not-found]

    pillow_heif.register_heif_opener()
    small = scene(150, 100)
    save("colour", small)
    save("grey", small.convert("L"))
    save("alpha", veiled(small)[0])
    save("profile", small, icc_profile=profile(P3))
    for turn in range(2, 9):
        save(f"turn{turn}", stored(small, turn), exif=orientation(turn))
    save("burst", small.transpose(Image.Transpose.ROTATE_180), append_images=[small], save_all=True, primary_index=1)
    save("thumbnails", small, thumbnails=[64])
    deep = np.asarray(small, np.uint16) * 257
    file = pillow_heif.from_bytes("RGB;16", small.size, deep.tobytes())
    file.save(HERE / "ten_bits.heic", quality=90)
    save("named_p3", small, save_nclx_profile=True, color_primaries=12, transfer_characteristics=13)


def save(name: str, picture: Image.Image, **options: Any) -> None:
    """Write one file."""
    picture.save(HERE / f"{name}.heic", "HEIF", **{"quality": 90, **options})


def stored(picture: Image.Image, turn: int) -> Image.Image:
    """What the camera stores under this orientation."""
    method = STORED[turn]
    return picture if method is None else picture.transpose(method)


def orientation(turn: int) -> bytes:
    """An EXIF block that says nothing else."""
    tags = Image.Exif()
    tags[0x0112] = turn
    return tags.tobytes()


if __name__ == "__main__":
    main()
