"""For tests, yours too: a light stand-in for the encoder, so that a test not about the model needs no torch."""

from imgsearch.dev.testing.embedding import embed
from imgsearch.dev.testing.encoder import FAKE, OTHER, FakeEncoder, OtherEncoder, PoisonEncoder

__all__ = ["FAKE", "OTHER", "FakeEncoder", "OtherEncoder", "PoisonEncoder", "embed"]
