"""A face turned, scaled and moved so that its eyes, nose and mouth lie where ArcFace learnt them to be."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 112
# Left eye, right eye (as seen), nose, corners of the mouth, in pixels of the crop: the template of ArcFace (Deng et
# al., CVPR 2019; insightface, face_align.py).
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)


def similarity(points: NDArray[np.float64], onto: NDArray[np.float64] = TEMPLATE) -> NDArray[np.float64]:
    """Return the 2 x 3 matrix that turns, scales and moves `points` (N, 2) as near to `onto` as can be.

    Least squares (Umeyama, PAMI 1991), never mirrored. Raises ValueError where all points are the same.
    """
    centre, goal = points.mean(0), onto.mean(0)
    spread = ((points - centre) ** 2).sum() / len(points)
    if spread < 1e-9:
        raise ValueError("five points in one place are no face")
    u, strength, v = np.linalg.svd((onto - goal).T @ (points - centre) / len(points))
    keep = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(v)) or 1.0])
    turn = u @ np.diag(keep) @ v
    scaled = turn * (strength @ keep) / spread
    return np.column_stack([scaled, goal - scaled @ centre])


def align(pixels: NDArray[np.uint8], points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the crop (112, 112, 3) uint8 of the face with these five points (5, 2) in a picture (H, W, 3) uint8."""
    forth = np.vstack([similarity(points), [0, 0, 1]])
    back = cast("tuple[float, ...]", tuple(np.linalg.inv(forth)[:2].ravel()))  # Pillow asks where each pixel comes from
    crop = Image.fromarray(pixels).transform((SIDE, SIDE), Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)
    return np.asarray(crop)
