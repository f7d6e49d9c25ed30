"""`manage.py demo`: tables, some products with drawn photos, workers, and the page."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

from django.core.files.base import ContentFile
from django.core.management import call_command
from django.core.management.base import BaseCommand

from imgsearch.dev.demo import catalogue
from imgsearch.django import site
from shop.models import Product


class Command(BaseCommand):
    help = "Start the shop: tables, products with drawn photos, workers, and the page."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--products", type=int, default=150)
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *_: Any, products: int, port: int, **__: Any) -> None:
        """Serve until interrupted or told to end: either way the workers end, too."""
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.default_int_handler)
        call_command("migrate", verbosity=0)
        fill(products)
        workers = subprocess.Popen([sys.executable, "-m", "imgsearch", "up"], env=site.environment())
        try:
            call_command("runserver", f"127.0.0.1:{port}", use_reloader=False)
        finally:
            workers.terminate()
            workers.wait()


def fill(count: int) -> None:
    """Add products up to `count`, each saved like any other."""
    shots = (item for item in catalogue.items(4 * count) if item.position == 0)
    for item, _ in zip(shots, range(count), strict=False):
        if not Product.objects.filter(title=item.title, price=item.price).exists():
            photo = ContentFile(catalogue.draw(item), name=f"{item.product_id}.jpg")
            Product.objects.create(
                title=item.title, category=item.category, price=item.price, in_stock=item.in_stock, photo=photo
            )
