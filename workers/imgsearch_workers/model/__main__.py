"""What a model is, and how fast it runs here: `python -m imgsearch_workers.model --model demo`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from imgsearch.errors import ModelError
from imgsearch_workers.model import probe
from imgsearch_workers.model.checkpoint import find
from imgsearch_workers.model.encoder import Vectors
from imgsearch_workers.model.kinds import encoder_of


def main() -> None:
    """Print what a model is and how fast it runs here."""
    parser = argparse.ArgumentParser(prog="python -m imgsearch_workers.model", description=main.__doc__)
    parser.add_argument("--model", required=True, help="demo, a folder or a hub name")
    parser.add_argument("--revision", help="revision on the hub")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3, help="how long to measure each tower")
    given = parser.parse_args()
    how = {"device": given.device, "dtype": given.dtype, "threads": given.threads}
    try:
        checkpoint = find(given.model, given.revision)
        encoder = encoder_of(checkpoint).opened(checkpoint, **how)
    except ModelError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    import torch

    pictures = probe.drawn(given.batch, encoder.size)
    texts = [f"{probe.TEXT} {n}" for n in range(given.batch)]
    print(f"kind        {checkpoint.kind.name}, {checkpoint.preprocessing}")
    print(f"device      {encoder.device}, {encoder.dtype}, {torch.get_num_threads()} threads")
    print(f"pixels      {encoder.size}\ndimension   {encoder.dimension}\nfingerprint {checkpoint.fingerprint}")
    print(f"img/s       {_speed(given.batch, lambda: encoder.embed_pictures(pictures), given.seconds)}")
    if encoder.reads_texts:
        print(f"text/s      {_speed(given.batch, lambda: encoder.embed_texts(texts), given.seconds)}")
    else:
        print("text/s      none: it sees pictures only")


def _speed(batch: int, embed: Callable[[], Vectors], seconds: float) -> str:
    """Measure at least three passes, after one to warm up; CPU time is the figure to trust on a busy machine."""
    embed()
    passes, wall, cpu = 0, time.perf_counter(), time.process_time()
    while passes < 3 or time.perf_counter() - wall < seconds:
        embed()
        passes += 1
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return f"{passes * batch / wall:.2f}, {1000 * cpu / passes / batch:.2f} ms of CPU each, batches of {batch}"


if __name__ == "__main__":
    main()
