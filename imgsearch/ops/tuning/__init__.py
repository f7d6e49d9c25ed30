"""Recall on the user's own images: measure it (`measure`), and choose the parameters that reach a target (`tune`)."""

from imgsearch.ops.tuning.recall import Measured, measure
from imgsearch.ops.tuning.tune import Tuned, note, tune

__all__ = ["Measured", "Tuned", "measure", "note", "tune"]
