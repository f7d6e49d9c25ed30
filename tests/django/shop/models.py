"""Products with pictures, in three shops of one database."""

from __future__ import annotations

import uuid

from django.db import models

from imgsearch.django import ImageSearchQuerySet, Searchable, searchable


class Store(models.Model):
    slug = models.SlugField(unique=True)


class Tag(models.Model):
    name = models.TextField()


@searchable(
    photo="photo",
    tenant="store__slug",
    category="category",
    price="price",
    in_stock="available",
    title="name",
    words=("brand", "category"),
    attributes=("brand",),
)
class Product(models.Model):
    store = models.ForeignKey(Store, models.CASCADE)
    name = models.TextField(default="")
    brand = models.TextField(default="")
    category = models.TextField(default="shoes")
    price = models.DecimalField(max_digits=10, decimal_places=2, default=1)
    available = models.BooleanField(default=True)
    added = models.DateField(null=True)
    photo = models.FileField(upload_to="products", blank=True)
    tags = models.ManyToManyField(Tag)

    objects = ImageSearchQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class Offer(Product):
    """The same rows by another class, with a manager of their own."""

    objects = ImageSearchQuerySet.as_manager()

    class Meta:
        proxy = True


@searchable(prefix="poster:")
class Poster(models.Model):
    """Tenant `default`, a key that is a UUID, pictures added by hand."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    title = models.TextField(default="")

    objects = ImageSearchQuerySet.as_manager()


class Print(models.Model):
    """Attached in the database: triggers follow every way of writing."""

    name = models.TextField()
    address = models.TextField()
    price = models.IntegerField(default=1)

    objects = ImageSearchQuerySet.as_manager()
    _imgsearch = Searchable(prefix="print:")
