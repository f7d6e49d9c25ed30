"""`manage.py imgsearch …`: imgsearch's own commands, on this project's database and picture store."""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Any

from django.core.management.base import BaseCommand

from imgsearch.django import site


class Command(BaseCommand):
    """Hands its arguments to `imgsearch` and leaves with its exit code."""

    help = "imgsearch on this project's database: status, requeue, worker, search, db check, …"
    requires_system_checks: list[str] = []  # noqa: RUF012  # Django's protocol; the commands check for themselves

    def run_from_argv(self, argv: list[str]) -> None:
        """Pass everything on, options included, which Django's own parser would refuse."""
        sys.exit(run(argv[2:]))

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("arguments", nargs=argparse.REMAINDER)  # options included

    def handle(self, *_: Any, arguments: list[str], **__: Any) -> None:
        """For call_command("imgsearch", "status")."""
        code = run(arguments)
        if code:
            sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run `imgsearch` in a process of its own; return its exit code."""
    return subprocess.run(
        [sys.executable, "-m", "imgsearch", *arguments], env=site.environment(), check=False
    ).returncode
