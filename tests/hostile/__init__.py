"""Hostile values against every public argument of every interface."""
