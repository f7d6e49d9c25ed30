"""A part of a picture as a picture of its own, as the benchmarks ask with it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from imgsearch.errors import JudgementError
from imgsearch.evaluation.judged import Box


def cropped(path: Path, box: Box) -> bytes:
    """Return the part of a picture inside a box as PNG; edges are rounded to whole pixels. Raises JudgementError."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            edges = tuple(round(edge) for edge in (box.left, box.upper, box.right, box.lower))
            inside = max(edges[0], 0), max(edges[1], 0), min(edges[2], opened.width), min(edges[3], opened.height)
            if inside[0] >= inside[2] or inside[1] >= inside[3]:
                raise JudgementError(f"{path} is {opened.width} × {opened.height}: nothing of it is inside {edges}.")
            part = opened.convert("RGB").crop(inside)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise JudgementError(f"{path} cannot be read ({error}); check the folder of pictures.") from error
    out = BytesIO()
    part.save(out, "PNG")
    return out.getvalue()
