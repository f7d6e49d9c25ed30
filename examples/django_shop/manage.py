#!/usr/bin/env python
"""A small Django shop with image search. One command starts everything: python examples/django_shop/manage.py demo."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

from imgsearch.dev import embedded
from imgsearch.settings import default_home, load_settings

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    os.environ.setdefault("IMGSEARCH_HOME", f"{default_home()}-django-shop")
    os.environ.setdefault("IMGSEARCH_MODEL", "demo")
    if not load_settings().database_url:  # a shop of yours has a server already; this one gets servers from wheels
        servers = embedded.start(load_settings().home)
        os.environ |= {"DATABASE_URL": servers.database_url, "IMGSEARCH_REDIS_URL": servers.redis_url}
    execute_from_command_line(sys.argv)
