"""One forward pass for many pictures: a bad one fails alone, memory is learnt, a lost device ends the batch."""

from __future__ import annotations

import math
import random
from queue import Queue
from typing import Any

import numpy as np
import pytest
from imgsearch_workers.model.device_errors import NonsenseError
from imgsearch_workers.pipeline.batch import GOOD_BATCHES_BEFORE_GROWING, Batch, DeviceLost, Pixels
from imgsearch_workers.pipeline.device import _drain

from imgsearch.dev.testing import FakeEncoder
from imgsearch.dev.testing.poison import COLOURS

SIZE = FakeEncoder.size


def good(number: int) -> Pixels:
    """A picture unlike any other and unlike any poison."""
    return np.random.default_rng(number).integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8)


def poison(kind: Any) -> Pixels:
    return np.full((SIZE, SIZE, 3), COLOURS[kind], np.uint8)


def mixed(count: int, bad: int, kind: str) -> tuple[list[Pixels], set[int]]:
    places = set(random.Random(bad * 31 + count).sample(range(count), bad))
    return [poison(kind) if n in places else good(n) for n in range(count)], places


@pytest.fixture
def batch() -> Batch:
    return Batch(FakeEncoder(poisonous=True), 64)


@pytest.mark.parametrize("bad", [1, 2, 4, 16])
def test_poisoned_pictures_fail_alone_and_cost_few_extra_passes(batch: Batch, bad: int) -> None:
    pictures, places = mixed(64, bad, "raises")
    answers = batch.embed(pictures)
    assert {n for n, answer in enumerate(answers) if isinstance(answer, ValueError)} == places
    assert batch.forwards - 1 <= 2 * bad * math.log2(64)
    assert batch.limit == 64, "a bad picture says nothing about memory"
    alone = FakeEncoder().embed_pictures(np.stack([p for n, p in enumerate(pictures) if n not in places]))
    kept = [answer for n, answer in enumerate(answers) if n not in places]
    np.testing.assert_allclose(np.stack(kept), alone, atol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["nan", "zero"])
def test_nonsense_is_found_whatever_the_encoder_says_and_costs_one_extra_pass(batch: Batch, kind: str) -> None:
    pictures, places = mixed(64, 5, kind)
    answers = batch.embed(pictures)
    assert {n for n, answer in enumerate(answers) if isinstance(answer, NonsenseError)} == places
    assert batch.forwards == 2


def test_a_wrong_number_of_answers_is_nobodys_vector() -> None:
    class Forgetful(FakeEncoder):
        def embed_pictures(self, pixels: Pixels) -> Any:
            return super().embed_pictures(pixels)[:-1]

    answers = Batch(Forgetful(), 8).embed([good(n) for n in range(8)])
    assert all(isinstance(answer, NonsenseError) for answer in answers)


class Small(FakeEncoder):
    """A device with room for so many pictures."""

    room = 12
    freed = 0

    def free_memory(self) -> None:
        self.freed += 1

    def embed_pictures(self, pixels: Pixels) -> Any:
        if len(pixels) > self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return super().embed_pictures(pixels)


def test_out_of_memory_halves_the_batch_remembers_and_recovers() -> None:
    encoder = Small()
    batch = Batch(encoder, 64)
    pictures = [good(n) for n in range(64)]
    assert not [a for a in batch.embed(pictures) if isinstance(a, Exception)]
    assert batch.limit == 8
    assert encoder.freed == 3
    before = batch.forwards
    batch.embed(pictures)
    assert batch.forwards - before == 8, "what was learnt is not tried again"
    encoder.room = 1000
    for _ in range(3 * GOOD_BATCHES_BEFORE_GROWING):
        assert not [a for a in batch.embed(pictures) if isinstance(a, Exception)]
    assert batch.limit == 64


def test_memory_is_freed_when_no_traceback_holds_the_tensors_any_more() -> None:
    class Hoarder(Small):
        def embed_pictures(self, pixels: Pixels) -> Any:
            tensor = np.zeros(1)  # stands for what a forward pass allocates
            held.append(__import__("weakref").ref(tensor))
            return super().embed_pictures(pixels)

        def free_memory(self) -> None:
            alive.append(sum(ref() is not None for ref in held))

    held: list[Any] = []
    alive: list[int] = []
    batch = Batch(Hoarder(), 16)
    batch.embed([good(n) for n in range(16)])
    assert alive == [0]


def test_a_thousand_batches_with_too_little_memory_fail_no_picture() -> None:
    encoder = Small()
    batch = Batch(encoder, 32)
    pictures = [good(n) for n in range(32)]
    chance = random.Random(4)
    for _ in range(1000):
        encoder.room = chance.choice((1, 3, 8, 40))
        assert not [a for a in batch.embed(pictures[: chance.randrange(1, 33)]) if isinstance(a, Exception)]


def test_a_lost_device_ends_the_batch_and_names_who_was_there(batch: Batch) -> None:
    pictures, places = mixed(150, 1, "sticky")
    with pytest.raises(DeviceLost, match="device-side assert") as lost:
        batch.embed(pictures)
    assert places < set(lost.value.rows)
    assert len(lost.value.rows) <= 64


def test_nothing_to_embed_is_nothing_to_do(batch: Batch) -> None:
    assert batch.embed([]) == []
    assert batch.forwards == 0


def test_a_pass_takes_along_what_is_being_decoded_and_waits_for_nothing_else() -> None:
    ready: Queue[Any] = Queue()
    ready.put(0)

    def one_more() -> int:  # as if a decoder finished while the pass was being filled
        ready.put(1)
        return 1

    assert len(_drain(ready, 8, one_more)) == 8
    for number in range(3):
        ready.put(number)
    assert len(_drain(ready, 8, lambda: 0)) == 3 + ready.qsize()
    assert _drain(ready, 8, lambda: 5) == [], "nothing came within a quarter of a second"
