"""Wagtail itself, from PyPI, with image search attached: `make adopt`."""
