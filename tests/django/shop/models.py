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


@searchable(photo="photo", price="price", prefix="stall:")
class Stall(models.Model):
    """A key of two columns, one of which may hold anything; a queryset of somebody else's."""

    class Rows(models.QuerySet):
        def cheap(self) -> models.QuerySet:
            return self.filter(price__lt=10)

    pk = models.CompositePrimaryKey("market_id", "code")
    market = models.ForeignKey(Store, models.CASCADE, related_name="stalls")
    code = models.TextField()
    price = models.IntegerField(default=1)
    photo = models.FileField(upload_to="stalls", blank=True)

    objects = Rows.as_manager()


@searchable(title="name", price="lowest", in_stock="available", fallback="parent", prefix="garment:")
class Garment(models.Model):
    """Variants have a parent, which is what is found; pictures and prices are in tables of their own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="variants")
    name = models.TextField(default="")

    objects = ImageSearchQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    @property
    def records(self) -> models.QuerySet:
        return Record.objects.filter(models.Q(garment=self) | models.Q(garment__parent=self))

    @property
    def lowest(self) -> object:
        return self.records.aggregate(lowest=models.Min("price"))["lowest"]

    @property
    def available(self) -> bool:
        return self.records.filter(stock__gt=0).exists()


class Record(models.Model):
    """A price in a table of its own."""

    garment = models.ForeignKey(Garment, models.CASCADE, related_name="record_rows")
    price = models.DecimalField(max_digits=10, decimal_places=2)
    stock = models.IntegerField(default=1)


@searchable(of=("garment__parent", "garment"), photo="file", position="display_order", main="cover")
class Shot(models.Model):
    """A picture of a garment; its display_order is not unique, and siblings are numbered anew when one goes."""

    garment = models.ForeignKey(Garment, models.CASCADE, related_name="shots")
    file = models.FileField(upload_to="shots", blank=True)
    display_order = models.PositiveIntegerField(default=0)
    cover = models.BooleanField(default=False)

    def delete(self, *args: object, **named: object) -> object:
        gone = super().delete(*args, **named)
        for n, shot in enumerate(self.garment.shots.order_by("display_order", "pk")):
            shot.display_order = n
            shot.save()
        return gone
