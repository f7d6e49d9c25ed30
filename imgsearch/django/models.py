"""The tables of schema imgsearch as Django models. Unmanaged: imgsearch's own SQL makes them, migrations only run it.

Reading them is free; write through `imgsearch.django.add` and the actions of the admin.
"""

from __future__ import annotations

from typing import Any

from django.db import models

from imgsearch.django import pictures, site
from imgsearch.django.mapping import Searchable, mapping_for
from imgsearch.django.queryset import ImageSearchQuerySet


class Texts(models.Field):
    """A list of texts. Django's ArrayField wants django.contrib.postgres among the host's apps."""

    def db_type(self, connection: Any) -> str:
        return "text[]"


class Image(models.Model):
    """One image: what you filter on. `Image.objects.similar_to(…)` ranks images, without any product table."""

    image_id = models.BigAutoField(primary_key=True)
    tenant_id = models.TextField()
    product_id = models.TextField()
    position = models.IntegerField(default=0)
    category = models.TextField(null=True, blank=True)  # null is what the table says
    categories = Texts(null=True, blank=True)  # where it has several
    price = models.FloatField(null=True, blank=True)
    in_stock = models.BooleanField(default=True)
    attributes = models.JSONField(default=dict)
    uri = models.TextField()
    sha256 = models.BinaryField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = ImageSearchQuerySet.as_manager()
    _imgsearch = Searchable(tenant="tenant_id", pictures=True)

    class Meta:
        managed = False
        db_table = '"imgsearch"."image"'

    def __str__(self) -> str:
        return f"image {self.image_id} of {self.product_id}"

    @property
    def state(self) -> str:
        """pending, leased, failed, or ready."""
        job = getattr(self, "job", None)
        return "ready" if job is None else str(job.state)


class Job(models.Model):
    """An image that waits for the searched space, is leased or has failed. An image without a job is ready."""

    image = models.OneToOneField(Image, models.DO_NOTHING, primary_key=True, db_column="image_id", related_name="job")
    tenant_id = models.TextField()
    space_id = models.IntegerField(default=0)
    state = models.TextField(default="pending")
    due = models.DateTimeField()
    lease = models.DateTimeField(null=True)
    worker = models.TextField(null=True)
    attempts = models.IntegerField(default=0)
    error_code = models.TextField(null=True)
    error = models.TextField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = '"imgsearch"."jobs"'

    def __str__(self) -> str:
        return f"{self.state} {self.image_id}"


class Failures(models.Manager["Failure"]):
    """Those that are images; rows of attached tables that could not be followed have none."""

    def get_queryset(self) -> models.QuerySet[Failure]:
        return super().get_queryset().filter(image_id__isnull=False)


class Failure(models.Model):
    """The view imgsearch.failures: which images failed, and why."""

    image = models.OneToOneField(
        Image, models.DO_NOTHING, primary_key=True, db_column="image_id", related_name="failure"
    )
    tenant_id = models.TextField()
    product_id = models.TextField()
    uri = models.TextField()
    error_code = models.TextField()
    error = models.TextField(null=True)
    attempts = models.IntegerField()
    failed_at = models.DateTimeField()

    objects = Failures()

    class Meta:
        managed = False
        db_table = '"imgsearch"."failures"'

    def __str__(self) -> str:
        return f"{self.error_code} {self.image_id}"


class Space(models.Model):
    """Where vectors are comparable: one row per model that was used here."""

    space_id = models.AutoField(primary_key=True)
    state = models.TextField()
    model = models.TextField()
    revision = models.TextField()
    fingerprint = models.TextField()
    dimension = models.IntegerField()
    preprocessing = models.TextField()
    parameters = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    activated_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = '"imgsearch"."space"'

    def __str__(self) -> str:
        return f"{self.model} ({self.state})"


class Status(models.Model):
    """The view imgsearch.status: one row."""

    images = models.BigIntegerField(primary_key=True)
    ready = models.BigIntegerField()
    pending = models.BigIntegerField()
    leased = models.BigIntegerField()
    failed = models.BigIntegerField()
    oldest_waiting = models.DurationField(null=True)
    queries_waiting = models.BigIntegerField()
    workers = models.BigIntegerField()
    worker_last_seen = models.DateTimeField(null=True)
    space_id = models.IntegerField(null=True)
    model = models.TextField(null=True)
    dimension = models.IntegerField(null=True)
    index_health = models.TextField()
    index_size = models.TextField(null=True)

    class Meta:
        managed = False
        db_table = '"imgsearch"."status"'
        verbose_name_plural = "status"

    def __str__(self) -> str:
        return f"{self.ready} of {self.images} ready"


def images_of(instance: Any) -> Any:
    """Return the images of a saved instance, in order."""
    mapping = mapping_for(type(instance))
    if mapping.of:
        there = pictures.find(instance, instance._state.db or site.alias())  # noqa: SLF001
        return Image.objects.filter(pk=there["image_id"]) if there else Image.objects.none()
    found = Image.objects.filter(tenant_id=mapping.tenant_of(instance), product_id=mapping.product_of(instance))
    return found.order_by("position")
