"""The process that runs a detector: `python -m imgsearch_workers.proposers.child OPTIONS`.

It has no address of the database, sees pixels alone, and may be killed at any time. It answers frames as the children
of second looks do: {"shape", "most"} and the pixels in, {"done": {"boxes": [[x, y, w, h, score, label], …]}} out.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from imgsearch_workers.looking import serving


def main() -> int:
    """Load the detector, say so, and look at pictures until the worker goes away."""
    return serving.serve(_opened, _answer)


def _opened(options: Mapping[str, Any]) -> Any:
    from imgsearch_workers.model.detector import Detector, quiet

    quiet()
    given = {"device": options["device"], "threads": options["threads"]}
    return Detector.opened(options["name"], options["labels"], **given)


def _answer(detector: Any, asked: Mapping[str, Any], blob: bytes, source: int, sink: int) -> dict[str, Any]:
    try:
        pixels = np.frombuffer(blob, np.uint8).reshape(asked["shape"])
        found = detector.detect(pixels, int(asked["most"]))
        return {"done": {"boxes": [[*one.box, one.score, one.label] for one in found]}}
    except Exception as error:  # noqa: BLE001 - whatever a model raises: the picture has its vector
        return {"failed": serving.said(error)}


if __name__ == "__main__":
    sys.exit(main())
