"""A detector says where things are, whatever it answers; one that hangs, dies or is none costs no picture anything."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from imgsearch_workers.model.detector import Detector
from imgsearch_workers.proposers import link
from imgsearch_workers.proposers.link import DetectorLink
from imgsearch_workers.proposers.proposed import Proposed
from imgsearch_workers.proposers.proposer import MOST_DETECTORS, ProposerError, Proposers

from imgsearch.errors import ModelError
from imgsearch.settings import load_settings
from tests import tiny_detectors

PIXELS = np.random.default_rng(1).integers(0, 255, (90, 160, 3), np.uint8)
PATIENCE = 120.0  # until a process has loaded torch on a busy machine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_detectors.yolos(tmp_path_factory.mktemp("detector"))


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_detectors.owl(tmp_path_factory.mktemp("words"))


@pytest.fixture
def linked(folder: Path) -> Iterator[Callable[..., DetectorLink]]:
    made: list[DetectorLink] = []

    def make(name: str = str(folder), **options: Any) -> DetectorLink:
        made.append(DetectorLink(name, options.pop("labels", ()), device="cpu", threads=1, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def asked(one: Any) -> list[Proposed]:
    """Ask until it is loaded."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return list(one.propose(PIXELS, 5))
        except ProposerError as error:
            if error.code != "not_ready" or error.blames or time.monotonic() > until:
                raise


def is_the_one(found: list[Proposed]) -> bool:
    [one] = found  # five boxes, one upon the other
    return one.box == pytest.approx(tiny_detectors.BOX, abs=1e-5) and one.label == "shoe" and (one.score or 0) > 0.9


def test_a_detector_of_transformers_says_where_things_are(folder: Path) -> None:
    assert is_the_one(Detector.opened(str(folder), device="cpu").detect(PIXELS, 5))


def test_a_detector_looks_for_the_words_of_the_shop(words: Path) -> None:
    found = Detector.opened(str(words), ["bag", "red shoe"], device="cpu").detect(PIXELS, 5)
    assert 1 <= len(found) <= 5
    assert {one.label for one in found} <= {"bag", "red shoe"}


def test_what_is_no_detector_is_refused_with_a_cure(words: Path, folder: Path, tmp_path: Path) -> None:
    for given in [(str(words),), (str(folder), ["bag"]), (str(tmp_path / "none"),)]:
        with pytest.raises(ModelError, match="name an object detector"):
            Detector.opened(*given, device="cpu")


def test_weights_that_are_code_are_not_loaded(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError):
        Detector.opened(str(tmp_path), device="cpu")


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -40.0])
def test_ten_thousand_boxes_and_numbers_that_are_none_are_borne(
    folder: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    detector = Detector.opened(str(folder), device="cpu")
    chance = torch.Generator().manual_seed(2)
    many = torch.rand((1, 10_000, 4), generator=chance) * 0.2 + 0.3
    many[0, ::2] = wrong
    logits = torch.randn((1, 10_000, 4), generator=chance) * 5
    answer = type("Answer", (), {"logits": logits, "pred_boxes": many})()
    monkeypatch.setattr(detector, "_model", _Answers(answer, detector._model.config))
    began = time.process_time()
    found = detector.detect(PIXELS, 9)
    assert time.process_time() - began < 10
    assert 1 <= len(found) <= 9
    assert all(0 <= side <= 1 for one in found for side in one.box)


class _Answers:
    """A model that says what it is told to say."""

    def __init__(self, answer: Any, config: Any) -> None:
        self._answer, self.config = answer, config

    def __call__(self, **_: Any) -> Any:
        return self._answer


@pytest.mark.slow
def test_a_detector_in_a_process_of_its_own_hangs_dies_and_comes_back(
    linked: Callable[..., DetectorLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "REST_SECONDS", 0.2)
    one = linked(seconds=PATIENCE)
    assert is_the_one(asked(one))

    with pytest.raises(ProposerError) as refused:
        one.propose(np.zeros((3, 4, 5), np.uint8), 5)  # no picture: reading it raises
    assert (refused.value.code, refused.value.blames) == ("detector_failed", True)
    assert is_the_one(one.propose(PIXELS, 5)), "it goes on at once"

    one._seconds = 0.5
    os.kill(_pid(one), signal.SIGSTOP)
    with pytest.raises(ProposerError, match=r"did not answer in 0\.5 s") as hung:
        one.propose(PIXELS, 5)
    assert (hung.value.code, hung.value.blames) == ("detector_hangs", True)
    one._seconds = PATIENCE
    assert is_the_one(asked(one)), "another process, after a rest"

    os.kill(_pid(one), signal.SIGKILL)
    with pytest.raises(ProposerError) as died:
        one.propose(PIXELS, 5)
    assert died.value.code in {"detector_failed", "no_detector"}, "it had ended before it was asked, or while"
    assert is_the_one(asked(one))


@pytest.mark.slow
def test_a_detector_that_cannot_be_loaded_rests_between_its_tries(
    linked: Callable[..., DetectorLink], tmp_path: Path
) -> None:
    one = linked(str(tmp_path / "none"))
    with pytest.raises(ProposerError, match="name an object detector") as refused:
        asked(one)
    assert (refused.value.code, refused.value.blames) == ("no_detector", False)
    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(ProposerError, match="cannot be loaded"):
            one.propose(PIXELS, 5)
    assert time.monotonic() - began < 4, "no process was begun for these"


def test_only_so_many_detectors_are_loaded_at_once(folder: Path) -> None:
    proposers = Proposers(load_settings({"device": "cpu"}, environ={}))
    several: list[Any] = [proposers.get(f"detector:{folder}#{n}") for n in range(MOST_DETECTORS + 1)]
    for one in several:
        one._child.begin()
    assert proposers.get(f"detector:{folder}#{MOST_DETECTORS}") is several[-1]
    first = proposers.get(f"detector:{folder}#0")
    assert first is not several[0]
    assert [one._child.is_alive() for one in several] == [True, False, True], "the one that was idle longest went"
    several[0].close()
    proposers.close()
    assert not any(one._child.is_alive() for one in several)


def _pid(one: DetectorLink) -> int:
    process = one._child._process
    assert process is not None
    return process.pid
