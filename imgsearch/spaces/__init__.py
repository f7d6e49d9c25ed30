"""Spaces: where vectors are comparable."""
