"""The admin, searched by words and by picture."""

from __future__ import annotations

from django.contrib import admin

from imgsearch.django.admin import ImageSearchAdmin
from shop.models import Product


@admin.register(Product)
class ProductAdmin(ImageSearchAdmin, admin.ModelAdmin):
    list_display = ("title", "category", "price", "in_stock")
    list_filter = ("category", "in_stock")
