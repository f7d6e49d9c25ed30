"""Table step 0009_picture_sources, by imgsearch's own SQL."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from imgsearch.django.operations import SchemaStep


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("imgsearch", "0008_votes")]
    operations: ClassVar = [SchemaStep("0009")]
