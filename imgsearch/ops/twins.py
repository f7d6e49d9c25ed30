"""Which pictures belong together: unions of near pairs, none of which reaches far from its middle.

A chain of pictures, each near to the next, may end with one that looks nothing like the first. So a union is refused
where no medoid is left within `WIDEST` of every member.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDEST = 45  # bits of 256 between the medoid of a group and each of its members
_EXACT = 300  # members up to which the medoid is the best of all, not of the two it grew from

Key = int
Packed = NDArray[np.uint8]  # (8, 32): a hash and its seven turns


@dataclass(frozen=True)
class Group:
    """Pictures that show the same; all lie within `WIDEST` of the medoid, which is one of them."""

    medoid: Key
    members: tuple[Key, ...]


def packed(bits: str) -> Packed:
    """Return the hash and its turns that 2,048 characters 0 and 1 say."""
    plain = np.frombuffer(bits.encode(), np.uint8) - 48
    return np.packbits(plain.reshape(8, 256), axis=1)


def apart(one: Packed, others: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many bits each of `others` (n, 32) is from a picture, turned as fits it best."""
    differing = np.bitwise_count(one[:, None, :] ^ others[None, :, :])
    nearest: NDArray[np.int64] = differing.sum(axis=2, dtype=np.int64).min(axis=0)
    return nearest


def grouped(pairs: Iterable[tuple[int, Key, Key]], hashes: Mapping[Key, Packed], widest: int = WIDEST) -> list[Group]:
    """Return the groups of two and more that pairs (distance, one, other) make, the nearest joined first."""
    groups: dict[Key, Group] = {}
    refused: set[tuple[Key, int, Key, int]] = set()
    for _, one, other in sorted(pairs):
        left, right = groups.get(one, Group(one, (one,))), groups.get(other, Group(other, (other,)))
        both = (left.medoid, len(left.members), right.medoid, len(right.members))
        if left is right or both in refused:
            continue
        members = (*left.members, *right.members)
        medoid = _medoid((left.medoid, right.medoid), members, hashes, widest)
        if medoid is None:
            refused.add(both)
        else:
            groups.update(dict.fromkeys(members, Group(medoid, members)))
    found = {group.medoid: group for group in groups.values()}
    return [_settled(group, hashes, widest) for _, group in sorted(found.items())]


def _medoid(candidates: Sequence[Key], members: Sequence[Key], hashes: Mapping[Key, Packed], widest: int) -> Key | None:
    """Return the candidate with the smallest sum of distances that reaches every member; of equals the earliest."""
    plain = np.stack([hashes[member][0] for member in members])
    reached = [(int(found.sum()), key) for key in candidates if (found := apart(hashes[key], plain)).max() <= widest]
    return min(reached)[1] if reached else None


def _settled(group: Group, hashes: Mapping[Key, Packed], widest: int) -> Group:
    members = tuple(sorted(group.members))
    if len(members) > _EXACT:
        return Group(group.medoid, members)
    medoid = _medoid(members, members, hashes, widest)
    return Group(group.medoid if medoid is None else medoid, members)
