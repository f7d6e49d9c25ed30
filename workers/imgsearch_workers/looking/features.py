"""Local features of a picture: points, and what is around each, as RootSIFT (Arandjelovic and Zisserman, CVPR 2012).

They are kept beside the picture as bytes: a head, the size they were taken at, points in shares of it, descriptors.
OpenCV's SIFT (Apache 2, patent expired) is an extra of its own; nothing but this module and `spatial` imports it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsearch.extras import needed
from imgsearch_workers.looking.step import Pixels

MOST = 700  # points of one picture: the strongest
_HEAD = struct.Struct("<4sHHH")  # what this is, its width and height, how many points
_NAME = b"rsf1"
_CONTRAST = 0.02  # lower than OpenCV's 0.04: products stand before plain ground


@dataclass(frozen=True)
class Features:
    """points: float32 (n, 2) in pixels of a `width` x `height` picture; descriptors: float32 (n, 128), length one."""

    width: int
    height: int
    points: NDArray[np.float32]
    descriptors: NDArray[np.float32]

    def as_bytes(self) -> bytes:
        """Return them as 132 bytes a point: descriptors to a 512th, as SIFT has them, before the root."""
        squared = np.round(self.descriptors.astype(np.float64) ** 2 * 512 * 4).clip(0, 255).astype(np.uint8)
        places = np.round(self.points * 32).astype("<u2")
        return _HEAD.pack(_NAME, self.width, self.height, len(self.points)) + places.tobytes() + squared.tobytes()


def from_bytes(data: bytes) -> Features | None:
    """Return features that were kept; None for what no `as_bytes` made."""
    if len(data) < _HEAD.size:
        return None
    name, width, height, many = _HEAD.unpack_from(data)
    if name != _NAME or many > MOST or not width or not height or len(data) != _HEAD.size + many * 132:
        return None
    places = np.frombuffer(data, "<u2", many * 2, _HEAD.size).reshape(many, 2).astype(np.float32) / np.float32(32)
    squared = np.frombuffer(data, np.uint8, many * 128, _HEAD.size + many * 4).reshape(many, 128).astype(np.float32)
    return Features(width, height, places, np.sqrt(_of_length_one(squared, 1)))


def found(pixels: Pixels) -> Features:
    """Return the features of a picture's pixels, those of a plain one: none. Raises ExtraMissing."""
    with needed("spatial", "Looking for the same object"):
        cv2: Any = import_module("cv2")  # its stubs lack SIFT

    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    points, described = cv2.SIFT_create(nfeatures=MOST, contrastThreshold=_CONTRAST).detectAndCompute(grey, None)
    tall, wide = grey.shape
    if described is None:
        return Features(wide, tall, np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    order = np.argsort([-point.response for point in points], kind="stable")[:MOST]
    places = np.array([points[one].pt for one in order], np.float32).clip(0, 2000)
    return Features(wide, tall, places, np.sqrt(_of_length_one(described[order], 1)))


def _of_length_one(rows: NDArray[np.float32], norm: int) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, norm, axis=1, keepdims=True)
    made: NDArray[np.float32] = (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return made
