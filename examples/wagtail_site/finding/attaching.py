"""How Wagtail's images are attached: the tenant is their collection, whoever moves them."""

from __future__ import annotations

from django.conf import settings

from imgsearch.django import AttachImgsearch

MEMBERS = "SELECT i.id FROM wagtailimages_image i JOIN changed ON changed.id = i.collection_id"


def attach() -> AttachImgsearch:
    """Return the operation."""
    return AttachImgsearch(
        "image",
        app_label="wagtailimages",
        image="file",
        base=settings.MEDIA_ROOT.as_uri(),
        tenant="collection",
        category="(SELECT c.name FROM wagtailcore_collection c WHERE c.id = wagtailimages_image.collection_id)",
        title="title",
        follow={"wagtailcore_collection": MEMBERS},
    )
