"""The worker's end of a detector: a process of its own, asked with a time limit and killed when it is over."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsearch_workers.looking.link import Helper, RefusedError
from imgsearch_workers.proposers.proposed import Proposed, kept
from imgsearch_workers.proposers.refusal import ProposerError

SIDE = 640  # pixels of the longer side: what most detectors were trained with, or a little less
SECONDS = 20.0  # for one picture, less than it is leased for; on a processor a large detector takes two
LOADING_SECONDS = 2.0  # that a picture waits for a detector that is being loaded, before it comes again
REST_SECONDS, LONGEST_REST = 5.0, 600.0  # after it hung, died or could not be loaded; doubled each time in a row


class _Child(Helper):
    module = "imgsearch_workers.proposers.child"


class DetectorLink:
    """One detector. Use it from one long-lived thread: the process dies with that."""

    side = SIDE

    def __init__(
        self, name: str, labels: Sequence[str], *, device: str, threads: int, seconds: float = SECONDS
    ) -> None:
        self._name, self._seconds = name, seconds
        self._child = _Child({"name": name, "labels": list(labels), "device": device, "threads": threads})
        self._failed_in_a_row, self._rest_until = 0, 0.0
        self._last: ProposerError | None = None

    def propose(self, pixels: NDArray[np.uint8], most: int) -> list[Proposed]:
        """Return at most `most` parts, the surest first. Raises ProposerError."""
        self._wait_until_ready()
        asked = {"shape": list(pixels.shape), "most": most}
        try:
            done = self._child.run(
                asked, np.ascontiguousarray(pixels).tobytes(), _nothing, time.monotonic() + self._seconds
            )
        except TimeoutError as error:
            message = f"The detector {self._name} did not answer in {self._seconds:g} s; its process was ended."
            raise self._rest(ProposerError("detector_hangs", message, blames=True)) from error
        except RefusedError as error:
            refused = ProposerError("detector_failed", f"The detector {self._name}: {error}.", blames=True)
            if self._child.is_alive():  # it said so itself: this picture, not the process
                raise refused from error
            raise self._rest(refused) from error
        self._failed_in_a_row = 0
        return kept(_read(done), most)

    def close(self) -> None:
        """End its process."""
        self._child.kill()

    def _wait_until_ready(self) -> None:
        if time.monotonic() < self._rest_until and self._last is not None:
            code = "no_detector" if self._last.code == "no_detector" else "not_ready"
            raise ProposerError(code, str(self._last)) from self._last
        try:
            ready = self._child.is_ready(time.monotonic() + LOADING_SECONDS)
        except RefusedError as error:
            said = str(error)  # mostly that it cannot be loaded, and why
            message = said if said.startswith("The detector") else f"The detector {self._name} cannot be loaded: {said}"
            raise self._rest(ProposerError("no_detector", message)) from error
        if not ready:
            raise ProposerError("not_ready", f"The detector {self._name} is being loaded.")

    def _rest(self, error: ProposerError) -> ProposerError:
        self._rest_until = time.monotonic() + min(LONGEST_REST, REST_SECONDS * 2**self._failed_in_a_row)
        self._failed_in_a_row, self._last = min(self._failed_in_a_row + 1, 10), error
        return error


def _nothing(asked: Mapping[str, Any], blob: bytes) -> bytes:
    raise RefusedError("its process asks for something")


def _read(done: Mapping[str, Any]) -> Iterator[Proposed]:
    """Give what its process says of boxes, without believing a word."""
    boxes = done.get("boxes")
    for one in boxes if isinstance(boxes, list) else ():
        try:
            x, y, w, h, score, label = one
            yield Proposed(
                (float(x), float(y), float(w), float(h)), float(score), None if label is None else str(label)
            )
        except (TypeError, ValueError):
            continue
