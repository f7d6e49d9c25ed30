"""The bare forward rate: one encoder in a process of its own, embedding the same batch again and again when asked.

`python -m bench.ingest.bare MODEL DEVICE BATCH THREADS`: reads seconds from its input, answers one JSON per line.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[2]


class Bare:
    """The caller's end; `measured` adds up what all calls of `measure` saw."""

    def __init__(self, model: str, device: str, batch: int, threads: int, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "bench.ingest.bare", model, device, str(batch), str(threads)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )
        self.about = self._answer()
        self.rounds: list[dict[str, float]] = []

    def __enter__(self) -> Bare:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()

    def measure(self, seconds: float) -> dict[str, float]:
        """Run forward passes for about so long; answer pictures, wall and CPU seconds."""
        assert self._process.stdin is not None
        print(seconds, file=self._process.stdin, flush=True)
        self.rounds.append(self._answer())
        return self.rounds[-1]

    def total(self, what: str) -> float:
        """Return the sum over all rounds of `pictures`, `wall` or `cpu`."""
        return sum(one[what] for one in self.rounds)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the bare encoder ended with {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found


def main(model: str, device: str, batch: int, threads: int) -> None:
    """Load the image tower as a worker does, and answer until the input closes."""
    import torch
    from imgsearch_workers.model import probe
    from imgsearch_workers.model.checkpoint import find
    from imgsearch_workers.model.kinds import encoder_of
    from imgsearch_workers.model.pretrained import IMAGE

    checkpoint = find(model)
    encoder = encoder_of(checkpoint).opened(checkpoint, towers=IMAGE, device=device, threads=threads)
    pixels = probe.drawn(batch, encoder.size)
    encoder.embed_pictures(pixels)
    encoder.embed_pictures(pixels[:1])
    about = {"device": str(encoder.device), "dtype": str(encoder.dtype), "threads": torch.get_num_threads()}
    if encoder.device.startswith("cuda"):
        about["gpu"] = torch.cuda.get_device_name(encoder.device)
    print(json.dumps(about | {"size": encoder.size, "dimension": encoder.dimension}), flush=True)
    for line in sys.stdin:
        passes, wall, cpu = 0, time.perf_counter(), time.process_time()
        while not passes or time.perf_counter() - wall < float(line):
            encoder.embed_pictures(pixels)
            passes += 1
        spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        print(json.dumps({"pictures": passes * batch, **spent}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
