"""The app: it says which tenant a picture of Wagtail belongs to."""

from __future__ import annotations

from django.apps import AppConfig

from imgsearch.django import searchable


class Finding(AppConfig):
    """Pictures are found in their collection alone."""

    name = "finding"

    def ready(self) -> None:
        from wagtail.images import get_image_model

        searchable(tenant="collection_id")(get_image_model())
