"""Strangers' pictures, decoded in confined children."""
