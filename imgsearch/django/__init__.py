"""Image search in a Django project: an app, a queryset whose `similar_to()` stays a queryset, and uploads on save.

INSTALLED_APPS = [..., "imgsearch.django"]

@searchable(photo="photo", category="category", price="price")
class Product(models.Model):
    photo = models.ImageField(upload_to="products")
    objects = ImageSearchQuerySet.as_manager()

Product.objects.filter(price__lt=50).similar_to("red canvas shoe")[:20]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgsearch.django.decorator import searchable
    from imgsearch.django.mapping import Searchable
    from imgsearch.django.operations import AttachImgsearch, DetachImgsearch
    from imgsearch.django.queryset import ImageSearchQuerySet, image_search
    from imgsearch.django.uploads import add, change, refilter, remove

# Django imports this package before its apps are ready, when a queryset may not be imported yet.
_HOMES = {
    "AttachImgsearch": "operations",
    "DetachImgsearch": "operations",
    "ImageSearchQuerySet": "queryset",
    "Searchable": "mapping",
    "add": "uploads",
    "change": "uploads",
    "image_search": "queryset",
    "refilter": "uploads",
    "remove": "uploads",
    "searchable": "decorator",
}

__all__ = [
    "AttachImgsearch",
    "DetachImgsearch",
    "ImageSearchQuerySet",
    "Searchable",
    "add",
    "change",
    "image_search",
    "refilter",
    "remove",
    "searchable",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"imgsearch.django.{_HOMES[name]}"), name)
