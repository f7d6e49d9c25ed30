"""Who says which parts of a picture are worth a vector of their own: grid, salient, or a detector, by the shop's word.

grid                       crops that cover any picture
salient                    what stands out
detector:NAME              an object detector of transformers: a folder, or a name on the hub
detector:NAME#bag,shoe     one that looks for the words behind the sign (zero-shot)
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgsearch.settings import Settings
from imgsearch_workers.proposers import grid, salient
from imgsearch_workers.proposers.link import DetectorLink
from imgsearch_workers.proposers.proposed import Proposed, kept
from imgsearch_workers.proposers.refusal import ProposerError

__all__ = ["Proposer", "ProposerError", "Proposers"]

Pixels = NDArray[np.uint8]
MOST_DETECTORS = 2  # that are loaded at once: of one more the one that was idle longest goes
_DETECTOR = "detector:"


class Proposer(Protocol):
    """Says where the parts of a picture are."""

    @property
    def side(self) -> int:
        """Pixels of the longer side it wants to see; 0: it looks at none."""

    def propose(self, pixels: Pixels, most: int) -> list[Proposed]:
        """Return at most `most` parts of a picture: sRGB uint8 (h, w, 3) in its own shape. Raises ProposerError."""


class Grid:
    """Crops that cover a picture, whatever it shows."""

    side = 0

    def propose(self, pixels: Pixels, most: int) -> list[Proposed]:
        """Return at most `most` crops; of a picture of one colour, too."""
        return [Proposed(box) for box in grid.propose(most)]


class Salient:
    """What stands out of a picture."""

    side = 256

    def propose(self, pixels: Pixels, most: int) -> list[Proposed]:
        """Return at most `most` parts, what stands out most first; none of a picture of one colour."""
        small = Image.fromarray(pixels).resize((salient.SIDE, salient.SIDE), Image.Resampling.BOX)
        return kept((Proposed(box) for box in salient.propose(np.asarray(small), most)), most)


class Proposers:
    """The proposers of a worker, made when they are first asked for. Use it from one long-lived thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._detectors: dict[str, DetectorLink] = {}

    def get(self, wanted: str) -> Proposer:
        """Return a proposer by the word that a shop has set. Raises ProposerError for one that there is not."""
        if wanted == "grid":
            return Grid()
        if wanted == "salient":
            return Salient()
        name, _, words = wanted.removeprefix(_DETECTOR).partition("#")
        if not wanted.startswith(_DETECTOR) or not name.strip():
            raise ProposerError("no_proposer", f"There is no proposer {wanted[:60]!r}: salient, grid, detector:NAME.")
        found = self._detectors.pop(wanted, None)
        if found is None:
            labels = tuple(label for word in words.split(",") if (label := word.strip()))
            found = DetectorLink(name.strip(), labels, device=self._settings.device, threads=self._settings.threads)
        self._detectors[wanted] = found  # behind the others: the first is the one that was idle longest
        while len(self._detectors) > MOST_DETECTORS:
            self._detectors.pop(next(iter(self._detectors))).close()
        return found

    def close(self) -> None:
        """End the processes of detectors."""
        for one in self._detectors.values():
            one.close()
        self._detectors.clear()
