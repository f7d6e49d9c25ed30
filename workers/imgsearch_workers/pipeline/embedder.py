"""A loaded model and the space it fills: what a worker holds one or several of."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from imgsearch_workers.decoding.decoder import DecodePool
from imgsearch_workers.model.encoder import Pixels
from imgsearch_workers.pipeline.batch import Batch
from imgsearch_workers.pipeline.throttle import Throttle


@dataclass(kw_only=True)
class Embedder:
    """`batch` runs the model's passes; `pool` decodes for it, and for every other model that wants the same pixels;
    `probe` is what it is asked to embed when somebody wants to know whether it still answers.
    """

    space_id: int
    batch: Batch
    pool: DecodePool
    probe: Pixels = field(repr=False)
    throttle: Throttle = field(default_factory=lambda: Throttle(time.monotonic()))
