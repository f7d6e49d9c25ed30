"""Recall on the user's own images: measure it (`measure`), and choose the parameters that reach a target (`tune`)."""

from imgsearch.ops.tuning.recall import Measured, measure
from imgsearch.ops.tuning.tune import TARGET, Tuned, note, reaches, tune

__all__ = ["TARGET", "Measured", "Tuned", "measure", "note", "reaches", "tune"]
