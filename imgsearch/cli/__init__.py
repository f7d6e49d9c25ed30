"""The command line: thin commands over the same functions every other door uses."""

from imgsearch.cli.main import main

__all__ = ["main"]
