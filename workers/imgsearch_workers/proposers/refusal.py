"""Why there are no parts of a picture: a word for programs, words for people, and whether the picture is to blame."""

from __future__ import annotations


class ProposerError(Exception):
    """A proposer cannot say where the parts of a picture are; its whole is found all the same.

    code: no_proposer, no_detector (it cannot be loaded), not_ready (it is being loaded, or rests after it failed),
    detector_hangs, detector_failed. `blames`: the picture is counted as tried; else it waits as it did.
    """

    def __init__(self, code: str, message: str, *, blames: bool = False) -> None:
        super().__init__(message)
        self.code, self.blames = code, blames
