"""The process that runs the steps of second looks: `python -m imgsearch_workers.looking.child OPTIONS`.

It has no address of the database and no picture but those it asks its worker for, and it may be killed at any time: a
step that hangs or dies takes nothing along. One kind of step per process, so that a bad one costs no other its model.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from imgsearch_workers.looking import frames, serving
from imgsearch_workers.looking.step import Candidate, Look, Pixels, Ranked, Step, Vector

KINDS = ("k_reciprocal", "expand", "spatial", "cross_encoder", "custom")


def main() -> int:
    """Make the step, say so, and rank until the worker goes away."""
    return serving.serve(made, answer)


def made(options: Mapping[str, Any]) -> Step:
    """Return the step of these options. Raises what its module raises."""
    kind = options["kind"]
    if kind == "k_reciprocal":
        from imgsearch_workers.looking.neighbours import KReciprocal

        return KReciprocal()
    if kind == "expand":
        from imgsearch_workers.looking.neighbours import Expansion

        return Expansion()
    if kind == "spatial":
        from imgsearch_workers.looking.spatial import Spatial

        return Spatial()
    if kind == "cross_encoder":
        from imgsearch_workers.model.cross_encoder import CrossEncoder

        return CrossEncoder.opened(options["model"], device=options["device"], threads=options["threads"])
    module, _, name = options["path"].partition(":")
    step: Step = getattr(importlib.import_module(module), name)()
    return step


def answer(step: Step, asked: Mapping[str, Any], blob: bytes, source: int, sink: int) -> dict[str, Any]:
    """Run a step and return what it says, as plain values."""
    try:
        ranked = step.rank(_look(asked, blob, _Asking(source, sink)), **asked["given"])
        return {"done": _plain(ranked, len(asked["candidates"]))}
    except frames.EndedError:
        raise SystemExit(0) from None
    except Exception as error:  # noqa: BLE001 - whatever a step raises, the ranking stands as it was
        return {"failed": serving.said(error)}


class _Asking:
    """Pixels and what was kept, asked of the worker."""

    def __init__(self, source: int, sink: int) -> None:
        self._source, self._sink = source, sink

    def pixels(self, index: int) -> Pixels | None:
        said, blob = self._ask({"want": "pixels", "index": index})
        if said.get("shape") is None:
            return None
        return np.frombuffer(blob, np.uint8).reshape(said["shape"])

    def kept(self, index: int, kind: str) -> bytes | None:
        said, blob = self._ask({"want": "kept", "index": index, "kind": kind})
        return blob if said.get("found") else None

    def keep(self, index: int, kind: str, data: bytes) -> None:
        self._ask({"want": "keep", "index": index, "kind": kind}, data)

    def _ask(self, said: dict[str, Any], blob: bytes = b"") -> frames.Frame:
        frames.send(self._sink, frames.packed(said, blob))
        return frames.receive(self._source)


def _look(asked: Mapping[str, Any], blob: bytes, pictures: _Asking) -> Look:
    numbers: Vector = np.frombuffer(blob, np.float64)
    vectors = iter(numbers.reshape(-1, asked["dimension"])) if asked["dimension"] else iter(())
    question = next(vectors) if asked["has_vector"] else None
    candidates = [
        Candidate(index=index, vector=next(vectors) if has_vector else None, **fields)
        for index, (has_vector, fields) in enumerate(zip(asked["with_vectors"], asked["candidates"], strict=True))
    ]
    deadline = time.monotonic() + asked["seconds"]
    return Look(candidates=candidates, pictures=pictures, deadline=deadline, text=asked["text"], vector=question)


def _plain(ranked: Ranked, many: int) -> dict[str, Any]:
    """Return what a step says. Raises ValueError where it names a candidate that there is not, or one twice."""
    order = [int(one) for one in ranked.order]
    if len(set(order)) != len(order) or not all(0 <= one < many for one in order):
        raise ValueError("the order names a candidate twice, or one that there is not")
    details = {int(index): dict(said) for index, said in ranked.details.items()}
    looked = many if ranked.looked is None else int(ranked.looked)
    return {"order": order, "details": details, "looked": looked, "why": ranked.why}


if __name__ == "__main__":
    sys.exit(main())
