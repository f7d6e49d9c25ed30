"""`manage.py imgsearch …`: imgsearch's own commands, on this project's database and picture store."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import Any

from django.core.management.base import BaseCommand

from imgsearch.django import site

STAYING = frozenset({"worker", "serve", "beat", "up", "psql"})  # commands that end when somebody ends them


class Command(BaseCommand):
    """Hands its arguments to `imgsearch` and leaves with its exit code."""

    help = "imgsearch on this project's database: status, requeue, worker, beat, search, db check, …"
    requires_system_checks: list[str] = []  # noqa: RUF012  # Django's protocol; the commands check for themselves

    def run_from_argv(self, argv: list[str]) -> None:
        """Pass everything on, options included, which Django's own parser would refuse."""
        if argv[2:3] and argv[2] in STAYING:  # the process itself: what ends it ends the worker, gracefully
            sys.stdout.flush()
            os.execve(sys.executable, command(argv[2:]), site.environment())  # noqa: S606 - on purpose
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
    code = subprocess.run(command(arguments), env=site.environment(), check=False).returncode
    if arguments[:1] == ["doctor"] and "--json" not in arguments and (wrong := _drift()):
        print(*wrong, "Mend it: `manage.py imgsearch_backfill`.", sep="\n", flush=True)
        return code or 1
    return code


def _drift() -> list[str]:
    """Return what is out of step between searchable models and their images, which only the project can tell."""
    from imgsearch.django import drift

    return [line for model in drift.models() for line in drift.said(model, site.alias())]


def command(arguments: list[str]) -> list[str]:
    """Return the command line of `imgsearch` itself; `beat` is that of Celery on its app."""
    if arguments[:1] == ["beat"]:
        return [sys.executable, "-m", "celery", "-A", "imgsearch_workers.app", *arguments]
    return [sys.executable, "-m", "imgsearch", *arguments]
