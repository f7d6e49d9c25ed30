"""Revision 0003, by imgsearch's own SQL."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from imgsearch.django.operations import Revision


class Migration(migrations.Migration):
    dependencies: ClassVar = [("imgsearch", "0002_space")]
    operations: ClassVar = [Revision("0003")]
