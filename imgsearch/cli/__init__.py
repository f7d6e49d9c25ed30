"""The command line: thin commands over the same functions every other interface uses."""

from __future__ import annotations

import sys

from imgsearch.errors import ExtraMissing
from imgsearch.extras import needed


def main() -> None:
    """Run a command. Without the extra `cli`, say what to install."""
    try:
        with needed("cli", "The command line"):
            from imgsearch.cli.app import main as run
    except ExtraMissing as error:
        sys.stderr.write(f"imgsearch: {error}\n")
        sys.exit(error.exit_code)
    run()


__all__ = ["main"]
