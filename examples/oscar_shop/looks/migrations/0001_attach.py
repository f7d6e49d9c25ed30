"""Attach Oscar's catalogue."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from looks.attaching import attach


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("imgsearch", "0001_baseline"),
        ("catalogue", "0032_category_exclude_from_menu_category_long_description"),
        ("partner", "0007_partneraddress_code"),
    ]
    operations: ClassVar = [attach()]
