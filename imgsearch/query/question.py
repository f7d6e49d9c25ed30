"""What a question is: the things that become a vector, and what they have become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Source = Literal["memory", "database", "worker", "image", "given"]


@dataclass(frozen=True)
class ImageId:
    """Means "like this image" where a query is expected."""

    image_id: int


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A query that is a vector now: `vector` in pgvector's text form, comparable within `space_id` only.

    vector is empty for words alone.
    image_id: the image here that it is the vector of. rejected: images that were "not this"; a search leaves them out.
    words: the text it was made of. key: what tells the question from others, where its vector alone may differ in the
    last bits from one time to the next. truncated: what to tell people where the model did not read the whole text.
    """

    vector: str
    space_id: int
    source: Source
    took_ms: float
    kind: Literal["text", "picture", "image", "vector"]
    image_id: int | None = None
    rejected: tuple[int, ...] = ()
    words: str | None = None
    key: str | None = None
    truncated: str | None = None


Thing = str | bytes | Path | ImageId | Sequence[float] | Resolved
Query = Thing | Sequence[tuple[Thing, float]]
