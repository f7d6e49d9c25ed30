"""What the shop sells: its own table, with a picture."""

from __future__ import annotations

from django.db import models

from imgsearch.django import ImageSearchQuerySet, searchable


@searchable(photo="photo", category="category", price="price", in_stock="in_stock")
class Product(models.Model):
    title = models.CharField(max_length=200)
    category = models.CharField(max_length=50)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    in_stock = models.BooleanField(default=True)
    photo = models.ImageField(upload_to="products")

    objects = ImageSearchQuerySet.as_manager()

    def __str__(self) -> str:
        return self.title
