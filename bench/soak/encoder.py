"""The stand-in encoder of the soak: `IMGSEARCH_MODEL=bench.soak.encoder:SoakEncoder`."""

from __future__ import annotations

from imgsearch.dev.testing import PoisonEncoder

SOAK = "bench.soak.encoder:SoakEncoder"


class SoakEncoder(PoisonEncoder):
    """Some colours hurt it, and one its decoder."""

    decoder = "bench.soak.decoder_child"
