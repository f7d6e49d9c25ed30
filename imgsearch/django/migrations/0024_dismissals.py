"""Table step 0024_dismissals, by imgsearch's own SQL."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from imgsearch.django.operations import SchemaStep


class Migration(migrations.Migration):
    atomic = False  # beside searches and writers: part by part, each its own transaction
    dependencies: ClassVar[list[tuple[str, str]]] = [("imgsearch", "0023_tiles")]
    operations: ClassVar = [SchemaStep("0024")]
