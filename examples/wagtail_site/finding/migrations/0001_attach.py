"""Attach Wagtail's images."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from finding.attaching import attach


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("imgsearch", "0001_baseline"),
        ("wagtailimages", "0027_image_description"),
        ("wagtailcore", "0098_apitoken"),
    ]
    operations: ClassVar = [attach()]
