"""A Django shop for the tests of its door."""
