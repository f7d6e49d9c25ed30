"""The images that show what an image shows, and which of them do not: `/v1/images/{image_id}/duplicates`."""

from __future__ import annotations

from typing import Annotated, Literal

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field

from imgsearch.errors import UnknownImage
from imgsearch.http import access, caps, ids, links, reader, service
from imgsearch.http.api import sent
from imgsearch.http.responses import ImageId, Sent, Thumbnail
from imgsearch.http.state import app_state
from imgsearch.ops import duplicates


class OfImage(BaseModel):
    """From which similarity on an image is to be looked at."""

    model_config = ConfigDict(extra="forbid")

    similarity: Annotated[float, Field(ge=0.5, le=1, description="Cosine of the vectors, for the second tier.")] = (
        duplicates.SIMILARITY
    )


class Dismissed(BaseModel):
    """Which image is not the same."""

    model_config = ConfigDict(extra="forbid")

    duplicate: Annotated[int, Field(ge=1, le=caps.LARGEST_ID, description="The image_id of the other.")]


class Duplicate(Sent):
    """An image that shows what another one shows."""

    image_id: ImageId
    product_id: str
    position: int
    tier: Annotated[
        Literal["certain", "look"], Field(description="certain: the same picture; look: somebody should look at both.")
    ]
    distance: Annotated[int | None, Field(description="Bits of 256 in which their hashes differ.")]
    turn: Annotated[
        int | None, Field(description="How the image was turned to get there, as Exif numbers it: 1 as it is.")
    ]
    similarity: Annotated[float | None, Field(description="Cosine of their vectors.")]
    thumbnail: Thumbnail


class Duplicates(Sent):
    """The images that show what an image shows, certain ones first."""

    duplicates: list[Duplicate]


def mount(blueprint: Blueprint) -> None:
    """Add the route."""
    blueprint.add_url_rule("/v1/images/<image_id>/duplicates", "v1_duplicates", of_image)
    blueprint.add_url_rule("/v1/images/<image_id>/duplicates", "v1_dismiss_duplicate", dismiss, methods=["DELETE"])


def of_image(image_id: str) -> Response:
    """Return the images that show what one shows, as far as whoever asks may see them."""
    number, asked = ids.named(image_id), reader.query(OfImage)
    state, tenant = app_state(), access.me().tenant
    with state.session(tenant) as connection:
        rows = service.images(connection, [number], tenant)
        if not rows:
            raise ids.not_found(image_id)
        owner = rows[0]["tenant_id"]
        found = duplicates.duplicates_of(connection, number, tenant=owner, similarity=asked.similarity)
        seen = {row["image_id"]: row for row in service.images(connection, [one.image_id for one in found], owner)}
    shown = [
        Duplicate(
            **{**vars(one), "image_id": ids.shown(one.image_id)},
            thumbnail=links.thumbnail(state, owner, seen[one.image_id]["sha256"]),
        )
        for one in found
        if one.image_id in seen
    ]
    return sent(Duplicates(duplicates=shown))


@access.needs("write")
def dismiss(image_id: str) -> Response:
    """Say for good that two images are not the same."""
    number, other = ids.named(image_id), ids.taken(reader.query(Dismissed).duplicate)
    state, tenant = app_state(), access.me().tenant
    with state.session(tenant, writes=True) as connection:
        rows = service.images(connection, [number, other], tenant)
        if len({row["tenant_id"] for row in rows}) != 1 or len(rows) != 2:
            raise ids.not_found(image_id)
        try:
            duplicates.dismiss(connection, number, other, tenant=rows[0]["tenant_id"])
        except UnknownImage as error:
            raise ids.unknown(other) from error
    return Response(status=204)
