"""Groups of duplicates: unions of near pairs, and no chain of unlike pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.ops import twins
from imgsearch.ops.twins import WIDEST, Packed, apart, grouped

CERTAIN = 31


def hashes(bits: list[set[int]]) -> dict[int, Packed]:
    """Pictures whose hash has these bits, and whose turns are all far away."""
    rng = np.random.default_rng(3)
    far = rng.integers(0, 2, (7, 256), np.uint8)
    found = {}
    for number, ones in enumerate(bits):
        plain = np.zeros(256, np.uint8)
        plain[list(ones)] = 1
        found[number] = np.packbits(np.vstack([plain[None], far]), axis=1)
    return found


def near(known: dict[int, Packed]) -> list[tuple[int, int, int]]:
    keys = sorted(known)
    found = ((int(apart(known[a], known[b][:1])[0]), a, b) for a in keys for b in keys if a < b)
    return [pair for pair in found if pair[0] <= CERTAIN]


def chain(steps: int, each: int) -> list[set[int]]:
    return [set(range(step * each)) for step in range(steps)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sets(st.integers(0, 90), max_size=60), max_size=14), st.integers(1, 30))
def test_every_member_is_near_the_medoid_and_nobody_is_in_two_groups(bits: list[set[int]], each: int) -> None:
    known = hashes(bits + chain(6, each))
    pairs = near(known)
    found = grouped(pairs, known)
    seen = [member for group in found for member in group.members]
    assert len(seen) == len(set(seen))
    paired = {key for _, one, other in pairs for key in (one, other)}
    assert set(seen) <= paired
    for group in found:
        assert len(group.members) > 1
        assert group.medoid in group.members
        assert apart(known[group.medoid], np.stack([known[m][0] for m in group.members])).max() <= WIDEST
        joined = {group.members[0]}
        for _ in group.members:
            joined |= {b for _, a, b in pairs if a in joined} | {a for _, a, b in pairs if b in joined}
        assert set(group.members) <= joined, "only near pairs join"


def test_a_chain_of_unlike_pictures_is_no_group() -> None:
    known = hashes(chain(8, 25))  # each 25 bits from the next, the last 175 from the first
    found = grouped(near(known), known)
    assert sum(len(group.members) for group in found) <= 8
    assert max(len(group.members) for group in found) <= 3


def test_pairs_whose_union_is_narrow_are_one_group_of_its_middle() -> None:
    known = hashes([set(range(10)), set(range(20)), set(range(30)), set(range(40, 230))])
    assert grouped(near(known), known) == [twins.Group(1, (0, 1, 2))]
    assert grouped([], known) == []


def test_a_turned_picture_is_near() -> None:
    rng = np.random.default_rng(4)
    turns = rng.integers(0, 2, (8, 256), np.uint8)
    one, other = np.packbits(turns, axis=1), np.packbits(turns[[3, *range(1, 8)]], axis=1)
    assert apart(one, other[:1])[0] == 0


def test_the_same_pairs_in_any_order_make_the_same_groups() -> None:
    known = hashes(chain(9, 14))
    pairs = near(known)
    assert grouped(pairs[::-1], known) == grouped(pairs, known)


@pytest.mark.parametrize("bits", ["1" * 256 + "0" * 1792])
def test_bits_are_packed_turn_by_turn(bits: str) -> None:
    assert twins.packed(bits)[0].tolist() == [255] * 32
    assert twins.packed(bits)[1:].sum() == 0
