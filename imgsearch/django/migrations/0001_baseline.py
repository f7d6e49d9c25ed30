"""Table step 0001, by imgsearch's own SQL, and what Django is to know of the tables: it makes none of them."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models

from imgsearch.django.operations import SchemaStep


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar[list[tuple[str, str]]] = []
    operations: ClassVar = [
        SchemaStep("0001"),
        migrations.CreateModel(
            name="Image",
            fields=[
                ("image_id", models.BigAutoField(primary_key=True, serialize=False)),
                ("tenant_id", models.TextField()),
                ("product_id", models.TextField()),
                ("position", models.IntegerField(default=0)),
                ("category", models.TextField(blank=True, null=True)),
                ("price", models.FloatField(blank=True, null=True)),
                ("in_stock", models.BooleanField(default=True)),
                ("attributes", models.JSONField(default=dict)),
                ("uri", models.TextField()),
                ("sha256", models.BinaryField(null=True)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "db_table": '"imgsearch"."image"',
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Space",
            fields=[
                ("space_id", models.AutoField(primary_key=True, serialize=False)),
                ("state", models.TextField()),
                ("model", models.TextField()),
                ("revision", models.TextField()),
                ("fingerprint", models.TextField()),
                ("dimension", models.IntegerField()),
                ("preprocessing", models.TextField()),
                ("parameters", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField()),
                ("activated_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": '"imgsearch"."space"',
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Status",
            fields=[
                ("images", models.BigIntegerField(primary_key=True, serialize=False)),
                ("ready", models.BigIntegerField()),
                ("pending", models.BigIntegerField()),
                ("leased", models.BigIntegerField()),
                ("failed", models.BigIntegerField()),
                ("oldest_waiting", models.DurationField(null=True)),
                ("queries_waiting", models.BigIntegerField()),
                ("workers", models.BigIntegerField()),
                ("worker_last_seen", models.DateTimeField(null=True)),
                ("space_id", models.IntegerField(null=True)),
                ("model", models.TextField(null=True)),
                ("dimension", models.IntegerField(null=True)),
                ("index_health", models.TextField()),
                ("index_size", models.TextField(null=True)),
            ],
            options={
                "verbose_name_plural": "status",
                "db_table": '"imgsearch"."status"',
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Failure",
            fields=[
                (
                    "image",
                    models.OneToOneField(
                        db_column="image_id",
                        on_delete=models.DO_NOTHING,
                        primary_key=True,
                        related_name="failure",
                        serialize=False,
                        to="imgsearch.image",
                    ),
                ),
                ("tenant_id", models.TextField()),
                ("product_id", models.TextField()),
                ("uri", models.TextField()),
                ("error_code", models.TextField()),
                ("error", models.TextField(null=True)),
                ("attempts", models.IntegerField()),
                ("failed_at", models.DateTimeField()),
            ],
            options={
                "db_table": '"imgsearch"."failures"',
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Job",
            fields=[
                (
                    "image",
                    models.OneToOneField(
                        db_column="image_id",
                        on_delete=models.DO_NOTHING,
                        primary_key=True,
                        related_name="job",
                        serialize=False,
                        to="imgsearch.image",
                    ),
                ),
                ("tenant_id", models.TextField()),
                ("space_id", models.IntegerField(default=0)),
                ("state", models.TextField(default="pending")),
                ("due", models.DateTimeField()),
                ("lease", models.DateTimeField(null=True)),
                ("worker", models.TextField(null=True)),
                ("attempts", models.IntegerField(default=0)),
                ("error_code", models.TextField(null=True)),
                ("error", models.TextField(null=True)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": '"imgsearch"."jobs"',
                "managed": False,
            },
        ),
    ]
