"""Table step 0008_votes, by imgsearch's own SQL."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from imgsearch.django.operations import SchemaStep


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("imgsearch", "0007_attachments")]
    operations: ClassVar = [SchemaStep("0008")]
