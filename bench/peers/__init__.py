"""Other engines on the same vectors and filters, inside this process: no socket, no parsing of SQL for most."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from bench.dataset import Dataset
from bench.methods import Method
from bench.progress import Say

# Name → (module of ours, the package it needs). They come with `pip install -e '.[bench]'`.
PEERS = {"qdrant": ("qdrant", "qdrant_edge"), "lancedb": ("lance", "lancedb"), "faiss": ("vector_library", "faiss")}


def peers(data: Dataset, say: Say, wanted: str = ".") -> Iterator[Method]:
    """Yield the methods of every peer that is installed and has one whose name matches; build what is not yet built.

    wanted: regular expression. A peer that is not installed is left out with a message.
    """
    import re

    for name, (module, package) in PEERS.items():
        settings = import_module(f"bench.peers.{module}").SETTINGS
        if not any(re.search(wanted, setting) for setting in settings):
            continue
        if find_spec(package) is None:
            say(f"{name} is left out: pip install -e '.[bench]' brings {package}")
            continue
        yield from import_module(f"bench.peers.{module}").methods(data, say)
