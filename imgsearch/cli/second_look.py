"""The second look on the command line: how its steps are written, what it came to, and its pictures side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from imgsearch.cli.console import output
from imgsearch.errors import FilterError, ImgsearchError, UsageError
from imgsearch.retrieval import Hit, Hits
from imgsearch.retrieval.rerank import STEPS, Rerank, rerank_of
from imgsearch.storage import Store

RERANK = typer.Option(
    None,
    "--rerank",
    help="Have workers rank the first rows anew, as STEP or STEP:NAME=VALUE,…; repeat for several in a row. "
    f"Steps: {', '.join(STEPS)}.",
)
DRAW = typer.Option(None, "--draw", help="With --rerank spatial: a folder for pictures of what agrees.")
HIGH = 360  # pixels of a picture that is drawn
LINE, FRAME = (255, 196, 0), (0, 200, 90)


def chain_of(written: Sequence[str] | None) -> Rerank | None:
    """Return the steps that were typed. Raises FilterError."""
    return rerank_of([_step(one) for one in written]) if written else None


def said(hits: Hits) -> str | None:
    """Return one line on what the second look came to; None where none was asked for."""
    found = hits.reranked
    if found is None:
        return None
    if found.code:
        return f"Not ranked anew: {found.why}"
    steps = (
        f"{one.step} not ({one.why})"
        if one.code
        else f"{one.step} moved {one.moved} of {one.looked}, {one.took_ms:.0f} ms"
        for one in found.steps
    )
    return f"Ranked anew: {'; '.join(steps)}; {found.took_ms:.0f} ms in all."


def draw(hits: Hits, picture: Path | None, store: Store, folder: Path) -> list[Path]:
    """Draw what agrees on the picture that was asked with and on each hit; return the files. Raises UsageError."""
    if picture is None:
        raise UsageError("--draw shows what agrees with a picture; ask with --picture FILE.")
    from imgsearch.picture import thumbnail

    own = thumbnail(picture.read_bytes(), HIGH)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for place, hit in enumerate(hits, 1):
        agreed = (hit.look or {}).get("spatial")
        if not agreed or not agreed.get("homography"):
            continue
        try:
            theirs = store.get_thumbnail(hit.sha256 or b"")
        except ImgsearchError as error:
            output.print(f"{hit.product_id}: {error}", markup=False)
            continue
        made.append(folder / f"{place:03d}-{hit.image_id}.png")
        _drawn(own, theirs, agreed, hit, made[-1])
    return made


def _drawn(own: bytes, theirs: bytes, agreed: Mapping[str, Any], hit: Hit, path: Path) -> None:
    """Draw two thumbnails (WebP of ours) beside each other, the frame of the first on the second, and matches."""
    import io

    from PIL import Image, ImageDraw, WebPImagePlugin

    left, right = (
        _scaled(WebPImagePlugin.WebPImageFile(io.BytesIO(one)).convert("RGB"), Image.Resampling.BICUBIC)
        for one in (own, theirs)
    )
    drawn = Image.new("RGB", (left.width + right.width, HIGH), (255, 255, 255))
    drawn.paste(left, (0, 0))
    drawn.paste(right, (left.width, 0))
    pen = ImageDraw.Draw(drawn)
    for x, y, u, v in agreed["pairs"]:
        pen.line((x * left.width, y * HIGH, left.width + u * right.width, v * HIGH), fill=LINE, width=1)
    rows = agreed["homography"]
    corners = []
    for x, y in ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0)):
        u, v, w = (row[0] * x + row[1] * y + row[2] for row in rows)
        corners.append((left.width + u / w * right.width, v / w * HIGH))
    pen.line(corners, fill=FRAME, width=3)
    pen.text((6, 6), f"{agreed['inliers']} agree: {hit.product_id}", fill=FRAME)
    drawn.save(path)


def _scaled(picture: Any, filter_: Any) -> Any:
    return picture.resize((max(1, round(picture.width * HIGH / picture.height)), HIGH), filter_)


def _step(written: str) -> dict[str, Any]:
    name, _, rest = written.partition(":")
    step: dict[str, Any] = {"step": name}
    for pair in filter(None, rest.split(",")):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not key:
            raise FilterError(f"{pair!r} is not NAME=VALUE; write for example --rerank k_reciprocal:k1=20,pool=100.")
        own = key in ("step", "name", "pool") or name != "custom"
        (step if own else step.setdefault("parameters", {}))[key] = value if key == "name" else _value(value)
    return step


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
