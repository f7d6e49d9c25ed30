"""Say what a model is, as one JSON object on stdout: `imgsearch space add` asks, for it must not import torch.

`python -m imgsearch_workers.describe MODEL [--revision R] [--measure N]`
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict

from imgsearch.errors import ImgsearchError
from imgsearch.settings import Settings, load_settings
from imgsearch_workers.model import probe
from imgsearch_workers.model.encoder import Encoder, described, load
from imgsearch_workers.pipeline.batch import Batch


def main(arguments: list[str] | None = None) -> int:
    """Load a model and describe it; return the exit code."""
    parser = argparse.ArgumentParser(description="Say what a model is.")
    parser.add_argument("model")
    parser.add_argument("--revision", default="")
    parser.add_argument("--measure", type=int, default=0, help="embed so many drawn pictures and say how long it took")
    given = parser.parse_args(arguments)
    try:
        # Whoever names an encoder of their own here, on the command line, may have it imported.
        settings = load_settings().model_copy(update={"model": given.model})
        encoder = load(settings, given.model, with_texts=True, revision=given.revision or None)
        said = asdict(described(encoder, with_mean=True))
        rate = _rate(settings, encoder, given.measure) if given.measure else None
    except ImgsearchError as error:
        print(f"imgsearch: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps({"description": said, "rate": rate, "device": encoder.device}))
    return 0


def _rate(settings: Settings, encoder: Encoder, many: int) -> float:
    """Return pictures per second through the model on this machine, the first batch not counted."""
    batch = Batch(encoder, settings.batch)
    pictures = list(probe.drawn(min(many, settings.batch), encoder.size))
    batch.embed(pictures)
    began, done = time.perf_counter(), 0
    while done < many:
        batch.embed(pictures)
        done += len(pictures)
    return done / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
