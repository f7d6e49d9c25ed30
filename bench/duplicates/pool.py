"""Hashes of as many pictures as are wanted: blends of real ones, as alike and as different as those are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imgsearch.picture import hashes

Floats = NDArray[np.float64]
_AT_ONCE = 5_000
_BLENDED = 3


def waves(planes: Sequence[bytes]) -> Floats:
    """Return the 16 x 16 frequencies of each plane, all equally strong."""
    wave = hashes.pdq_waves()
    found = np.stack([wave @ np.frombuffer(one, np.uint8).reshape(64, 64).astype(float) @ wave.T for one in planes])
    return found / np.abs(found).mean(axis=(1, 2), keepdims=True)


def blended(
    known: Floats, many: int, seed: int = 5, twins: float = 0.05
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return packed hashes with their turns (many, 256), and of which each is a twin (-1: of none).

    twins: the share that is an earlier one with some noise, turned by chance: 0 to 31 bits from it, as a rule.
    """
    chance = np.random.default_rng(seed)
    packed, of = np.empty((many, 256), np.uint8), np.full(many, -1)
    kept: Floats | None = None
    for start in range(0, many, _AT_ONCE):
        count = min(_AT_ONCE, many - start)
        shares = chance.dirichlet(np.ones(_BLENDED) * 0.6, count)
        made = np.einsum("nk,nkij->nij", shares, known[chance.integers(0, len(known), (count, _BLENDED))])
        made *= chance.choice([-1.0, 1.0], (count, 1, 16)) * chance.choice([-1.0, 1.0], (count, 16, 1))
        made += 0.25 * chance.normal(size=made.shape) * np.abs(made).mean(axis=(1, 2), keepdims=True)
        if kept is not None:
            again = np.flatnonzero(chance.random(count) < twins)
            sources = chance.integers(0, len(kept), len(again))
            noise = chance.uniform(0, 0.25, (len(again), 1, 1)) * np.abs(kept[sources]).mean(axis=(1, 2), keepdims=True)
            made[again] = kept[sources] + noise * chance.normal(size=(len(again), 16, 16))
            made[again] *= chance.choice([-1.0, 1.0], (len(again), 1, 1)) ** np.arange(1, 17)[None, None, :]
            of[start + again] = sources
        else:
            kept = made
        packed[start : start + count] = _hashed(made)
    return packed, of


def _hashed(found: Floats) -> NDArray[np.uint8]:
    """What `hashes.pdq` makes of frequencies, for many at once."""
    sign = np.where(np.arange(1, 17) % 2, -1.0, 1.0)
    across, down = sign[None, None, :], sign[None, :, None]
    lying = found.transpose(0, 2, 1)
    turns = [one for at in (found, lying) for one in (at, at * across, at * across * down, at * down)]
    flat = np.stack(turns, axis=1).reshape(len(found), 8, 256)
    above = flat > np.partition(flat, 127, axis=2)[:, :, 127:128]
    return np.packbits(above[:, :, ::-1].reshape(len(found), 2048), axis=1)
