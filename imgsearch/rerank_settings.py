"""What can be set of a second look: how long it may take, and by what."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from imgsearch.upkeep_settings import UpkeepSettings


def _classes(text: object) -> object:
    """Return (name, class) of each of `name=package.module:Class, …`."""
    if not isinstance(text, str):
        return text
    found = []
    for one in filter(None, map(str.strip, text.split(","))):
        name, equals, path = (part.strip() for part in one.partition("="))
        module, colon, cls = path.partition(":")
        if not (
            equals and colon and name.isidentifier() and cls.isidentifier() and module.replace(".", "").isidentifier()
        ):
            raise ValueError("write name=package.module:Class, several with commas between them")
        found.append((name, path))
    return tuple(found)


class RerankSettings(UpkeepSettings):
    """The settings of second looks; part of `Settings`."""

    rerank_timeout: float = Field(
        5, ge=0.1, le=600, description="seconds that a second look (`rerank`) may take; then the first ranking stands"
    )
    rerank_model: str = Field(
        "",
        description="folder or hub name of the model of `cross_encoder` (BLIP image-text matching, ViLT retrieval), "
        "loaded by query workers; empty: none",
    )
    rerankers: Annotated[tuple[tuple[str, str], ...], BeforeValidator(_classes)] = Field(
        (),
        description="steps of your own that `custom` may name, as `name=package.module:Class`, comma-separated; "
        "for query workers",
    )
