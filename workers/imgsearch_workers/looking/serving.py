"""What every child of a worker does: take the pipes, make what it runs, say so, and answer frames until nobody asks."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from imgsearch_workers.looking import frames

_PR_SET_PDEATHSIG = 1
Made = TypeVar("Made")
Make = Callable[[Mapping[str, Any]], Made]
Answer = Callable[[Made, Mapping[str, Any], bytes, int, int], dict[str, Any]]


def serve(make: Make[Made], answer: Answer[Made]) -> int:
    """Return the exit code when the worker goes away; `make` is given the options, `answer` the two pipes as well."""
    options = json.loads(sys.argv[1])
    source, sink = _take_pipes()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != options["parent"]:
            return 0
    try:
        made = make(options)
    except Exception as error:  # noqa: BLE001 - whatever a shop's class raises
        frames.send(sink, frames.packed({"failed": said(error)}))
        return 1
    frames.send(sink, frames.packed({"ready": True}))
    while True:
        try:
            asked, blob = frames.receive(source)
        except frames.EndedError:
            return 0
        frames.send(sink, frames.packed(answer(made, asked, blob, source, sink)))


def said(error: Exception) -> str:
    """Return the first line of what an error says, with its kind where it is not one of ours."""
    from imgsearch.errors import ImgsearchError

    text = str(error).strip().splitlines()
    line = text[0][:300] if text else ""
    return line if isinstance(error, ImgsearchError) and line else f"{type(error).__name__}: {line}"


def _take_pipes() -> tuple[int, int]:
    """Return (input, output); what a step prints goes where the worker's complaints go."""
    source, sink = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    void = os.open(os.devnull, os.O_RDONLY)
    os.dup2(void, 0)
    os.close(void)
    return source, sink
