"""The rotation of a space in NumPy, bit for bit that of imgsearch_internal.turned(): for bits that a bench loads."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def signs_of(seed: int, turn: int, dimension: int) -> Floats:
    """Return 1 and -1, (dimension,), that a seed gives for turn 1 or 2."""
    parts = range((dimension - 1) // 256 + 1)
    digests = b"".join(sha256(f"{seed}:{turn}:{part}".encode()).digest() for part in parts)
    bits = np.unpackbits(np.frombuffer(digests, np.uint8))[:dimension]
    return (1 - 2 * bits.astype(np.float32)).astype(np.float32)


def turned(centred: Floats, seed: int | None) -> Floats:
    """Return vectors (n, dimension) in the rotation of that seed (None: in none), longer by one factor for all."""
    dimension = centred.shape[-1]
    half = dimension // 2
    if dimension < 2 or seed is None:
        return centred
    for turn in (1, 2):
        centred = centred * signs_of(seed, turn, dimension)
        left, right, odd = centred[..., :half], centred[..., half : 2 * half], centred[..., 2 * half :]
        step, length = 0, np.float32(1)
        while True:
            left = np.roll(left, -step, axis=-1)
            left, right = left + right, left - right
            length, step = length * np.float32(1.4142135), max(1, 2 * step)
            if step >= half:
                break
        centred = np.roll(np.concatenate([left, right, odd * length], axis=-1), -1, axis=-1)
    return centred
