"""The pictures of the soak: each one different, some of them poison, and what must become of each."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from PIL import Image

from imgsearch.dev.testing.poison import COLOURS

Kind = Literal["good", "truncated", "rotten", "crashes_decoder", "raises", "nan", "kills"]
SIDE = 96

# Of every twenty poisoned pictures. `rotten`: the store's bytes are no longer the ones that were added.
_STAND_IN: tuple[Kind, ...] = (
    *("truncated", "crashes_decoder", "truncated", "raises", "truncated", "rotten", "truncated", "nan", "truncated"),
    *("kills", "truncated", "rotten", "crashes_decoder", "raises", "truncated", "nan"),
    *("rotten", "truncated", "raises", "crashes_decoder"),
)
_REAL_MODEL: tuple[Kind, ...] = ("truncated", "rotten", "truncated", "rotten", "truncated")
EVERY_POISON, EVERY_REPLACED = 50, 20


@dataclass(frozen=True)
class Fate:
    """How a poisoned picture must end: its error code, and whether only after the last attempt."""

    codes: frozenset[str]
    last_attempt: bool


# A killed worker's claim counts, so the last of a picture's attempts may have been ended by the soak itself.
FATES: Mapping[str, Fate] = MappingProxyType(
    {
        "truncated": Fate(frozenset({"truncated", "corrupt"}), last_attempt=False),
        "nan": Fate(frozenset({"not_embeddable"}), last_attempt=False),
        "rotten": Fate(frozenset({"corrupt", "worker_lost"}), last_attempt=True),
        "crashes_decoder": Fate(frozenset({"decoder_crashed", "worker_lost"}), last_attempt=True),
        "raises": Fate(frozenset({"not_embeddable", "worker_lost"}), last_attempt=True),
        "kills": Fate(frozenset({"worker_lost"}), last_attempt=True),
    }
)


def kind(number: int, *, real_model: bool) -> Kind:
    """Return what the picture of this number is: 2 % are poison, evenly spread."""
    if number % EVERY_POISON != 7:
        return "good"
    kinds = _REAL_MODEL if real_model else _STAND_IN
    return kinds[number // EVERY_POISON % len(kinds)]


def is_replaced(number: int) -> bool:
    """Return whether this picture is replaced while it is in work: 5 % are, none of them poison."""
    return number % EVERY_REPLACED == 3


def draw(number: int, version: int = 0, kind: Kind = "good") -> bytes:
    """Return a JPEG that no other number or version has."""
    image = Image.new("RGB", (SIDE, SIDE), COLOURS.get(kind, (128, 128, 128)))
    if kind not in COLOURS:
        cells = SIDE // 4
        seed = number * 7919 + version * 104_729
        for cell in range(16):
            seed = (seed * 1_103_515_245 + 12_345) % 2**31
            colour = (seed >> 7 & 255, seed >> 13 & 255, seed >> 19 & 255)
            image.paste(
                colour, (cell % 4 * cells, cell // 4 * cells, cell % 4 * cells + cells, cell // 4 * cells + cells)
            )
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90, comment=f"{number}.{version}")
    data = out.getvalue()
    return data[: len(data) * 2 // 3] if kind == "truncated" else data
