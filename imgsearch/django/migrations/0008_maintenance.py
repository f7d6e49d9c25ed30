"""Revision 0008, by imgsearch's own SQL."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from imgsearch.django.operations import Revision


class Migration(migrations.Migration):
    dependencies: ClassVar = [("imgsearch", "0007_attach")]
    operations: ClassVar = [Revision("0008")]
