#!/usr/bin/env python
"""A small Flask shop with image search. One command starts everything: python examples/flask_shop/app.py"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys

import shop
from sqlalchemy import func, select

from imgsearch.cli.servers import start_servers
from imgsearch.dev.demo import catalogue
from imgsearch.settings import default_home, load_settings


def main() -> None:
    """Start servers, workers and the shop with some products, until interrupted or told to end."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=150)
    parser.add_argument("--port", type=int, default=5000)
    given = parser.parse_args()
    os.environ.setdefault("IMGSEARCH_HOME", f"{default_home()}-flask-shop")
    os.environ.setdefault("IMGSEARCH_MODEL", "demo")
    settings = load_settings()
    start_servers(settings)  # a shop of yours has a server already; this one gets servers from wheels
    app = shop.create_app(settings)
    with app.app_context():
        fill(given.products)
    workers = subprocess.Popen([sys.executable, "-m", "imgsearch", "up"])
    try:
        app.run("127.0.0.1", given.port)
    except KeyboardInterrupt:
        pass
    finally:
        workers.terminate()
        workers.wait()


def fill(count: int) -> None:
    """Add drawn products up to `count`, like anybody adds one."""
    have = shop.sqlalchemy.session.scalar(select(func.count(shop.Product.id))) or 0
    shots = [item for item in catalogue.items(4 * count) if item.position == 0]
    for item in shots[have:count]:
        values = {"name": item.title, "category": item.category, "price": item.price, "in_stock": item.in_stock}
        shop.create(values, catalogue.draw(item))
    shop.sqlalchemy.session.commit()


if __name__ == "__main__":
    main()
