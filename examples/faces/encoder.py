"""An encoder of one's own: the largest face of a picture → the 512 numbers of an ArcFace network.

Read "Faces" in docs/models.md before you run it: vectors of faces are biometric data, and need consent.

    export FACE_FINDER=mine.detector:find FACE_MODEL=/models/r50
    IMGSEARCH_MODEL=examples.faces.encoder:FaceEncoder imgsearch worker

FACE_FINDER: a function of yours, (H, W, 3) uint8 → list of faces, the best first, each five points (5, 2): eyes, nose,
corners of the mouth. FACE_MODEL: a folder with model.safetensors, and config.json: {"layers": [3, 4, 14, 3]}.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from imgsearch_workers.model import probe
from imgsearch_workers.model.device_errors import NonsenseError
from numpy.typing import NDArray
from safetensors.torch import load_file

from examples.faces.alignment import SIDE, align
from examples.faces.iresnet import IResNet
from imgsearch.errors import ModelError
from imgsearch.picture.geometry import Geometry
from imgsearch.spaces.space import Description

Points = NDArray[np.float64]
Find = Callable[[NDArray[np.uint8]], Sequence[Points]]


class NoFaceError(NonsenseError):
    """No face was found; such a picture is set aside (`imgsearch.failures`), and its neighbours are embedded."""

    def __init__(self, rows: Sequence[int]) -> None:
        super().__init__(rows)
        self.args = ("No face was found in the picture; use one where a face is seen from the front.",)


class FaceEncoder:
    """Sees pictures only: it has no `embed_texts`, so a text asked in its space is TextsNotUnderstood."""

    size = 640
    geometry = Geometry.fit(size, "bilinear")  # shape kept, black bars: a squashed face is another face
    device = "cpu"
    decoder = "imgsearch_workers.decoding.child"

    def __init__(self) -> None:
        """Load finder and network. Raises ModelError."""
        folder = Path(os.environ.get("FACE_MODEL", ""))
        module, _, name = os.environ.get("FACE_FINDER", "").partition(":")
        try:
            self._find: Find = getattr(import_module(module), name)
            shape = json.loads((folder / "config.json").read_text())
            self._network = IResNet(**shape).eval().requires_grad_(False)
            self._network.load_state_dict(load_file(folder / "model.safetensors"))
        except (OSError, ValueError, TypeError, ImportError, AttributeError, RuntimeError) as error:
            raise ModelError(f"The face model cannot be loaded ({error}); set FACE_MODEL and FACE_FINDER.") from error
        self.dimension: int = self._network.fc.out_features
        weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        self._fingerprint = hashlib.sha256(f"faces 1 {shape} {weights} {module}:{name}".encode()).hexdigest()
        self._drawn = probe.drawn(1, self.size)[0]

    def embed_pictures(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed (B, 640, 640, 3) uint8 → (B, 512) float32 of length one. Raises NoFaceError, naming the rows."""
        crops = [self._crop(picture) for picture in pixels]
        if missing := [row for row, crop in enumerate(crops) if crop is None]:
            raise NoFaceError(missing)
        return self._embed(np.stack([crop for crop in crops if crop is not None]))

    def describe(self, *, with_mean: bool = True) -> Description:
        """Describe the model. Vectors of faces lie all around, so there is no mean to take off."""
        return Description(
            model="examples.faces.encoder:FaceEncoder",
            revision="",
            fingerprint=self._fingerprint,
            dimension=self.dimension,
            preprocessing="faces-1",
            mean=[0.0] * self.dimension if with_mean else (),
            probe_picture=self._embed(probe.drawn(probe.PICTURE + 1, SIDE)[-1:])[0].tolist(),
            texts=False,
        )

    def free_memory(self) -> None:
        """Do nothing: the CPU's memory is free already."""

    def _crop(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        if np.array_equal(picture, self._drawn):  # by which imgsearch asks whether the model still answers
            return picture[:SIDE, :SIDE]
        faces = self._find(picture)
        return align(picture, faces[0]) if len(faces) else None

    def _embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            values = (torch.from_numpy(crops.copy()).float() - 127.5) / 127.5
            answer = torch.nn.functional.normalize(self._network(values.permute(0, 3, 1, 2)), dim=1)
        vectors: NDArray[np.float32] = answer.numpy()
        return vectors
