"""The shop's own admin, with image search."""

from __future__ import annotations

from django.contrib import admin

from imgsearch.django.admin import ImageSearchAdmin
from tests.django.shop.models import Product


@admin.register(Product)
class ProductAdmin(ImageSearchAdmin, admin.ModelAdmin):
    list_display = ("name", "price")
    ordering = ("name",)
    date_hierarchy = "added"
    list_filter = ("tags", "available")
